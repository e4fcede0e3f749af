//! `udas calibrate`: from labelled source data, how signals without labels speak of the true score.
use crate::console::Console;
use crate::options::word;
use crate::out_file;
use crate::quality::{self, CalibrateMasks};
use crate::{failure, interrupt, nnunet};
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_data::{DataSet, Plane, Subject};
use udas_record::read_start;
use udas_run::judging::{self, Judged};
use udas_run::readiness;
use udas_run::selection;
use udas_run::settings::needed;
use udas_run::training::{self, Use};
use udas_verdict::{CalibrateConfig, Calibrating, Calibration, FAMILY, Measurements, SLICES};

/// Learns from labelled source data to predict scores without labels
///
/// Examples: udas calibrate --model runs/source --data data --domain GE_3 --subjects 17-30 --out runs/source/calibration.json,
/// udas calibrate --masks masks --labels labels --others fold_1 fold_2 --out reference.json
///
/// With --masks and --labels, it learns from masks of any tool, for `udas judge --masks`.
///
/// Simulated scanner shifts stand in for targets. Give subjects that the model was not trained on: it is
/// surer of the others than it will be of a target. `udas adapt` finds calibration.json beside the model. After Ctrl-C the
/// same command goes on.
#[derive(Args)]
pub struct CalibrateArgs {
    /// The source model: a run folder, .safetensors or .pth; or an nnU-Net folder
    #[arg(short, long, required_unless_present = "masks")]
    model: Option<PathBuf>,
    /// Labelled source data: domain folders, CC-359, M&Ms, BIDS or nnU-Net raw data
    #[arg(long, value_name = "DIR", required_unless_present = "masks")]
    data: Option<PathBuf>,
    /// Its domains
    #[arg(long, num_args = 1.., value_name = "NAME", required_unless_present = "masks")]
    pub domain: Vec<String>,
    /// Which subjects: names, or places in name order from 1, as 1-16,20 [default: all]
    #[arg(long, value_name = "LIST")]
    pub subjects: Option<String>,
    /// The calibration, JSON
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Other trainings of the source model (other seeds): their agreement becomes part of the prediction, for
    /// judgements that are given the same ones
    #[arg(long, num_args = 1.., value_name = "MODEL")]
    pub peers: Vec<PathBuf>,
    /// Slices of each subject that are measured
    #[arg(long, default_value_t = SLICES)]
    pub slices: usize,
    /// Subjects that the shifts are applied to; the labels of all give plausible volumes
    #[arg(long, value_name = "N", default_value_t = 4)]
    shifted: usize,
    /// Plane of slices, for models that do not say: sagittal, coronal, axial or stored
    #[arg(long, value_parser = word::<Plane>())]
    pub plane: Option<Plane>,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    masks: CalibrateMasks,
}

pub fn run(args: &CalibrateArgs, console: &Console) -> Result<()> {
    out_file::prepare_json(&args.out)?;
    if args.masks.masks.is_some() {
        return quality::calibrate(&args.masks, args.subjects.as_deref(), &args.out, console);
    }
    let model_path = needed(args.model.as_ref(), "--model")?;
    let data = needed(args.data.as_ref(), "--data")?;
    if args.slices < 2 || args.shifted == 0 {
        let text = "--slices: give at least 2, a pair of neighbours; --shifted: at least 1";
        return Err(failure::usage(text).into());
    }
    if nnunet::is_folder(model_path) {
        return nnunet::calibrate::run(args, (model_path, data), console);
    }
    let layout = selection::preprocessing_of(DataSet::open(data)?.layout());
    let model = selection::load_model(
        model_path,
        selection::in_plane(layout, args.plane),
        &[args.plane.map(|_| "--plane")],
        console,
    )?;
    readiness::of_source(&model).iter().for_each(|text| console.warn(text));
    let peers = judging::peers(&args.peers, &model, Judged::Nothing)?;
    let subjects = selection::domains(data, &args.domain, console)?;
    let subjects = selection::choose(subjects, args.subjects.as_deref(), console)?;
    let files = hashes(&subjects)?;
    for model in std::iter::once(model_path).chain(&args.peers) {
        warn_of_training(model, &files, console);
    }
    let config = args.config();
    let work = Calibrating::new(&model, &peers, &subjects, console.device(), &config)?;
    finish(work, files, &args.out, console)
}

impl CalibrateArgs {
    /// How the calibration is made.
    pub fn config(&self) -> CalibrateConfig {
        CalibrateConfig {
            slices: self.slices,
            subjects: self.shifted,
            seed: self.seed,
            shifts: FAMILY.to_vec(),
        }
    }
}

/// Measures what is left to measure, and writes what follows.
pub fn finish(
    mut work: Calibrating,
    files: Vec<FileHashes>,
    out: &Path,
    console: &Console,
) -> Result<()> {
    measure(&mut work, files, out, console)?;
    let calibration = work.finish()?;
    calibration.save(out)?;
    // It has served.
    let _ = std::fs::remove_file(unfinished(out));
    tell(&calibration, out, console)
}

/// Says how good a calibration is.
fn tell(calibration: &Calibration, out: &Path, console: &Console) -> Result<()> {
    let quality = calibration.quality;
    let auroc = quality.harm_auroc.map(|auroc| format!(", AUROC for harm {auroc:.3}"));
    let text = format!(
        "{}\n{} measurements of {} shifts; on shifts left out: error of Dice {:.3}, correlation {:.3}{}; \
         interval +-{:.3}, of the mean change +-{:.3} where \
         masks agree to 0.9",
        out.display(),
        calibration.rows.len(),
        FAMILY.len(),
        quality.error,
        quality.correlation,
        auroc.unwrap_or_default(),
        calibration.half_width,
        calibration.change_half_width(0.9),
    );
    let value = json!({
        "calibration": out.display().to_string(),
        "measurements": calibration.rows.len(),
        "quality": quality,
        "half-width": calibration.half_width,
        "change-half-width": calibration.change_half_width(0.9),
    });
    console.result(text, &value)
}

/// What an interrupted calibration leaves beside its file.
#[derive(Serialize, Deserialize)]
struct Unfinished {
    /// Of each subject.
    files: Vec<FileHashes>,
    measured: Measurements,
}

/// SHA-256 of what is read of a subject.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct FileHashes {
    subject: String,
    image: String,
    labels: Option<String>,
}

pub fn hashes(subjects: &[Subject]) -> Result<Vec<FileHashes>> {
    let hash = |role, path: &Path| training::hashed(role, path).map(|input| input.sha256);
    let of = |subject: &Subject| {
        Ok(FileHashes {
            subject: subject.id.clone(),
            image: hash("image", &subject.image)?,
            labels: subject.labels.as_deref().map(|path| hash("label", path)).transpose()?,
        })
    };
    subjects.iter().map(of).collect()
}

fn unfinished(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

/// Measures shift by shift, from where an interrupted run of the same command has come to. What is done is kept, so that
/// an interruption costs a shift at most.
fn measure(
    work: &mut Calibrating,
    files: Vec<FileHashes>,
    out: &Path,
    console: &Console,
) -> Result<()> {
    let path = unfinished(out);
    let mut progress = console.progress(work.steps(), "calibrating");
    if let Ok(text) = std::fs::read(&path) {
        let earlier = serde_json::from_slice::<Unfinished>(&text).ok();
        let earlier = earlier.filter(|earlier| earlier.files == files);
        if earlier.is_some_and(|earlier| work.go_on_from(earlier.measured)) {
            console.say(format!("goes on from {}", path.display()));
            (0..work.measured().steps()).for_each(|_| progress.advance(""));
        } else {
            console.warn(format!(
                "{}: is of other files, models or settings, and is replaced; this calibration begins anew",
                path.display()
            ));
        }
    }
    let mut kept = Unfinished { files, measured: work.measured().clone() };
    interrupt::flag();
    while work.measure_next(&mut || progress.advance(""))? {
        kept.measured = work.measured().clone();
        out_file::write(&path, &serde_json::to_vec(&kept)?)?;
        if interrupt::asked() {
            anyhow::bail!("interrupted; the same command goes on from {}", path.display());
        }
    }
    progress.finish();
    Ok(())
}

/// Says which of the subjects the run that made a model has learned from: it is surer of them than of others, and as a
/// peer it knows their labels.
fn warn_of_training(model: &Path, files: &[FileHashes], console: &Console) {
    let run = if model.is_dir() { model } else { model.parent().unwrap_or(Path::new("")) };
    let Ok(start) = read_start(run) else { return };
    let inputs = start.into_iter().flat_map(|start| start.inputs);
    let learned = inputs.filter(|input| input.role == Use::Learned.roles()[0]);
    let seen: BTreeSet<String> = learned.map(|input| input.sha256).collect();
    let names: Vec<&str> = files
        .iter()
        .filter(|file| seen.contains(&file.image))
        .map(|file| file.subject.as_str())
        .collect();
    if !names.is_empty() {
        console.warn(format!(
            "the training of {} read {}: scores will be predicted too high; give subjects that it has not seen",
            model.display(),
            names.join(", ")
        ));
    }
}
