//! Which slices the trainings on labels see how often: each once, or domains or structures equally often.
use crate::error::Result;
use crate::training::LabelledSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use udas_data::Groups;

/// What is seen equally often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Each slice is seen once an epoch.
    #[default]
    None,
    /// As many slices of each domain.
    Domains,
    /// Of slices that show something, as many for each structure; those that show nothing have the share that they are of all.
    Classes,
    /// As many slices of each domain, and of these as many for each structure.
    Both,
}

impl LabelledSet {
    /// The slices in groups that epochs are drawn from; none where each is seen once. For structures all labels are read.
    ///
    /// # Errors
    /// Those of volumes that cannot be read.
    pub fn groups(&self, balance: Balance) -> Result<Groups> {
        let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, domain) in self.domains.iter().enumerate() {
            let part = match balance {
                Balance::Domains | Balance::Both => domain,
                Balance::None | Balance::Classes => "",
            };
            parts.entry(part).or_default().push(index);
        }
        let mut groups = Groups::new();
        for (domain, slices) in parts {
            groups = match balance {
                Balance::None => groups,
                Balance::Domains => groups.with(domain, slices, 1.0),
                Balance::Classes | Balance::Both => {
                    self.with_structures(groups, domain, &slices)?
                }
            };
        }
        Ok(groups)
    }

    /// Adds the slices of a domain, in a group a structure, and one of those that show none.
    fn with_structures(&self, groups: Groups, domain: &str, slices: &[usize]) -> Result<Groups> {
        let (mut structures, mut empty) = (BTreeMap::<u8, Vec<usize>>::new(), Vec::new());
        for &index in slices {
            let mut shown = self.slices.read(index)?.labels.unwrap_or_default();
            shown.sort_unstable();
            shown.dedup();
            if shown.iter().all(|&label| label == 0) {
                empty.push(index);
            }
            for label in shown.into_iter().filter(|&label| label > 0) {
                structures.entry(label).or_default().push(index);
            }
        }
        let of_empty = empty.len() as f64 / slices.len().max(1) as f64;
        let of_each = (1.0 - of_empty) / structures.len().max(1) as f64;
        let name = |what: String| format!("{domain} {what}").trim().to_owned();
        let groups = groups.with(name("no structure".into()), empty, of_empty);
        Ok(structures.into_iter().fold(groups, |groups, (label, slices)| {
            groups.with(name(format!("class {label}")), slices, of_each)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use udas_data::{Place, Slice, SliceSource, Window};
    use udas_network::Task;

    /// Slices of 1 x 2 pixels with these labels.
    struct Labels(Vec<[u8; 2]>);

    impl SliceSource for Labels {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn size(&self) -> [usize; 2] {
            [1, 2]
        }

        fn read(&self, index: usize) -> udas_data::Result<Slice> {
            Ok(Slice {
                image: vec![0.0; 2],
                labels: Some(self.0[index].to_vec()),
                height: 1,
                width: 2,
                window: Window { top: 0, left: 0, height: 1, width: 2 },
                place: Place { subject: 0, slice: index, frame: 0 },
            })
        }

        fn describe(&self, index: usize) -> String {
            index.to_string()
        }
    }

    #[test]
    fn domains_and_structures_have_their_shares() {
        // Eight slices of A, half of them empty, of which one shows class 2; two of B.
        let labels =
            [[0, 0], [0, 0], [0, 0], [0, 0], [1, 1], [1, 0], [0, 1], [1, 2], [1, 1], [1, 2]];
        let domains = ["A"; 8].into_iter().chain(["B"; 2]).map(Arc::from).collect();
        let slices = Arc::new(Labels(labels.to_vec()));
        let set = LabelledSet { slices, task: Task::MultiClass { classes: 3 }, domains };
        let of = |balance| set.groups(balance).unwrap().describe(40);
        assert!(set.groups(Balance::None).unwrap().is_empty());
        assert_eq!(of(Balance::Domains), "A 20 of 8, B 20 of 2");
        assert_eq!(of(Balance::Classes), "no structure 16 of 4, class 1 12 of 6, class 2 12 of 2");
        let both = "A no structure 10 of 4, A class 1 5 of 4, A class 2 5 of 1, B class 1 10 of 2, B class 2 10 of 1";
        assert_eq!(of(Balance::Both), both);
    }
}
