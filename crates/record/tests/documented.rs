//! Every example in `docs/records.md` is read as what it says it is.
use udas_record::{Evaluation, Event, Experiment, parse_events, to_lines};

const DOCS: &str = include_str!("../../../docs/records.md");

/// Examples below the heading, up to the next one of its level.
fn examples(heading: &str) -> Vec<&'static str> {
    let (_, rest) = DOCS.split_once(&format!("## {heading}\n")).expect("the heading is there");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    section.split("```json\n").skip(1).filter_map(|part| part.split("\n```").next()).collect()
}

#[test]
fn events_are_read_and_written_as_documented() {
    let lines = examples("`events.jsonl`");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let events = parse_events(&text).unwrap();
    let kinds: Vec<_> = events.iter().map(std::mem::discriminant).collect();
    assert_eq!((events.len(), kinds.len()), (lines.len(), 8), "one example of every event");
    assert!(matches!(
        (events.first(), events.last()),
        (Some(Event::Start(_)), Some(Event::Stop(_)))
    ));
    assert_eq!(to_lines(&events), text);
}

#[test]
fn scores_and_results_are_read_as_documented() {
    for line in examples("`scores.json`") {
        let scores: Evaluation = serde_json::from_str(line).unwrap();
        let class = &scores.subjects[0].classes["1"];
        assert_eq!((class["hausdorff_95_mm"], class["precision"]), (Some(f64::INFINITY), None));
    }
    let results = examples("`results.json`");
    assert_eq!(results.len(), 1);
    let experiment: Experiment = serde_json::from_str(results[0]).unwrap();
    experiment.check().unwrap();
    assert_eq!(experiment.outcomes[0].scores[0].after, [Some(0.71)]);
    let again: Experiment = serde_json::from_str(&experiment.to_json()).unwrap();
    assert_eq!(again, experiment);
}
