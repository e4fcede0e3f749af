//! What runs and experiments leave, of any bytes: events, results, scores. What is accepted is written and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_record::{Evaluation, Experiment, parse_events, to_lines};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(events) = parse_events(text)
    {
        let lines = to_lines(&events);
        let again = parse_events(&lines).expect("what was written can be read");
        assert_eq!(to_lines(&again), lines);
    }
    let path = udas_fuzz::file("results.json", bytes);
    if let Ok(experiment) = Experiment::read(&path) {
        let text = experiment.to_json();
        let path = udas_fuzz::file("again.json", text.as_bytes());
        assert_eq!(Experiment::read(&path).expect("what was written can be read").to_json(), text);
    }
    if let Ok(scores) = Evaluation::read(&path) {
        let text = scores.to_json();
        let path = udas_fuzz::file("again.json", text.as_bytes());
        assert_eq!(Evaluation::read(&path).expect("what was written can be read").to_json(), text);
    }
});
