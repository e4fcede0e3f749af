//! Whether a source model and its early head know enough to teach on a new scanner.
use serde::{Deserialize, Serialize};
use udas_model::{HeadFile, ModelFile};
use udas_record::Convergence;

/// What an adaptation by an early head does where the source model or the head is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unready {
    /// It does not begin; exit code 4.
    #[default]
    Refuse,
    /// It warns, and goes on.
    Warn,
}

/// Dice of an early head on its own domain below which it is worth a warning.
const MEDIOCRE_HEAD: f64 = 0.8;
/// Agreement of an early head and its network on the target below which it cannot teach.
pub const AGREEMENT: f64 = 0.3;

/// What is to be said of a model that knows nothing, whatever is done with it.
pub fn of_knowledge(model: &ModelFile) -> Option<String> {
    let measured = model.info.convergence?;
    (measured.dice < Convergence::MODEL_DICE).then(|| {
        format!(
            "the source model hardly knows its own domain: Dice {:.3} on {} slices; nothing that is made of it can be good. \
             Train it on labels that it can learn from, or for longer (udas train --epochs auto)",
            measured.dice,
            held_out(&measured)
        )
    })
}

/// What is to be said of a source model from which something is made.
pub fn of_source(model: &ModelFile) -> Vec<String> {
    let Some(measured) = model.info.convergence else { return Vec::new() };
    let mut said: Vec<String> = of_knowledge(model).into_iter().collect();
    if !measured.is_sure() {
        said.push(format!(
            "the source model has not converged: after {} steps it is right on {:.1} % of the pixels of {} slices, and only \
             {:.1} % sure; methods that learn from its probabilities learn that blur. Train it for longer \
             (udas train --epochs auto)",
            measured.steps,
            100.0 * measured.accuracy,
            held_out(&measured),
            100.0 * measured.confidence
        ));
    }
    said
}

/// What is to be said of an early head.
pub fn of_head(measured: &Convergence) -> Option<String> {
    (measured.dice < MEDIOCRE_HEAD).then(|| {
        format!(
            "the early head {} its own domain: Dice {:.3} on {} slices; what it does not know it cannot teach. Train it \
             for longer (udas head --epochs auto), or on a deeper stage (udas head --level)",
            if measured.dice < Convergence::HEAD_DICE { "does not know" } else { "half knows" },
            measured.dice,
            held_out(measured)
        )
    })
}

/// Why an adaptation by an early head should not begin, if there is a reason.
pub fn refusal(source: &ModelFile, head: &HeadFile) -> Option<String> {
    let ignorant = head.info.convergence.is_some_and(|m| m.dice < Convergence::HEAD_DICE);
    if of_source(source).is_empty() && !ignorant {
        return None;
    }
    let said =
        of_source(source).into_iter().chain(head.info.convergence.as_ref().and_then(of_head));
    Some(said.collect::<Vec<_>>().join("; ") + ". --unready warn goes on all the same")
}

/// The same where no more than the head is known.
pub fn refusal_by_head(head: &HeadFile) -> Option<String> {
    let measured =
        head.info.convergence.filter(|measured| measured.dice < Convergence::HEAD_DICE)?;
    Some(of_head(&measured)? + ". --unready warn goes on all the same")
}

/// What is to be said of the agreement of head and network on the target before the first step.
pub fn of_agreement(agreement: f64) -> Option<String> {
    (agreement < AGREEMENT).then(|| {
        format!(
            "the early head hardly agrees with the network on these images (Dice {agreement:.3}): what it taught would be \
             worth nothing. Train the head for longer, or on a deeper stage (udas head --level)"
        )
    })
}

fn held_out(measured: &Convergence) -> &'static str {
    if measured.held_out { "held-out" } else { "training" }
}
