//! `udas judge`: two models on unlabelled volumes, and whether the second should be kept; or masks of any tool.
use crate::console::Console;
use crate::quality::{self, JudgeMasks};
use crate::{failure, nnunet, out_file};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use udas_data::Preprocessing;
use udas_record::Decision;
use udas_run::judging::{self, Judged, JudgingAids};
use udas_run::selection::{self, Images};
use udas_run::{readiness, spacing};
use udas_verdict::{Calibration, Judgement};

/// Says without labels whether an adapted model should be kept: keep, roll back or abstain
///
/// Examples: udas judge --before runs/source --after runs/adapted --images new_scanner/*.nii.gz,
/// udas judge --masks masks --others fold_1 fold_2 --reference reference.json --images images --page worst
///
/// Labels are not opened. With a calibration (`udas calibrate`), each subject's Dice is predicted with an
/// interval; without one, conservative rules decide. With --masks, masks of any tool are looked at instead, and listed
/// worst first.
#[derive(Args)]
pub struct JudgeArgs {
    /// The source model: a run folder, .safetensors, .pth, or a model folder of nnU-Net
    #[arg(long)]
    pub before: Option<PathBuf>,
    /// The adapted model
    #[arg(long)]
    pub after: Option<PathBuf>,
    #[command(flatten)]
    pub images: Images,
    /// Other trainings of the source model (other seeds): masks that become unlike theirs speak of harm
    #[arg(long, num_args = 1.., value_name = "MODEL")]
    pub peers: Vec<PathBuf>,
    /// Calibration [default: calibration.json beside the source model]
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// The judgement as JSON: the verdict, and every signal of every subject
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// End with code 4 unless the verdict is keep
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    masks: JudgeMasks,
}

impl JudgeArgs {
    /// Both models, which must be named where no masks are.
    fn models(&self) -> Result<(&PathBuf, &PathBuf)> {
        let text = match (&self.before, &self.after) {
            (Some(before), Some(after)) => return Ok((before, after)),
            (Some(_), None) => "--after is missing; give the adapted model",
            (None, Some(_)) => "--before is missing; give the source model",
            (None, None) => {
                "there is nothing to judge; give two models, --before SOURCE --after ADAPTED, or masks of any tool, --masks DIR"
            }
        };
        Err(failure::usage(text).into())
    }
}

pub fn run(args: &JudgeArgs, console: &Console) -> Result<()> {
    if args.masks.masks.is_some() {
        return quality::judge(&args.masks, &args.images, args.out.as_deref(), console);
    }
    let (before_path, after_path) = args.models()?;
    args.images.check()?;
    if let Some(path) = &args.out {
        out_file::prepare_json(path)?;
    }
    if nnunet::judge::are_two(before_path, after_path)? {
        let (judgement, calibration) =
            nnunet::judge::run(args, (before_path, after_path), console)?;
        return tell(args, &judgement, calibration.as_ref(), console);
    }
    let suggestion = selection::in_plane(args.images.preprocessing()?, None);
    let path = judging::adapted_model(after_path);
    if path != *after_path {
        console.say(format!("judged: {}", path.display()));
    }
    let after = selection::load_model(&path, suggestion.clone(), &[], console)?;
    // An adapted model knows its source's slices; intensities are what it may see in another way.
    let Preprocessing { intensity, .. } = suggestion;
    let sight = Preprocessing { intensity, ..after.info.preprocessing.clone() };
    let before = selection::load_model(before_path, sight, &[Some("--plane")], console)?;
    let same_sight = before.info.preprocessing == after.info.preprocessing;
    if before.hash()? == after.hash()? && same_sight {
        let text = format!(
            "--after {}: is the model of --before, to the bit; give its adaptation",
            after_path.display()
        );
        return Err(failure::usage(&text).into());
    }
    if before.info.provenance.base == Some(after.hash()?) {
        let text = format!(
            "{} was adapted from {}: exchange --before and --after",
            before_path.display(),
            after_path.display()
        );
        return Err(failure::usage(&text).into());
    }
    readiness::of_source(&before).iter().for_each(|text| console.warn(text));
    let subjects = args.images.subjects(console)?;
    selection::warn_of_orientations(&after.info, &subjects, console);
    spacing::warn(&after.info, &subjects, console);
    let named = (args.calibration.as_deref(), args.peers.as_slice());
    let aids = JudgingAids::find(named, (before_path, &before), Judged::Model(&after), console)?;
    let case = aids.case(&before, &after);
    let judgement = judging::judged(&case, &subjects, console)?;
    tell(args, &judgement, case.calibration, console)
}

/// Writes a judgement where it is wanted, and says it.
fn tell(
    args: &JudgeArgs,
    judgement: &Judgement,
    calibration: Option<&Calibration>,
    console: &Console,
) -> Result<()> {
    if let Some(path) = &args.out {
        out_file::write(path, &serde_json::to_vec_pretty(judgement)?)?;
    }
    console.result(judging::text(judgement, calibration), judgement)?;
    if args.exit_code && judgement.decision != Decision::Keep {
        let text = format!("the verdict is not keep, but {}", judgement.decision.words());
        return Err(failure::rejected(text).into());
    }
    Ok(())
}
