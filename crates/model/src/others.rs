//! What is given for a model and is none: each kind is named, and what to give in its place.
use crate::{Error, MODEL_FILE, Result};
use std::path::{Path, PathBuf};
use udas_nn::StateDict;

/// What makes a folder a model folder of nnU-Net.
const PLANS: &str = "plans.json";

/// Beginning of the names of the folders that its checkpoints lie in.
const FOLD: &str = "fold_";

/// An entry that every network of nnU-Net has.
const NNUNET_MARK: &str = "decoder.seg_layers.";

/// Refuses by the place: folders and checkpoints of nnU-Net, and folders without a model.
pub(crate) fn refuse(path: &Path) -> Result<()> {
    match problem_of(path) {
        Some(problem) => Err(Error::file(path, problem)),
        None => Ok(()),
    }
}

fn problem_of(path: &Path) -> Option<String> {
    if !path.is_dir() {
        let folder = model_of_fold(path.parent()?)?;
        return Some(format!(
            "is a checkpoint of nnU-Net, whose plans say how images are seen; give the model folder, {}",
            folder.display()
        ));
    }
    let is_fold = model_of_fold(path).is_some() && !path.join(MODEL_FILE).exists();
    if is_planned(path) || is_fold {
        let text = "is a model folder of nnU-Net, which `udas predict`, `adapt`, `head`, `calibrate`, `judge`, `doctor` and \
                    `convert` take; nothing else is done with it yet";
        return Some(text.into());
    }
    if path.join(MODEL_FILE).exists() {
        return None;
    }
    let below = planned_below(path);
    if !below.is_empty() {
        return Some(format!(
            "is no model, but a folder with models of nnU-Net; give one of them: {}",
            below.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ));
    }
    Some(format!("holds no {MODEL_FILE}; if it is a run that was cut off, --resume it"))
}

/// The model folder that a fold's folder lies in.
fn model_of_fold(fold: &Path) -> Option<PathBuf> {
    let is_fold = name_of(fold).is_some_and(|name| name.starts_with(FOLD));
    let folder = fold.parent().filter(|folder| is_fold && is_planned(folder))?;
    Some(folder.to_owned())
}

fn is_planned(folder: &Path) -> bool {
    folder.join(PLANS).is_file()
}

/// Model folders of nnU-Net in a data set's folder of its results, or in the folders of all data sets.
fn planned_below(folder: &Path) -> Vec<PathBuf> {
    let mut folders = folders_in(folder);
    for _ in 0..2 {
        let planned: Vec<_> = folders.iter().filter(|path| is_planned(path)).cloned().collect();
        if !planned.is_empty() {
            return planned;
        }
        folders = folders.iter().flat_map(|folder| folders_in(folder)).collect();
    }
    Vec::new()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Refuses by what the file says of itself: a patch, which holds only what an adaptation changed.
pub(crate) fn refuse_patch(path: &Path, metadata: Option<&str>) -> Result<()> {
    let said = metadata.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    if said.is_none_or(|said| said["patch"]["base"].as_str().is_none()) {
        return Ok(());
    }
    let run = path.parent().filter(|run| run.join(MODEL_FILE).is_file());
    let run = run.map_or(String::new(), |run| format!("its run, {}, or ", run.display()));
    let problem = format!(
        "is a patch: what an adaptation changed of a model; give {run}the model that it was made from, with --patch {} \
         (`udas predict`, `convert`)",
        path.display()
    );
    Err(Error::file(path, problem))
}

/// Refuses by the entries: a network of nnU-Net, wherever its checkpoint lies now.
pub(crate) fn refuse_entries(path: &Path, state: &StateDict) -> Result<()> {
    if !state.keys().any(|name| name.contains(NNUNET_MARK)) {
        return Ok(());
    }
    let problem = "is a checkpoint of nnU-Net, which does not say how images are seen; give the model folder that it is \
                   of, with its plans.json";
    Err(Error::file(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_model_is_told_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let model = "Dataset001_A/Trainer__Plans__2d";
        std::fs::create_dir_all(at(model).join("fold_0")).unwrap();
        std::fs::write(at(model).join(PLANS), "{}").unwrap();
        std::fs::create_dir(at("run")).unwrap();
        let said = |name: &str| refuse(&at(name)).unwrap_err().to_string();
        for name in [model, "Dataset001_A/Trainer__Plans__2d/fold_0"] {
            assert!(said(name).contains("is a model folder of nnU-Net"), "{}", said(name));
        }
        for name in ["Dataset001_A", ""] {
            let text = said(name);
            assert!(
                text.ends_with(&format!("give one of them: {}", at(model).display())),
                "{text}"
            );
        }
        let text = said("Dataset001_A/Trainer__Plans__2d/fold_0/checkpoint_final.pth");
        assert!(
            text.ends_with(&format!("give the model folder, {}", at(model).display())),
            "{text}"
        );
        assert!(said("run").contains("--resume it"));
        std::fs::write(at("run").join(MODEL_FILE), "").unwrap();
        for name in ["run", "run/model.safetensors", "elsewhere.pth"] {
            refuse(&at(name)).unwrap();
        }
    }
}
