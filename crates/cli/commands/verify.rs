//! `udas verify`: an adaptation made again from its record, and compared to the bit.
use crate::console::Console;
use crate::{failure, interrupt, nnunet};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use udas_model::ModelFile;
use udas_nn::StateDict;
use udas_record::{Phase, StartRecord, read_start};
use udas_run::judging;
use udas_run::training;
use udas_run::{AdaptSettings, Job, RunFolder, Settings, Start};

/// Repeats an adaptation from its record and says whether the result is the same
///
/// Example: udas verify runs/adapted
#[derive(Args)]
pub struct VerifyArgs {
    /// Folder of an adaptation that is done
    run: PathBuf,
}

pub fn run(args: &VerifyArgs, console: &Console) -> Result<()> {
    let (settings, start) = begun_with(&args.run)?;
    let mut differences = differences(&start, console)?;
    let inputs_changed = differences.iter().any(|difference| difference.contains("has changed"));
    let mut result = Vec::new();
    if inputs_changed {
        console.warn("inputs have changed: the adaptation is not repeated");
    } else {
        let found = repeat(&args.run, settings, start, console)?;
        anyhow::ensure!(
            !interrupt::asked(),
            "interrupted; nothing is said of {}",
            args.run.display()
        );
        result = found;
    }
    let same = !inputs_changed && result.is_empty();
    differences.extend(result);
    let verdict = if same { "the same, to the bit" } else { "not the same" };
    let mut text = format!("{}: {verdict}", args.run.display());
    differences.iter().for_each(|difference| text += &format!("\n  {difference}"));
    console.result(text, &serde_json::json!({ "same": same, "differences": differences }))?;
    if same { Ok(()) } else { Err(failure::rejected("the run could not be reproduced").into()) }
}

/// What an adaptation began with.
fn begun_with(run: &Path) -> Result<(AdaptSettings, StartRecord)> {
    let config = RunFolder::config(run);
    let shown = config.display();
    let text = std::fs::read_to_string(&config).map_err(|error| {
        failure::input(format!("{shown}: {error}; is this the folder of a run?"))
    })?;
    let start = read_start(run)?
        .ok_or_else(|| failure::input(format!("{}: has no start event", run.display())))?;
    if start.command != "adapt" {
        let text = format!("{shown}: is of a `{}`; only adaptations are verified", start.command);
        return Err(failure::input(text).into());
    }
    let mut settings: AdaptSettings = toml::from_str(&text).map_err(|error| {
        failure::input(format!("{shown}: not the settings of an adaptation ({error})"))
    })?;
    settings.locate(&start);
    Ok((settings, start))
}

/// Makes the same adaptation again, in a folder that is thrown away, and says how its result differs from the one that was
/// kept.
fn repeat(
    kept: &Path,
    settings: AdaptSettings,
    start: StartRecord,
    console: &Console,
) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().map_err(|error| {
        let place = std::env::temp_dir();
        let text = format!(
            "{}: no temporary folder can be made there ({error}); set TMPDIR",
            place.display()
        );
        failure::input(text)
    })?;
    let mut run = RunFolder::open(folder.path(), Start::Fresh, console)?;
    if nnunet::is_folder(kept) {
        let recorded = nnunet::adapt::adapted_weights(kept)?;
        let again = nnunet::adapt::again(settings, start, &mut run, console)?;
        return entries_that_differ(&recorded, &again);
    }
    let recorded = ModelFile::load(&judging::adapted_model(kept), None)?;
    let job = Job::prepare(settings, console)?;
    let resume = run.begin(job.settings(), start, Phase::Adapt)?;
    let adapted = job.adapt(&mut run, resume, console)?;
    compare(&recorded, &job.model_file(adapted.state, 0)?)
}

/// How another result differs from the one that was kept.
fn compare(recorded: &ModelFile, again: &ModelFile) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    let of = |model: &ModelFile| (model.info.preprocessing.clone(), model.info.class_ratio.clone());
    if of(recorded) != of(again) {
        differences.push("what is done to volumes before the network sees them differs".into());
    }
    differences.extend(entries_that_differ(&recorded.state, &again.state)?);
    Ok(differences)
}

/// What is not as it was: files, version, machine.
fn differences(start: &StartRecord, console: &Console) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    for input in &start.inputs {
        match training::hashed(&input.role, &start.locate(input.path.as_ref())) {
            Ok(now) if now.sha256 == input.sha256 => {}
            Ok(_) => differences.push(format!("{} ({}) has changed", input.path, input.role)),
            Err(error) => {
                differences.push(format!("{error:#}: it is gone, which has changed the inputs"))
            }
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    if start.version != version {
        differences.push(format!("version {} then, {version} now", start.version));
    }
    let machine = training::machine(console);
    if start.machine != machine {
        differences.push(format!("machine {:?} then, {machine:?} now", start.machine));
    }
    Ok(differences)
}

/// A sentence on the weights that differ, if there are some.
fn entries_that_differ(recorded: &StateDict, again: &StateDict) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, tensor) in recorded {
        let of = |tensor: &candle_core::Tensor| -> candle_core::Result<Vec<u64>> {
            let values =
                tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            Ok(values.into_iter().map(f64::to_bits).collect())
        };
        let same = match again.get(name) {
            Some(other) => of(tensor)? == of(other)?,
            None => false,
        };
        if !same {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let (count, all) = (names.len(), recorded.len());
    names.truncate(5);
    Ok(vec![format!("{count} of {all} entries differ, such as {}", names.join(", "))])
}
