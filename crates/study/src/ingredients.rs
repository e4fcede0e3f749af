//! The source models and early heads that adaptations start from, as their own trainings measured them.

use std::collections::BTreeSet;
use std::fmt::Write;

use udas_record::{Convergence, Event, Experiment, Ingredient, ResultsError, read_events};

use crate::error::Result;
use crate::grid::Cell;
use crate::plan::{Plan, Stage};

/// Those of an experiment's finished cells, source models first. What a program of before measured nothing is left out.
pub(crate) fn gather(cells: &[Cell], plan: &Plan) -> Result<Vec<Ingredient>> {
    let needs = |cell: &Cell| plan.jobs[cell.adapt.unwrap_or(cell.score)].needs.clone();
    let places: BTreeSet<usize> = cells.iter().flat_map(needs).collect();
    let mut found = Vec::new();
    for job in places.into_iter().map(|place| &plan.jobs[place]) {
        if matches!(job.stage, Stage::Source | Stage::Head) {
            let events = read_events(&plan.out.join(&job.id)).map_err(ResultsError::from)?;
            found.extend(of_run(&events, level(&job.id)));
        }
    }
    found.sort_by_key(|ingredient| (ingredient.level, ingredient.domain.clone(), ingredient.seed));
    Ok(found)
}

/// The level that a head's job is named after.
fn level(id: &str) -> Option<usize> {
    id.split('/').find_map(|part| part.strip_prefix("level-")?.parse().ok())
}

fn of_run(events: &[Event], level: Option<usize>) -> Option<Ingredient> {
    let (domain, seed) = events.iter().find_map(|event| match event {
        Event::Start(start) => Some((start.source.clone()?, start.seed)),
        _ => None,
    })?;
    let measured = events.iter().rev().find_map(|event| match event {
        Event::Convergence { measured, .. } => Some(*measured),
        _ => None,
    })?;
    Some(Ingredient { level, domain, seed, measured })
}

/// A line each, for the text of results.
pub(crate) fn text(experiment: &Experiment) -> String {
    let mut text = String::new();
    if !experiment.ingredients.is_empty() {
        text.push_str("\nSources and heads, each on its own domain:\n");
    }
    for ingredient in &experiment.ingredients {
        let Ingredient { domain, seed, measured, .. } = ingredient;
        let Convergence { steps, slices, dice, accuracy, confidence, .. } = measured;
        let _ = writeln!(
            text,
            "  {}, {domain}, seed {seed}: {steps} steps; Dice {dice:.3} on {slices} {} slices, right on {:.1} %, {:.1} % sure{}",
            ingredient.name(),
            if measured.held_out { "held-out" } else { "training" },
            100.0 * accuracy,
            100.0 * confidence,
            ingredient.fault().map(|fault| format!(": {fault}")).unwrap_or_default(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_record::{Phase, StartRecord};

    #[test]
    fn what_a_run_measured_is_an_ingredient() {
        let measured = Convergence {
            steps: 300,
            logit_scale: Some(1.1),
            slices: 40,
            held_out: true,
            dice: 0.9,
            accuracy: 0.98,
            confidence: 0.7,
            calibration_error: 0.28,
            foreground_probability: None,
        };
        let start = StartRecord { source: Some("B".into()), seed: 2, ..StartRecord::default() };
        let phase = Phase::Source;
        let events = [Event::Start(start), Event::Convergence { phase, measured }];
        let source = of_run(&events, level("mnms/source/from-B/seed-2")).unwrap();
        assert_eq!((source.level, source.domain.as_str(), source.seed), (None, "B", 2));
        assert_eq!(of_run(&events[..1], None), None, "a program of before measured nothing");
        assert_eq!(level("mnms/head/from-B/level-1/seed-2"), Some(1));
        let experiment = Experiment { ingredients: vec![source], ..Experiment::default() };
        let text = text(&experiment);
        assert!(
            text.contains("B, seed 2: 300 steps") && text.contains("has not converged"),
            "{text}"
        );
    }
}
