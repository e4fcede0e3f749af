//! `udas report`: one page of runs or of an experiment, with its figures.
use crate::commands::predict::plane_of;
use crate::console::Console;
use crate::failure;
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use udas_data::Subject;
use udas_model::ModelFile;
use udas_nn::write_whole;
use udas_record::{
    Better, Evaluation, Experiment, MetricDescription, Outcome, RESULTS_FILE, ScoreColumn,
    StartRecord,
};
use udas_report::{Case, Picture, Pictures, before_after, cases};
use udas_volume::{Labels, read, read_labels, stem};

/// Makes one self-contained page of adaptation runs, or of an experiment's results.json
///
/// Example: udas report runs/adapted --out report
///
/// In a run folder it looks for before.json and after.json (of `udas evaluate`), and for the masks of the source
/// and of the adapted model in before/ and after/ (of `udas predict`).
#[derive(Args)]
pub struct ReportArgs {
    /// Run folders of `adapt`, or one folder or file of results.json
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder for index.html
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Heading of the page
    #[arg(long, default_value = "Adaptation to a new scanner")]
    title: String,
    /// Write the plots as SVG and the overlays as PNG too, into DIR/figures
    #[arg(long)]
    figures: bool,
}

pub fn run(args: &ReportArgs, console: &Console) -> Result<()> {
    let experiment = gather(args)?;
    experiment.check()?;
    let pictures = pictures(&experiment, console)?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| failure::input(format!("{}: {error}", args.out.display())))?;
    let page = args.out.join("index.html");
    write_whole(&page, udas_report::html(&experiment, &pictures).as_bytes())?;
    write_whole(&args.out.join(RESULTS_FILE), experiment.to_json().as_bytes())?;
    let mut csv = Vec::new();
    experiment.write_csv(&mut csv)?;
    write_whole(&args.out.join("results.csv"), &csv)?;
    let mut files = vec![page.clone()];
    if args.figures {
        files.extend(udas_report::figures(&experiment, &pictures, &args.out.join("figures"))?);
    }
    console.result(page.display().to_string(), &serde_json::json!({ "files": files }))
}

fn gather(args: &ReportArgs) -> Result<Experiment> {
    if let [only] = args.runs.as_slice() {
        let results = if only.is_dir() { only.join(RESULTS_FILE) } else { only.clone() };
        let is_results = results.extension().is_some_and(|extension| extension == "json");
        if is_results && results.is_file() {
            return Ok(Experiment::read(&results)?);
        }
    }
    let mut experiment = Experiment {
        title: args.title.clone(),
        question: "Did adaptation help?".into(),
        ..Experiment::default()
    };
    for run in &args.runs {
        let (outcome, start) = outcome(run)?;
        if let Some(start) = start {
            experiment.provenance.version = start.version;
            experiment.provenance.machine = Some(start.machine);
            experiment.provenance.inputs.extend(start.inputs);
        }
        experiment.outcomes.push(outcome);
    }
    experiment.describe_missing();
    if experiment.metrics.is_empty() {
        experiment.metrics.push(MetricDescription {
            name: "prediction_volume_ml".into(),
            title: "volume predicted".into(),
            better: Better::Higher,
            smallest_change: 1.0,
            unit: "ml".into(),
        });
    }
    Ok(experiment)
}

/// What a run folder says, with its scores where they were made.
fn outcome(run: &Path) -> Result<(Outcome, Option<StartRecord>)> {
    let (mut outcome, start) = Outcome::from_run(run)?;
    let provenance = ModelFile::load(run, None)?.info.provenance;
    outcome.method = provenance.method.unwrap_or(provenance.command);
    let mut domains = provenance.domains.into_iter();
    outcome.source = domains.next().unwrap_or_else(|| "source".into());
    outcome.target = domains.next_back().unwrap_or_else(|| "target".into());
    match (evaluation(&run.join("before.json"))?, evaluation(&run.join("after.json"))?) {
        (before, Some(after)) => outcome.set_scores(before.as_ref(), &after),
        (_, None) => volumes(run, &mut outcome)?,
    }
    Ok((outcome, start))
}

fn evaluation(path: &Path) -> Result<Option<Evaluation>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let evaluation = serde_json::from_slice(&text).map_err(|error| {
        failure::input(format!("{}: not scores of `udas evaluate` ({error})", path.display()))
    })?;
    Ok(Some(evaluation))
}

/// Without labels: the volumes predicted before and after, from the masks in the run folder.
fn volumes(run: &Path, outcome: &mut Outcome) -> Result<()> {
    let (before, after) = (masks(&run.join("before"))?, masks(&run.join("after"))?);
    let mut column = ScoreColumn {
        class: "1".into(),
        metric: "prediction_volume_ml".into(),
        ..ScoreColumn::default()
    };
    for subject in after {
        let earlier = before.iter().find(|earlier| earlier.id == subject.id);
        column.before.push(earlier.map(|earlier| volume_ml(&earlier.image)).transpose()?);
        column.after.push(Some(volume_ml(&subject.image)?));
        outcome.subjects.push(subject.id);
    }
    if !outcome.subjects.is_empty() {
        outcome.scores.push(column);
    }
    Ok(())
}

fn masks(folder: &Path) -> Result<Vec<Subject>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut masks = udas_data::expand(&[folder.to_owned()], "")?;
    masks.retain(|mask| !mask.id.ends_with("_overlay") && !mask.id.contains("_prob"));
    Ok(masks)
}

fn volume_ml(path: &Path) -> Result<f64> {
    let mask = read_labels(path)?;
    let voxel: f64 = mask.spacing().iter().product();
    Ok(mask.data().iter().filter(|&&label| label > 0).count() as f64 * voxel / 1000.0)
}

fn pictures(experiment: &Experiment, console: &Console) -> Result<Pictures> {
    let mut pictures = Pictures::default();
    for case in cases(experiment) {
        let Some(run) = case.run.clone().map(PathBuf::from) else { continue };
        match draw(&run, &case) {
            Ok(Some(picture)) => pictures.insert(case, &picture)?,
            Ok(None) => {}
            Err(error) => console.warn(format!("no picture of {}: {error:#}", case.subject)),
        }
    }
    Ok(pictures)
}

/// A subject's slice with truth, before and after; none where a mask is missing.
fn draw(run: &Path, case: &Case) -> Result<Option<Picture>> {
    let mask = |folder: &str| -> Result<Option<Labels>> {
        let found = masks(&run.join(folder))?.into_iter().find(|mask| mask.id == case.subject);
        Ok(found.map(|mask| read_labels(&mask.image)).transpose()?)
    };
    let (Some(before), Some(after)) = (mask("before")?, mask("after")?) else { return Ok(None) };
    let (_, start) = Outcome::from_run(run)?;
    let inputs = start.map(|start| start.inputs).unwrap_or_default();
    let find = |role: &str| {
        let named = |path: &str| {
            let stem = stem(Path::new(path));
            stem == case.subject || stem.strip_prefix(&case.subject).is_some_and(|end| end.starts_with('_'))
        };
        inputs.iter().find(|input| input.role == role && named(&input.path))
    };
    let Some(image) = find("image") else { return Ok(None) };
    let image = read(Path::new(&image.path))?;
    let truth = match (find("label"), evaluation(&run.join("after.json"))?) {
        (Some(label), _) => Some(read_labels(Path::new(&label.path))?),
        (None, Some(scores)) => {
            let folder = PathBuf::from(scores.labels);
            let found = masks(&folder)?.into_iter().find(|mask| mask.id == case.subject);
            found.map(|mask| read_labels(&mask.image)).transpose()?
        }
        (None, None) => None,
    };
    let plane = plane_of(ModelFile::load(run, None)?.info.preprocessing.plane);
    Ok(Some(before_after(&image, truth.as_ref(), &before, &after, plane).draw()?))
}
