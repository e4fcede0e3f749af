//! From the jobs' files to one experiment record: `results.json`, `results.csv`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use udas_record::{
    DataSet, Evaluation, Experiment, MethodKind, Origin, Outcome, Provenance, Published,
    RESULTS_FILE,
};

use super::definition::Definition;
use super::files;
use super::grid::{Cell, Data, Grid, PREDICTIONS, SCORES};
use super::plan::{Job, Plan};
use super::state::State;

/// Gathers the outcomes of an experiment's finished cells.
pub fn gather(grid: &Grid, cells: &[Cell], plan: &Plan, command: &str) -> Result<Experiment> {
    let definition = grid.definition;
    let methods = definition.methods_of(grid.preset);
    let baseline = methods.iter().find(|method| method.kind == MethodKind::Baseline);
    // Scores of the source model, which every other method's stand beside.
    let mut before: BTreeMap<(&str, u64), (PathBuf, Evaluation)> = BTreeMap::new();
    let mut outcomes = Vec::new();
    let mut ordered: Vec<&Cell> = cells.iter().collect();
    ordered.sort_by_key(|cell| baseline.is_none_or(|baseline| cell.method != baseline.name));
    for cell in ordered {
        let scored = plan.out.join(&plan.jobs[cell.score].id);
        let after = read_scores(&scored.join(SCORES))?;
        let key = (cell.target.as_str(), cell.seed);
        let source = before.get(&key);
        outcomes.push(outcome(definition, cell, plan, source.map(|(_, scores)| scores), &after)?);
        if let (Some(place), Some((source, _))) = (cell.adapt, source) {
            show_masks(&plan.out.join(&plan.jobs[place].id), source, &scored)?;
        }
        if baseline.is_some_and(|baseline| cell.method == baseline.name) {
            before.insert(key, (scored, after));
        }
    }
    let experiment = Experiment {
        title: definition.title.clone(),
        question: definition.question.clone(),
        focus: Some(definition.focus.clone()),
        data: data_set(grid),
        metrics: definition.metrics.clone(),
        methods: methods.iter().map(|method| method.description()).collect(),
        outcomes,
        histograms: Vec::new(),
        published: published(grid),
        provenance: provenance(cells, plan, command),
    };
    experiment.check()?;
    Ok(experiment)
}

/// Puts the masks and scores where `udas report` looks for its pictures: in the run's folder, as links.
#[cfg(unix)]
fn show_masks(run: &Path, source: &Path, adapted: &Path) -> Result<()> {
    let links = [
        ("before", source.join(PREDICTIONS)),
        ("before.json", source.join(SCORES)),
        ("after", adapted.join(PREDICTIONS)),
        ("after.json", adapted.join(SCORES)),
    ];
    for (name, target) in links {
        let link = run.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(&target, &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    Ok(())
}

/// Links need rights of their own on other systems: the report then comes without pictures.
#[cfg(not(unix))]
fn show_masks(_run: &Path, _source: &Path, _adapted: &Path) -> Result<()> {
    Ok(())
}

/// Writes `results.json` and `results.csv` below a folder.
pub fn write(experiment: &Experiment, folder: &Path) -> Result<()> {
    files::write_atomically(&folder.join(RESULTS_FILE), experiment.to_json().as_bytes())?;
    let mut csv = Vec::new();
    experiment.write_csv(&mut csv)?;
    files::write_atomically(&folder.join("results.csv"), &csv)
}

fn read_scores(path: &Path) -> Result<Evaluation> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{} holds no scores of this version", path.display()))
}

fn outcome(
    definition: &Definition,
    cell: &Cell,
    plan: &Plan,
    before: Option<&Evaluation>,
    after: &Evaluation,
) -> Result<Outcome> {
    let folder = |place: usize| plan.out.join(&plan.jobs[place].id);
    let mut outcome = match cell.adapt {
        Some(place) => {
            let run = folder(place);
            Outcome::from_run(&run).with_context(|| format!("{} is no run", run.display()))?.0
        }
        None => Outcome::default(),
    };
    outcome.source.clone_from(&definition.source);
    outcome.target.clone_from(&cell.target);
    outcome.method.clone_from(&cell.method);
    outcome.seed = cell.seed;
    let predictions = folder(cell.score).join(PREDICTIONS);
    outcome.run = Some(outcome.run.unwrap_or_else(|| predictions.display().to_string()));
    outcome.set_scores(before, after);
    Ok(outcome)
}

fn data_set(grid: &Grid) -> DataSet {
    let definition = grid.definition;
    let (name, origin, description) = match grid.data {
        Data::Phantom => (
            format!("phantom in the layout of {}", definition.data_set),
            Origin::Synthetic,
            "Synthetic images from tissue constants and scanner protocols: they show whether a method copes \
             with shifts of contrast, shading, noise, sharpness and voxel size, and cannot show how well it \
             does on patients."
                .into(),
        ),
        Data::Folder { path, .. } => {
            // A phantom that the user has placed somewhere is a phantom still; it says so itself.
            let note = std::fs::read_to_string(path.join("README.txt")).unwrap_or_default();
            let origin =
                if note.contains("Synthetic") { Origin::Synthetic } else { Origin::Real };
            (definition.data_set.clone(), origin, String::new())
        }
    };
    DataSet { name, origin, description, classes: definition.classes.clone() }
}

/// Figures from the literature say nothing about a phantom.
fn published(grid: &Grid) -> Vec<Published> {
    if data_set(grid).origin != Origin::Real {
        return Vec::new();
    }
    let methods = grid.definition.methods_of(grid.preset);
    let rows = grid.definition.published.iter();
    rows.flat_map(|row| {
        methods.iter().filter_map(|method| {
            row.values.get(&method.name).map(|&value| Published {
                source: grid.definition.source.clone(),
                target: row.target.clone(),
                method: method.name.clone(),
                metric: row.metric.clone(),
                value,
                reference: row.reference.clone(),
            })
        })
    })
    .collect()
}

fn provenance(cells: &[Cell], plan: &Plan, command: &str) -> Provenance {
    let state = State::of(&plan.out);
    let finished = |cell: &Cell| state.finished(&plan.jobs[cell.score]);
    let times = cells.iter().filter_map(finished).map(|finished| finished.finished_unix);
    let example = |job: &Job| {
        job.steps
            .iter()
            .map(|step| format!("udas {}", step.arguments.join(" ")))
            .collect::<Vec<_>>()
    };
    let mut commands = vec![command.to_string()];
    // One job of each stage shows how the others look.
    let mut stages = std::collections::BTreeSet::new();
    commands.extend(plan.jobs.iter().filter(|job| stages.insert(job.stage)).flat_map(example));
    Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        commit: commit(),
        finished_unix: times.max(),
        machine: None,
        inputs: Vec::new(),
        commands,
        settings: Vec::new(),
    }
}

fn commit() -> Option<String> {
    let mut git = std::process::Command::new("git");
    git.args(["rev-parse", "--short=12", "HEAD"]).current_dir(crate::workspace::root());
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
