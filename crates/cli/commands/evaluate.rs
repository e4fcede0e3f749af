//! `udas evaluate`: predictions against labels, subject by subject.
use crate::console::Console;
use crate::pairs::{self, Pair, Values};
use crate::{failure, interrupt, out_file, segmentations};
use anyhow::{Context, Result};
use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;
use udas_metrics::{
    Config, Connectivity, Grid, Metric, MetricSummary, Score, SubjectScores, Summary, score_labels,
};
use udas_record::{Evaluation, plain_in_tables};
use udas_report::record_scores;
use udas_run::selection::{self, OptionalSet};
use udas_volume::{Labels, format_mm, probe_labels, read_label_frames};

/// Scores predictions against labels: Dice, surface Dice, Hausdorff and more, in 3-D, per subject
///
/// Example: udas evaluate --predictions masks --labels new_scanner/masks --out scores.json
///
/// Writes FILE and, beside it, the same scores as CSV. A DICOM SEG (NAME.dcm) is read on the grid of the other file.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Folder of predictions
    #[arg(long, value_name = "DIR")]
    predictions: PathBuf,
    /// Folder of labels of the same names (NAME, NAME_gt, NAME_seg, NAME_mask, NAME_label or NAME_ss)
    #[arg(long, value_name = "DIR", required_unless_present = "data", conflicts_with = "data")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    set: OptionalSet,
    /// Scores as JSON; the CSV lies beside it
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Tolerances of surface Dice in mm
    #[arg(long, num_args = 1.., default_values_t = [1.0, 2.0])]
    tolerance_mm: Vec<f64>,
    /// Percentiles of the Hausdorff distance
    #[arg(long, num_args = 1.., default_values_t = [95.0])]
    percentile: Vec<f64>,
}

pub fn run(args: &EvaluateArgs, console: &Console) -> Result<()> {
    out_file::names_json(&args.out)?;
    let config =
        Config::new(args.tolerance_mm.clone(), args.percentile.clone(), Connectivity::Corners)?;
    let pairs = pairs(args, console)?;
    if pairs.is_empty() {
        let shown = args.predictions.display();
        return Err(failure::input(format!("{shown}: holds no predictions; check the path")).into());
    }
    out_file::prepare(&args.out, "--out")?;
    interrupt::flag();
    let mut rows: Vec<(String, SubjectScores)> = Vec::new();
    let mut values = Values::new();
    let mut progress = console.progress(pairs.len(), "subjects");
    for pair in &pairs {
        anyhow::ensure!(!interrupt::asked(), "interrupted; nothing is written");
        rows.push((pair.subject.clone(), score(pair, &config, &mut values)?));
        progress.advance(&pair.subject);
    }
    progress.finish();
    values.warn(console);
    warn_of_coarse_voxels(&pairs, &args.tolerance_mm, console)?;
    complete_classes(&mut rows, &config)?;
    write(args, &rows)?;
    let mut summary = Summary::new();
    rows.iter().for_each(|(_, scores)| summary.push(scores));
    let table = summary.rows();
    console.result(format_table(&table, rows.len()), &table)
}

/// The predictions with their labels.
fn pairs(args: &EvaluateArgs, console: &Console) -> Result<Vec<Pair>> {
    let subjects = args.set.subjects.as_deref();
    match (&args.labels, &args.set.data) {
        (Some(labels), _) => pairs::by_name(&args.predictions, labels, subjects, console),
        (None, Some(root)) => {
            let all = selection::domains(root, &args.set.domain, console)?;
            let chosen = selection::choose(all, subjects, console)?;
            selection::named_once(&chosen)?;
            pairs::of_subjects(&args.predictions, &chosen, console)
        }
        (None, None) => Err(failure::usage("give --labels DIR, or --data and --domain").into()),
    }
}

/// Says where voxels are larger than a tolerance: a surface Dice there tells little of what lies between.
fn warn_of_coarse_voxels(pairs: &[Pair], tolerances: &[f64], console: &Console) -> Result<()> {
    let Some(finest) = tolerances.iter().copied().reduce(f64::min) else { return Ok(()) };
    let mut coarse = 0.0f64;
    for pair in pairs {
        let spacing = probe_labels(&pair.truth)?.grid.affine.spacing();
        coarse = coarse.max(spacing.into_iter().fold(f64::INFINITY, f64::min));
    }
    if coarse > finest {
        console.warn(format!(
            "voxels are {} mm at their finest side: surface scores at smaller tolerances hardly differ; give --tolerance-mm",
            format_mm(coarse)
        ));
    }
    Ok(())
}

fn score(pair: &Pair, config: &Config, values: &mut Values) -> Result<SubjectScores> {
    let grid = segmentations::common_grid([pair.truth.as_path(), &pair.prediction])?;
    let prediction = segmentations::read_labels(&pair.prediction, grid.as_ref())?;
    let truth = match pair.frame {
        None => segmentations::read_labels(&pair.truth, grid.as_ref())?,
        Some(frame) => read_label_frames(&pair.truth, &[frame])?
            .pop()
            .with_context(|| format!("{}: frame {frame} is missing", pair.truth.display()))?,
    };
    prediction.grid().check_same(&pair.prediction, truth.grid(), &pair.truth)?;
    if let Some(degrees) = truth.affine().shear_degrees() {
        let text = format!(
            "{}: its axes are sheared by {degrees:.1} degrees, as by a tilted gantry, and surfaces are measured on axes \
             at right angles; resample it and {} onto a grid that has them",
            pair.truth.display(),
            pair.prediction.display()
        );
        return Err(failure::input(text).into());
    }
    values.add(prediction.data(), truth.data());
    let grid = Grid::new(truth.shape(), truth.spacing())
        .map_err(|error| failure::input(format!("{}: {error}", pair.truth.display())))?;
    let classes = classes_in(&[&prediction, &truth]);
    Ok(score_labels(prediction.data(), truth.data(), &grid, &classes, config)?)
}

/// Labels other than background.
fn classes_in(masks: &[&Labels]) -> Vec<u8> {
    let mut present = [false; 256];
    masks.iter().flat_map(|mask| mask.data()).for_each(|&label| present[usize::from(label)] = true);
    (1..=255).filter(|&label| present[usize::from(label)]).collect()
}

/// Gives every subject every class: one that neither truth nor prediction has is undefined, not absent.
fn complete_classes(rows: &mut [(String, SubjectScores)], config: &Config) -> Result<()> {
    let of =
        |scores: &SubjectScores| -> Vec<u8> { scores.classes.iter().map(|c| c.class).collect() };
    let mut all: BTreeSet<u8> = rows.iter().flat_map(|(_, scores)| of(scores)).collect();
    if all.is_empty() {
        all.insert(1);
    }
    let grid = Grid::new([1, 1, 1], [1.0; 3])?;
    for (_, scores) in rows {
        let missing: Vec<u8> =
            all.iter().copied().filter(|class| !of(scores).contains(class)).collect();
        scores.classes.extend(score_labels(&[0], &[0], &grid, &missing, config)?.classes);
        scores.classes.sort_by_key(|class| class.class);
    }
    Ok(())
}

fn write(args: &EvaluateArgs, rows: &[(String, SubjectScores)]) -> Result<()> {
    let labels = args.labels.as_ref().or(args.set.data.as_ref());
    let evaluation = Evaluation {
        predictions: args.predictions.display().to_string(),
        // From wherever it is read, it leads there.
        labels: labels
            .map(std::path::absolute)
            .transpose()?
            .map_or_else(String::new, |path| path.display().to_string()),
        tolerances_mm: args.tolerance_mm.clone(),
        subjects: rows.iter().map(|(subject, scores)| record_scores(subject, scores)).collect(),
    };
    out_file::write(&args.out, serde_json::to_string_pretty(&evaluation)?.as_bytes())?;
    let csv = args.out.with_extension("csv");
    out_file::write(&csv, &table_as_csv(rows)?)?;
    Ok(())
}

fn table_as_csv(rows: &[(String, SubjectScores)]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let classes = || rows.iter().flat_map(|(_, scores)| &scores.classes);
    let mut header = vec!["subject".to_owned(), "class".to_owned()];
    if let Some(first) = classes().next() {
        header.extend(first.columns().into_iter().map(|(metric, _)| metric.to_string()));
    }
    writer.write_record(&header)?;
    for (subject, scores) in rows {
        for class in &scores.classes {
            let mut row = vec![plain_in_tables(subject), class.class.to_string()];
            row.extend(class.columns().into_iter().map(|(_, score)| match score {
                Score::Finite(value) => value.to_string(),
                Score::Infinite => "inf".into(),
                Score::Undefined => String::new(),
            }));
            writer.write_record(&row)?;
        }
    }
    Ok(writer.into_inner()?)
}

/// The scores that a first look asks for.
fn is_shown(metric: &Metric) -> bool {
    matches!(
        metric,
        Metric::Dice
            | Metric::SurfaceDice { .. }
            | Metric::Hausdorff { .. }
            | Metric::AverageSymmetric
            | Metric::VolumeDifference
    )
}

fn format_table(rows: &[MetricSummary], subjects: usize) -> String {
    let mut text = format!(
        "{subjects} subjects\n{:<7}{:<40} {:>10} {:>10} {:>10}{:>11}{:>10}\n",
        "class", "score", "mean", "sd", "median", "undefined", "infinite"
    );
    for row in rows.iter().filter(|row| is_shown(&row.metric)) {
        let figures = match &row.finite {
            Some(d) => {
                let sd = d.sd.map_or("-".into(), |sd| format!("{sd:.4}"));
                format!(" {:>10.4} {:>10} {:>10.4}", d.mean, sd, d.median)
            }
            None => format!(" {:>10} {:>10} {:>10}", "n/a", "-", "n/a"),
        };
        text += &format!(
            "{:<7}{:<40}{figures}{:>11}{:>10}\n",
            row.class,
            row.metric.to_string(),
            row.undefined,
            row.infinite
        );
    }
    text
}
