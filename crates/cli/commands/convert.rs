//! `udas convert`: between `.pth` and `.safetensors`, names kept.
use crate::commands::predict::patched;
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use udas_model::ModelFile;
use udas_nn::Checkpoint;

/// Converts a checkpoint between .pth and .safetensors, names kept; merges a patch into its base
///
/// Examples: udas convert unet.pth unet.safetensors,
/// udas convert runs/source adapted.safetensors --patch runs/adapted/patch.safetensors
#[derive(Args)]
pub struct ConvertArgs {
    /// Checkpoint to read
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Checkpoint to write; its ending decides the format
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Merge what an adaptation changed (RUN/patch.safetensors) into the model it was made from
    #[arg(long, value_name = "FILE")]
    patch: Option<PathBuf>,
}

pub fn run(args: &ConvertArgs, console: &Console) -> Result<()> {
    let known = args.output.extension().and_then(|extension| extension.to_str());
    if !matches!(known, Some("pth" | "safetensors")) {
        let text = format!("{}: the name must end in .pth or .safetensors", args.output.display());
        return Err(failure::usage(&text).into());
    }
    let checkpoint = match &args.patch {
        Some(patch) => {
            let mut model = ModelFile::load(&args.input, None)?;
            patched(&mut model, patch)?;
            let metadata = Some(serde_json::to_string(&model.info)?);
            Checkpoint { tensors: model.state, metadata }
        }
        None => Checkpoint::load(super::head::model_path(&args.input))?,
    };
    if checkpoint.metadata.is_some() && known == Some("pth") {
        console.warn("a .pth file has no room for preprocessing and provenance: they are lost");
    }
    checkpoint.save(&args.output)?;
    let (count, hash) = (checkpoint.tensors.len(), checkpoint.hash()?);
    let text = format!("{}: {count} entries, hash {hash}", args.output.display());
    console
        .result(text, &serde_json::json!({ "file": args.output, "entries": count, "hash": hash }))
}
