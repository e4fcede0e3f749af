//! `udas report`: one page of runs or of an experiment, with its figures.
use crate::commands::predict::plane_of;
use crate::console::Console;
use crate::{failure, histograms};
use anyhow::Result;
use clap::Args;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_data::{DataSet, Plane, Subject};
use udas_model::ModelFile;
use udas_record::{
    Evaluation, Experiment, Histogram, Input, Outcome, SCORES_FILE, ScoreColumn, SubjectVolumes,
};
use udas_volume::{read_labels, stem};

/// Makes one self-contained page of adaptation runs, or of an experiment's results.json
///
/// Example: udas report runs/adapted --out report
///
/// In a run folder it looks for scores.json and scores_before.json (of `udas evaluate`), and for the masks of
/// the adapted and of the source model in after/ and before/ (of `udas predict`).
#[derive(Args)]
pub struct ReportArgs {
    /// Run folders of `adapt`, results.json files, or folders that hold one
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder for index.html, results.json and results.csv
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Heading of the page [default: what was run]
    #[arg(long)]
    title: Option<String>,
    /// Write the plots as SVG and the overlays as PNG too, into DIR/figures
    #[arg(long)]
    figures: bool,
}

pub fn run(args: &ReportArgs, console: &Console) -> Result<()> {
    let mut experiment = Experiment::gather(&args.runs)?;
    if let Some(title) = &args.title {
        experiment.title = title.clone();
    }
    let mut plane = Plane::Sagittal;
    let mut drawn = Vec::new();
    let inputs = experiment.provenance.inputs.clone();
    for outcome in &mut experiment.outcomes {
        let Some(run) = outcome.run.clone().map(PathBuf::from) else { continue };
        if !run.join(udas_model::MODEL_FILE).is_file() {
            continue;
        }
        plane = ModelFile::load(&run, None)?.info.preprocessing.plane;
        if outcome.volumes.is_empty() {
            outcome.volumes = volumes(&run, &inputs)?;
        }
        if outcome.scores.is_empty() {
            predicted_volumes(outcome)?;
        }
        match histograms::of_run(&run) {
            Ok(found) => found.into_iter().for_each(|histogram| {
                if !drawn.iter().any(|known: &Histogram| known.domain == histogram.domain) {
                    drawn.push(histogram);
                }
            }),
            Err(error) => console.warn(format!("no histograms of {}: {error:#}", run.display())),
        }
    }
    if experiment.histograms.is_empty() {
        experiment.histograms = drawn;
    }
    experiment.describe_missing();
    if experiment.data.name.is_empty() {
        let targets: BTreeSet<&str> =
            experiment.outcomes.iter().map(|o| o.target.as_str()).collect();
        experiment.data.name = targets.into_iter().collect::<Vec<_>>().join(", ");
    }
    // Paths within results.json start at its folder, those of runs where the program was started.
    let base = match args.runs.as_slice() {
        [only] if only.is_file() => only.parent().unwrap_or(Path::new(".")),
        _ => Path::new("."),
    };
    let failed = |error: udas_report::Error| failure::input(format!("{error}"));
    let pictures =
        udas_report::write_report(&experiment, base, plane_of(plane), &args.out).map_err(failed)?;
    let mut files = vec![args.out.join(udas_report::PAGE_FILE)];
    files.extend(udas_report::write_results(&experiment, &args.out).map_err(failed)?);
    if args.figures {
        let folder = args.out.join("figures");
        files.extend(udas_report::figures(&experiment, &pictures, &folder).map_err(failed)?);
    }
    let page = args.out.join(udas_report::PAGE_FILE).display().to_string();
    console.result(page, &serde_json::json!({ "files": files }))
}

/// The files of each subject that was predicted in a run folder.
fn volumes(run: &Path, inputs: &[Input]) -> Result<Vec<SubjectVolumes>> {
    let before = masks(&run.join("before"))?;
    let truths = truths(run)?;
    let volumes = |after: Subject| {
        let image = inputs.iter().find(|input| {
            input.role == "image" && named_after(&stem(Path::new(&input.path)), &after.id)
        });
        let earlier = before.iter().find(|earlier| earlier.id == after.id);
        SubjectVolumes {
            image: image.map(|input| input.path.clone()),
            truth: truths
                .iter()
                .find(|(id, _)| named_after(id, &after.id))
                .map(|(_, path)| path.clone()),
            before: earlier.map(|earlier| earlier.image.display().to_string()),
            after: Some(after.image.display().to_string()),
            subject: after.id,
            ..SubjectVolumes::default()
        }
    };
    Ok(masks(&run.join("after"))?.into_iter().map(volumes).collect())
}

/// Whether a file belongs to a subject: its name, perhaps with an ending such as `_ss`.
fn named_after(name: &str, subject: &str) -> bool {
    name.strip_prefix(subject).is_some_and(|end| end.is_empty() || end.starts_with('_'))
}

/// Names and label files of what the run was scored against.
fn truths(run: &Path) -> Result<Vec<(String, String)>> {
    let scores = run.join(SCORES_FILE);
    if !scores.is_file() {
        return Ok(Vec::new());
    }
    let folder = PathBuf::from(Evaluation::read(&scores)?.labels);
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
pub fn masks(folder: &Path) -> Result<Vec<Subject>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut masks = udas_data::expand(&[folder.to_owned()], "")?;
    masks.retain(|mask| !mask.id.ends_with("_overlay") && !mask.id.contains("_prob"));
    Ok(masks)
}

fn volume_ml(path: &str) -> Result<f64> {
    let mask = read_labels(Path::new(path))?;
    let voxel: f64 = mask.spacing().iter().product();
    Ok(mask.data().iter().filter(|&&label| label > 0).count() as f64 * voxel / 1000.0)
}
