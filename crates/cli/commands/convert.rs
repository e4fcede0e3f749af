//! `udas convert`: between `.pth` and `.safetensors`, names kept; to `.onnx`.
use crate::commands::predict::patched;
use crate::console::Console;
use crate::onnx::Exported;
use crate::options::word;
use crate::{failure, nnunet, out_file};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use udas_data::{DataSet, Plane, Preprocessing};
use udas_model::{Description, ModelFile, marks};
use udas_network::EarlyHead;
use udas_nn::Checkpoint;
use udas_onnx::Norms;
use udas_run::{intensity, selection};

/// Converts a checkpoint between .pth and .safetensors, names kept; merges a patch into its base; writes .onnx
///
/// Examples: udas convert unet.pth unet.safetensors,
/// udas convert runs/adapted model.onnx --fold-norms,
/// udas convert runs/source adapted.safetensors --patch runs/adapted/patch.safetensors,
/// udas convert unet.pth unet.safetensors --plane axial --intensity z-score,
/// udas convert nnUNetTrainer__nnUNetPlans__2d/fold_0 weights.safetensors
#[derive(Args)]
pub struct ConvertArgs {
    /// Checkpoint to read: a run folder, .safetensors, .pth, or a fold of nnU-Net
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Checkpoint to write; its ending decides the format: .safetensors, .pth or .onnx
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Merge what an adaptation changed (RUN/patch.safetensors) into the model it was made from
    #[arg(long, value_name = "FILE")]
    patch: Option<PathBuf>,
    /// Write into the .safetensors how the network was trained to see volumes, which a .pth file cannot say: plane of
    /// slices
    #[arg(long, value_parser = word::<Plane>(), requires = "intensity", conflicts_with = "patch")]
    plane: Option<Plane>,
    /// And intensities: min-max, percentile, percentile:LOW,HIGH or z-score
    #[arg(long, requires = "plane")]
    intensity: Option<String>,
    /// And how slices were turned and padded: as those of this data set's layout, CC-359 or M&Ms [default: upright, padded
    /// to multiples of 8]
    #[arg(long, value_name = "DIR", requires = "plane")]
    data: Option<PathBuf>,
    /// Write a model folder of nnU-Net, OUT, with the weights of IN; all else as in this folder or fold of nnU-Net
    #[arg(long, value_name = "DIR", conflicts_with_all = ["patch", "plane"])]
    like: Option<PathBuf>,
    /// ONNX: multiply batch norms into the convolutions before them
    #[arg(long)]
    fold_norms: bool,
}

pub fn run(args: &ConvertArgs, console: &Console) -> Result<()> {
    spare_the_input(args)?;
    if let Some(like) = &args.like {
        if args.fold_norms {
            let text = "--fold-norms: is of ONNX alone, not of a folder like another; leave it out";
            return Err(failure::usage(text).into());
        }
        return nnunet::write_folder(&args.input, like, &args.output, console);
    }
    let known = args.output.extension().and_then(|extension| extension.to_str());
    if known == Some("onnx") {
        let norms = if args.fold_norms { Norms::Folded } else { Norms::Kept };
        return exported(args, console)?.write(&args.output, norms, console);
    }
    if args.fold_norms {
        return Err(failure::usage("--fold-norms: is of ONNX alone; name the result .onnx").into());
    }
    if !matches!(known, Some("pth" | "safetensors")) {
        let shown = args.output.display();
        let text = format!("{shown}: the name must end in .safetensors, .pth or .onnx");
        return Err(failure::usage(&text).into());
    }
    if nnunet::is_folder(&args.input) && args.patch.is_none() && args.plane.is_none() {
        return nnunet::write_weights(&args.input, &args.output, console);
    }
    let checkpoint = match &args.patch {
        Some(patch) => as_checkpoint(merged(args, patch)?)?,
        None if args.plane.is_some() && known == Some("pth") => {
            let text = "a .pth file has no room for --plane and --intensity: write a .safetensors";
            return Err(failure::usage(text).into());
        }
        None if args.plane.is_some() => as_checkpoint(described(args)?)?,
        None => {
            let path = udas_run::training::model_path(&args.input);
            let (checkpoint, taken) = Checkpoint::load_network(&path, &marks())?;
            if !taken.is_whole() {
                console.say(format!("{}: {taken}", path.display()));
            }
            // What describes itself was checked by who wrote it. What does not may be part of a network, or none.
            let is_head = checkpoint.tensors.contains_key(EarlyHead::MARK);
            if checkpoint.metadata.is_none() && !is_head {
                ModelFile::load(&args.input, None)?;
            }
            checkpoint
        }
    };
    if checkpoint.metadata.is_some() && known == Some("pth") {
        console.warn("a .pth file has no room for preprocessing and provenance: they are lost");
    }
    out_file::prepare(&args.output, "OUT")?;
    checkpoint.save(&args.output)?;
    let (count, hash) = (checkpoint.tensors.len(), checkpoint.hash()?);
    let text = format!("{}: {count} entries, hash {hash}", args.output.display());
    let file = args.output.display().to_string();
    console.result(text, &serde_json::json!({ "file": file, "entries": count, "hash": hash }))
}

/// Refuses to write over what is read: a checkpoint may hold more than weights.
fn spare_the_input(args: &ConvertArgs) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    let model = udas_run::training::model_path(&args.input);
    let read = [Some(args.input.as_path()), Some(model.as_path()), args.patch.as_deref()];
    let output = place(&args.output);
    if output.is_some() && read.into_iter().flatten().any(|path| place(path) == output) {
        let text =
            format!("{}: is read, and not written over; name another OUT", args.output.display());
        return Err(failure::usage(&text).into());
    }
    Ok(())
}

/// What is written as ONNX.
fn exported(args: &ConvertArgs, console: &Console) -> Result<Exported> {
    if nnunet::is_folder(&args.input) {
        if args.patch.is_some() || args.plane.is_some() {
            let text = "--patch and --plane: are not of nnU-Net folders; convert the adapted folder, RUN/nnunet";
            return Err(failure::usage(text).into());
        }
        return nnunet::exported(&args.input);
    }
    let model = match &args.patch {
        Some(patch) => merged(args, patch)?,
        None if args.plane.is_some() => described(args)?,
        None => {
            let assumed = Preprocessing::upright(Plane::Sagittal);
            selection::load_model(&args.input, assumed, &[], console)?
        }
    };
    Exported::of_model(&model)
}

/// The model with its patch applied.
fn merged(args: &ConvertArgs, patch: &Path) -> Result<ModelFile> {
    let mut model = ModelFile::load(&args.input, None)?;
    patched(&mut model, patch)?;
    Ok(model)
}

fn as_checkpoint(model: ModelFile) -> Result<Checkpoint> {
    let metadata = Some(serde_json::to_string(&model.info)?);
    Ok(Checkpoint { tensors: model.state, metadata })
}

/// The model with a description of what the network sees, in place of one that it may have.
fn described(args: &ConvertArgs) -> Result<ModelFile> {
    let layout = match &args.data {
        Some(data) => selection::preprocessing_of(DataSet::open(data)?.layout()),
        None if args.plane == Some(Plane::Stored) => Preprocessing::MNMS,
        None => Preprocessing::upright(Plane::Sagittal),
    };
    let mut model = ModelFile::load(&args.input, None)?;
    model.info.preprocessing = selection::in_plane(layout, args.plane);
    intensity::replace(&mut model, args.intensity.as_deref(), &args.input)?;
    if model.info.description == Description::Assumed {
        model.info.provenance.version = env!("CARGO_PKG_VERSION").into();
        model.info.provenance.command = "convert".into();
    }
    Ok(model)
}
