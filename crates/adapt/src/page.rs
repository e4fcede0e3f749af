//! The registry as a page for readers, `docs/methods.md`.
use crate::{METHODS, Method, NormChoice, Options};
use std::fmt::Write as _;
use udas_train::StopRule;

/// All methods in Markdown: a table, then a section each.
pub fn methods_page() -> String {
    let mut page = String::from(OPENING);
    for method in METHODS {
        let (recipe, options) = (method.recipe(), method.options());
        let (supervision, at) = match recipe.moves {
            crate::Moves::Nothing => ("-", "-"),
            _ => (recipe.supervision.words(), recipe.output.words()),
        };
        let (name, moves, norm) = (method.name(), recipe.moves.words(), norm(&options));
        let _ = writeln!(page, "| [{name}](#{name}) | {moves} | {supervision} | {at} | {norm} |");
    }
    for method in METHODS {
        section(&mut page, *method);
    }
    page
}

const OPENING: &str = "\
# Methods

This page is written by a test from the registry that `udas methods` prints (`crates/adapt/src/methods`).
Edit the method files, then run `UDAS_WRITE_DOCS=1 cargo test -p udas-adapt --test methods_page`.

A method is a choice of what moves, what supervises it, at which output, and how batch norm behaves. H(q, p)
is the cross-entropy of p with q, H(p) the entropy of p. Defaults are starting points that have not been
tuned on a target: early-features has the values of the published code.

| method | moves | supervised by | at | batch norm |
|---|---|---|---|---|
";

fn norm(options: &Options) -> String {
    match options.norm {
        NormChoice::ReEstimated if options.target_share < 1.0 => {
            let (target, source) = (options.target_share, 1.0 - options.target_share);
            format!("{target} of the target's statistics and {source} of the source's")
        }
        choice => choice.words().to_owned(),
    }
}

fn section(page: &mut String, method: &dyn Method) {
    let about = method.about();
    let needs: Vec<_> = about.needs.iter().map(|need| need.words()).collect();
    let needs = match needs.is_empty() {
        true => "unlabelled target images alone".to_owned(),
        false => needs.join("; "),
    };
    let _ = write!(
        page,
        "\n## {}\n\n{}\n\n- Equation: {}\n- Source: {}\n- Moves: {}\n- Needs: {needs}\n- Known failure: {}\n- Defaults: {}\n",
        method.name(),
        about.idea,
        about.equation,
        about.source,
        method.recipe().moves.words(),
        about.failure,
        defaults(method),
    );
}

fn defaults(method: &dyn Method) -> String {
    let options = method.options();
    if method.recipe().moves == crate::Moves::Nothing {
        return match options.norm {
            NormChoice::ReEstimated => format!("target share {}", options.target_share),
            _ => "none".to_owned(),
        };
    }
    let stop = match options.stop {
        StopRule::Never => "no stop rule".to_owned(),
        StopRule::ScoreChangeBelow(change) => {
            format!("stops when the score changes by less than {change}")
        }
        StopRule::UntilConverged(_) => "until held-out labels are learned".to_owned(),
    };
    format!(
        "learning rate {}, batches of {}, at most {} epochs, {stop}",
        options.learning_rate, options.batch_size, options.epochs
    )
}
