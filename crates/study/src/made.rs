//! What jobs make and others read: source models among the other trainings of their domain, data, heads.

/// A source model, with the others of its domain.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub domain: &'a str,
    /// One a seed.
    pub models: &'a [Made],
    /// Which of them is meant.
    pub own: usize,
    pub seed: u64,
}

impl<'a> Source<'a> {
    pub fn model(self) -> &'a Made {
        &self.models[self.own]
    }

    /// The models of the other seeds.
    pub fn peers(self) -> Vec<&'a Made> {
        let [before, after] = [&self.models[..self.own], &self.models[self.own + 1..]];
        before.iter().chain(after).collect()
    }
}

/// Something a job reads: its path, and the job that makes it or the fingerprint of what is there.
pub struct Made {
    pub path: String,
    pub job: Option<usize>,
    pub fingerprint: String,
}

pub fn paths<'a>(made: &[&'a Made]) -> Vec<&'a str> {
    made.iter().map(|made| made.path.as_str()).collect()
}
