//! `udas report`: one page of runs or of an experiment, with its figures.
use crate::commands::predict::plane_of;
use crate::commands::serve::serve;
use crate::console::Console;
use crate::predictions::{self, made_by};
use crate::run_subjects::{RunSubjects, complete};
use crate::{failure, histograms};
use anyhow::{Context, Result};
use clap::Args;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_adapt::{METHODS, Requirement};
use udas_data::{DataSet, Plane, Subject};
use udas_model::ModelFile;
use udas_record::{
    Evaluation, Experiment, MethodKind, Outcome, SCORES_FILE, ScoreColumn, StartRecord,
    SubjectVolumes, read_start,
};
use udas_run::judging;
use udas_verdict::{JUDGEMENT_FILE, Judgement};
use udas_volume::{read_labels, stem};

/// Makes one self-contained page of adaptation runs, or of an experiment's results.json
///
/// Example: udas report runs/adapted --out report
///
/// In a run folder it looks for scores.json and scores_before.json (of `udas evaluate`), for judgement.json (of
/// `udas judge --out`; in place of the verdict of the adaptation itself), and for the masks of the adapted and of the
/// source model in after/ and before/ (of `udas predict`).
#[derive(Args)]
pub struct ReportArgs {
    /// Run folders of `adapt`, results.json files, or folders that hold one
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder for index.html, results.json and results.csv
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Heading of the page [default: what was run]
    #[arg(long)]
    title: Option<String>,
    /// Write the plots as SVG and the overlays as PNG too, into DIR/figures
    #[arg(long)]
    figures: bool,
    /// Hashes in place of the subjects' names; no paths, commands and settings: a page to show outside the house
    #[arg(long)]
    anonymous: bool,
    /// Show the page at a port of this machine, made anew for every visit, until Ctrl-C; 0 takes any free port
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "8080")]
    serve: Option<u16>,
}

pub fn run(args: &ReportArgs, console: &Console) -> Result<()> {
    let page = args.out.join(udas_report::PAGE_FILE);
    if let Some(port) = args.serve {
        return serve(port, console, || make(args, console).map(|_| page.clone()));
    }
    let files = make(args, console)?;
    let shown: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    console.result(page.display().to_string(), &serde_json::json!({ "files": shown }))
}

/// Writes the page and what goes with it; the names of the files.
fn make(args: &ReportArgs, console: &Console) -> Result<Vec<PathBuf>> {
    let mut experiment = Experiment::gather(&args.runs)?;
    if let Some(title) = &args.title {
        experiment.title = title.clone();
    }
    let mut subjects = RunSubjects::default();
    let plane = look_into_runs(&mut experiment, &mut subjects, console)?;
    // The results are written into another folder, from where relative paths would lead nowhere.
    let volumes = experiment.outcomes.iter_mut().flat_map(|outcome| &mut outcome.volumes);
    for path in volumes.flat_map(SubjectVolumes::paths_mut) {
        *path = std::path::absolute(&*path)?.display().to_string();
    }
    describe_methods(&mut experiment);
    histograms::add(&mut experiment, &mut subjects, console);
    experiment.describe_missing();
    if experiment.data.name.is_empty() {
        let targets: BTreeSet<&str> =
            experiment.outcomes.iter().map(|o| o.target.as_str()).collect();
        experiment.data.name = targets.into_iter().collect::<Vec<_>>().join(", ");
    }
    if args.anonymous {
        let salt = salt(&experiment);
        experiment.anonymise(|name| alias(&salt, name));
    }
    let pictures =
        udas_report::write_report(&experiment, Path::new("."), plane_of(plane), &args.out)?;
    if args.anonymous {
        experiment.forget_volumes();
    }
    let mut files = vec![args.out.join(udas_report::PAGE_FILE)];
    files.extend(udas_report::write_results(&experiment, &args.out)?);
    if args.figures {
        let folder = args.out.join("figures");
        files.extend(udas_report::figures(&experiment, &pictures, &folder)?);
    }
    Ok(files)
}

/// What hashes of names are mixed with, so that nobody who has not the files can try names: the files' own hashes.
fn salt(experiment: &Experiment) -> String {
    experiment.provenance.inputs.iter().map(|input| input.sha256.as_str()).collect()
}

/// A subject's name as a hash, the same on every page of the same files.
fn alias(salt: &str, name: &str) -> String {
    let hash = Sha256::new().chain_update(salt).chain_update(name).finalize();
    let digits: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("subject-{digits}")
}

/// Says of methods that results files do not describe what is known of them: that an oracle is one, above all.
fn describe_methods(experiment: &mut Experiment) {
    for method in experiment.methods.iter_mut().filter(|method| method.idea.is_empty()) {
        let name = method.name.split(", ").next().unwrap_or_default();
        let Some(about) = METHODS.iter().find(|m| m.name() == name).map(|m| m.about()) else {
            continue;
        };
        method.idea = about.idea.into();
        if about.needs.contains(&Requirement::TargetLabels) {
            method.kind = MethodKind::Oracle;
        }
    }
}

/// Adds what the runs' folders know: files for the overlays, volumes where nothing was scored. Returns the plane
/// of the slices that the first model sees.
fn look_into_runs(
    experiment: &mut Experiment,
    subjects: &mut RunSubjects,
    console: &Console,
) -> Result<Plane> {
    let mut plane = None;
    for outcome in &mut experiment.outcomes {
        let Some(run) = outcome.run.clone().map(PathBuf::from) else { continue };
        if !run.join(udas_model::MODEL_FILE).is_file() {
            continue;
        }
        if plane.is_none() {
            plane = Some(ModelFile::load(&run, None)?.info.preprocessing.plane);
        }
        warn_of_exchange(&run, console);
        if let Some(judgement) = later_judgement(&run)? {
            outcome.verdict = Some(judgement.verdict());
        }
        if outcome.volumes.is_empty() {
            outcome.volumes = volumes(&run)?;
        }
        complete(&mut outcome.volumes, subjects.of_run(&run, console));
        name_by_inputs(&mut outcome.volumes, &run)?;
        if outcome.scores.is_empty() {
            predicted_volumes(outcome)?;
        }
    }
    Ok(plane.unwrap_or(Plane::Sagittal))
}

/// What was said of a run's model on volumes other than those it was adapted to.
fn later_judgement(run: &Path) -> Result<Option<Judgement>> {
    let path = run.join(JUDGEMENT_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let shown = path.display();
    let text = std::fs::read(&path).with_context(|| shown.to_string())?;
    let judgement = serde_json::from_slice(&text).map_err(|error| {
        failure::input(format!("{shown}: not of `udas judge --out` ({error}); remove it"))
    })?;
    Ok(Some(judgement))
}

/// Says where the masks before adaptation are those of the adapted model.
fn warn_of_exchange(run: &Path, console: &Console) {
    let made = ["before", "after"].map(|name| made_by(&run.join(name)));
    let [Some(before), Some(after)] = made else { return };
    let adapted =
        ModelFile::load(&judging::adapted_model(run), None).and_then(|model| model.hash());
    if before != after && adapted.is_ok_and(|adapted| adapted == before) {
        console.warn(format!(
            "{}: before/ holds masks of the adapted model, and after/ those of another: exchange the folders",
            run.display()
        ));
    }
}

/// The masks of each subject that was predicted in a run folder.
fn volumes(run: &Path) -> Result<Vec<SubjectVolumes>> {
    let before = masks(&run.join("before"))?;
    let volumes = |after: Subject| {
        let earlier = before.iter().find(|earlier| earlier.id == after.id);
        SubjectVolumes {
            before: earlier.map(|earlier| earlier.image.display().to_string()),
            after: Some(after.image.display().to_string()),
            subject: after.id,
            ..SubjectVolumes::default()
        }
    };
    Ok(masks(&run.join("after"))?.into_iter().map(volumes).collect())
}

/// Where no data set knows the subjects: images that the run read, and labels that it was scored against, of about
/// the same name.
fn name_by_inputs(volumes: &mut [SubjectVolumes], run: &Path) -> Result<()> {
    let start = read_start(run)?.unwrap_or_default();
    let truths = truths(run, &start)?;
    for files in volumes {
        if files.image.is_none() {
            let image = start.inputs.iter().find(|input| {
                input.role == "image" && named_after(&stem(Path::new(&input.path)), &files.subject)
            });
            files.image =
                image.map(|input| start.locate(input.path.as_ref()).display().to_string());
        }
        if files.truth.is_none() {
            let truth = truths.iter().find(|(id, _)| named_after(id, &files.subject));
            files.truth = truth.map(|(_, path)| path.clone());
        }
    }
    Ok(())
}

/// Whether a file belongs to a subject: its name, perhaps with an ending such as `_ss`.
fn named_after(name: &str, subject: &str) -> bool {
    name.strip_prefix(subject).is_some_and(|end| end.is_empty() || end.starts_with('_'))
}

/// Names and label files of what the run was scored against.
fn truths(run: &Path, start: &StartRecord) -> Result<Vec<(String, String)>> {
    let scores = run.join(SCORES_FILE);
    if !scores.is_file() {
        return Ok(Vec::new());
    }
    let folder = start.locate(Evaluation::read(&scores)?.labels.as_ref());
    let shown = |path: &Path| path.display().to_string();
    Ok(match DataSet::open(&folder) {
        Ok(set) => {
            let mut truths = Vec::new();
            for domain in set.domains() {
                let subjects = set.subjects(&domain)?.into_iter();
                truths.extend(subjects.filter_map(|s| Some((s.id, shown(&s.labels?)))));
            }
            truths
        }
        Err(_) => masks(&folder)?.into_iter().map(|mask| (mask.id, shown(&mask.image))).collect(),
    })
}

/// Without labels: the volumes predicted before and after.
fn predicted_volumes(outcome: &mut Outcome) -> Result<()> {
    let volume = |path: &Option<String>| path.as_deref().map(volume_ml).transpose();
    let mut column = ScoreColumn {
        class: "1".into(),
        metric: "prediction_volume_ml".into(),
        ..ScoreColumn::default()
    };
    for files in &outcome.volumes {
        column.before.push(volume(&files.before)?);
        column.after.push(volume(&files.after)?);
        outcome.subjects.push(files.subject.clone());
    }
    if !outcome.subjects.is_empty() {
        outcome.scores.push(column);
    }
    Ok(())
}

/// The masks in a folder; what `predict` writes beside them is left out.
fn masks(folder: &Path) -> Result<Vec<Subject>> {
    Ok(predictions::masks(folder)?)
}

fn volume_ml(path: &str) -> Result<f64> {
    let mask = read_labels(Path::new(path))?;
    let voxel = mask.affine().voxel_mm3();
    Ok(mask.data().iter().filter(|&&label| label > 0).count() as f64 * voxel / 1000.0)
}
