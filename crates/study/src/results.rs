//! From the jobs' files to one experiment record: `results.json`, `results.csv`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use udas_record::{
    Class, DataSet, Evaluation, Experiment, MethodDescription, MethodKind, Origin, Outcome,
    Provenance, Published, RESULTS_FILE, SubjectVolumes,
};

use crate::data::{Data, Folder};
use crate::definition::Method;
use crate::error::{Error, Result};
use crate::files;
use crate::grid::{Cell, Grid, PREDICTIONS, SCORES};
use crate::ingredients;
use crate::plan::{Job, Plan};
use crate::state::State;

/// Who made the results, for their provenance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maker {
    /// The command that makes them again.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// Commit of the program, where known.
    pub commit: Option<String>,
}

/// Gathers the outcomes of an experiment's finished cells.
pub fn gather(grid: &Grid, cells: &[Cell], plan: &Plan, maker: &Maker) -> Result<Experiment> {
    let definition = grid.definition;
    let folder = plan.out.join(&definition.name);
    let methods = definition.methods_of(grid.preset);
    let baseline = methods.iter().find(|method| method.kind == MethodKind::Baseline);
    // Scores of the source model, which every other method's stand beside.
    let mut before: BTreeMap<(&str, &str, u64), (PathBuf, Evaluation)> = BTreeMap::new();
    let mut outcomes = Vec::new();
    let mut ordered: Vec<&Cell> = cells.iter().collect();
    ordered.sort_by_key(|cell| baseline.is_none_or(|baseline| cell.method != baseline.name));
    for cell in ordered {
        let scored = plan.out.join(&plan.jobs[cell.score].id);
        let after = Evaluation::read(&scored.join(SCORES))?;
        let key = (cell.source.as_str(), cell.target.as_str(), cell.seed);
        let source = before.get(&key);
        let mut outcome = course(cell, plan)?;
        outcome.source.clone_from(&cell.source);
        outcome.target.clone_from(&cell.target);
        outcome.method.clone_from(&cell.method);
        outcome.seed = cell.seed;
        outcome.set_scores(source.map(|(_, scores)| scores), &after);
        if let Some((source, _)) = source {
            outcome.volumes = volumes(&outcome, [&folder, source, &scored]);
        }
        outcomes.push(outcome);
        if baseline.is_some_and(|baseline| cell.method == baseline.name) {
            before.insert(key, (scored, after));
        }
    }
    let mut experiment = Experiment {
        title: definition.title.clone(),
        question: definition.question.clone(),
        // A preset may compare other methods: the first of them answers then.
        focus: methods
            .iter()
            .any(|method| method.name == definition.focus)
            .then(|| definition.focus.clone()),
        data: data_set(grid),
        metrics: definition.metrics.clone(),
        methods: methods.iter().map(|method| describe(method, grid)).collect(),
        ingredients: ingredients::gather(cells, plan)?,
        outcomes,
        // Counted by `udas report`, which can read images.
        histograms: Vec::new(),
        published: published(grid),
        provenance: provenance(cells, plan, maker),
    };
    name_classes(&mut experiment);
    experiment.check()?;
    Ok(experiment)
}

/// Names the classes that are scored and that the experiment does not name.
fn name_classes(experiment: &mut Experiment) {
    let classes = &mut experiment.data.classes;
    for column in experiment.outcomes.iter().flat_map(|outcome| &outcome.scores) {
        if classes.iter().all(|class| class.label != column.class) {
            let name = format!("class {}", column.class);
            classes.push(Class { label: column.class.clone(), name });
        }
    }
}

/// A method in words. Where the preset does not say who is scored, those are scored too whose labels an oracle was given.
fn describe(method: &Method, grid: &Grid) -> MethodDescription {
    let mut description = method.description();
    if method.kind == MethodKind::Oracle && grid.preset.options.score.is_empty() {
        description.idea += " They are scored too: no bound for subjects that are not seen.";
    }
    description
}

/// The masks of each subject that was scored, for the pictures of the report: paths below `folder` relative to
/// it. `udas report` finds the images and labels behind them in the data set that the run names, whether the run
/// saw them or not.
fn volumes(outcome: &Outcome, [folder, source, adapted]: [&Path; 3]) -> Vec<SubjectVolumes> {
    let mask = |scored: &Path, subject: &str| {
        let path = scored.join(PREDICTIONS).join(format!("{subject}.nii.gz"));
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        path.is_file().then_some(shown)
    };
    let files = |subject: &String| {
        Some(SubjectVolumes {
            subject: subject.clone(),
            before: mask(source, subject),
            after: Some(mask(adapted, subject)?),
            ..SubjectVolumes::default()
        })
    };
    outcome.subjects.iter().filter_map(files).collect()
}

/// The same as `results.json` for spreadsheets.
pub const CSV_FILE: &str = "results.csv";

/// Writes `results.json` and `results.csv` below a folder.
pub fn write(experiment: &Experiment, folder: &Path) -> Result<()> {
    files::write_atomically(&folder.join(RESULTS_FILE), experiment.to_json().as_bytes())?;
    let mut csv = Vec::new();
    let path = folder.join(CSV_FILE);
    experiment.write_csv(&mut csv).map_err(|source| Error::Write { path: path.clone(), source })?;
    files::write_atomically(&path, &csv)
}

/// The course of a cell's adaptation; nothing for the source model as it is.
fn course(cell: &Cell, plan: &Plan) -> Result<Outcome> {
    let Some(place) = cell.adapt else { return Ok(Outcome::default()) };
    let run = plan.out.join(&plan.jobs[place].id);
    Ok(Outcome::from_run(&run)?.0)
}

fn data_set(grid: &Grid) -> DataSet {
    let definition = grid.definition;
    let (name, origin, description) = match grid.data {
        Data::Phantom(_) => (
            format!("phantom in the layout of {}", definition.data_set),
            Origin::Synthetic,
            "Synthetic images from tissue constants and scanner protocols: they show whether a method copes \
             with shifts of contrast, shading, noise, sharpness and voxel size, and cannot show how well it \
             does on patients."
                .into(),
        ),
        Data::Folder(Folder { path, .. }) => {
            // A phantom that the user has placed somewhere is a phantom still; it says so itself.
            let note = std::fs::read_to_string(path.join("README.txt")).unwrap_or_default();
            let origin =
                if note.contains("Synthetic") { Origin::Synthetic } else { Origin::Real };
            let name = match definition.data_set.as_str() {
                "" => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                name => name.into(),
            };
            (name, origin, String::new())
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

fn provenance(cells: &[Cell], plan: &Plan, maker: &Maker) -> Provenance {
    let state = State::of(&plan.out);
    let finished = |cell: &Cell| state.finished(&plan.jobs[cell.score]);
    let times = cells.iter().filter_map(finished).map(|finished| finished.finished_unix);
    let example = |job: &Job| {
        job.steps
            .iter()
            .map(|step| format!("udas {}", step.arguments.join(" ")))
            .collect::<Vec<_>>()
    };
    let mut commands = vec![maker.command.clone()];
    // One job of each stage shows how the others look.
    let mut stages = std::collections::BTreeSet::new();
    commands.extend(plan.jobs.iter().filter(|job| stages.insert(job.stage)).flat_map(example));
    Provenance {
        version: maker.version.clone(),
        commit: maker.commit.clone(),
        finished_unix: times.max(),
        commands,
        ..Provenance::default()
    }
}
