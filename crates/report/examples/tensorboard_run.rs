//! Writes an invented run for TensorBoard: `cargo run -p udas-report --example tensorboard_run -- DIR`, then
//! `tensorboard --logdir DIR`. No number in it was measured on anything.
use std::path::PathBuf;

use udas_record::Event;
use udas_report::tensorboard::write_run;

#[path = "../tests/sample/mod.rs"]
mod sample;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "sample-run".into()));
    let experiment = sample::experiment(sample::Pairs::OneSource, 1, 6);
    let trained = experiment.outcomes.iter().find(|outcome| !outcome.epochs.is_empty());
    let epochs = trained.into_iter().flat_map(|outcome| outcome.epochs.iter().cloned());
    let events: Vec<Event> = epochs.map(Event::Epoch).collect();
    let path = write_run(&folder, &events, &[("overlays/s1".into(), sample::picture(1))])?;
    println!("{}", path.display());
    Ok(())
}
