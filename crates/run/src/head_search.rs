//! Finding the early head that belongs to a model, where none is given.
use crate::error::Result;
use std::path::{Path, PathBuf};
use udas_model::{HeadFile, MODEL_FILE, ModelFile};

/// The head at `given`, or the first head beside the model that was trained on it and sits on `level` (on any,
/// where no level is asked for). Heads lie in the model's own folder or in folders within it.
///
/// # Errors
/// Those of a head at `given` that is none, or sits on another level.
pub fn find(
    given: Option<&Path>,
    model_path: &Path,
    level: Option<usize>,
    model: &ModelFile,
) -> Result<Option<(PathBuf, HeadFile)>> {
    if let Some(path) = given {
        let head = HeadFile::load(path, &model.info.network)?;
        if let Some(asked) = level
            && head.info.level != asked
        {
            return Err(udas_adapt::Error::HeadLevel { found: head.info.level, asked }.into());
        }
        return Ok(Some((path.to_owned(), head)));
    }
    let folder = if model_path.is_dir() { Some(model_path) } else { model_path.parent() };
    let Some(folder) = folder else { return Ok(None) };
    let hash = model.hash()?;
    let fits = |head: &HeadFile| {
        head.info.base == hash && level.is_none_or(|level| head.info.level == level)
    };
    let heads = candidates(folder).into_iter().filter_map(|path| {
        // What is no head, or one for another network, is simply not the one looked for.
        let head = HeadFile::load(&path, &model.info.network).ok()?;
        Some((path, head))
    });
    Ok(heads.filter(|(_, head)| fits(head)).min_by_key(|(_, head)| head.info.level))
}

fn candidates(folder: &Path) -> Vec<PathBuf> {
    // A relative path of one file name has the empty parent.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let head = |path: PathBuf| {
        if path.is_dir() {
            let model = path.join(MODEL_FILE);
            return model.is_file().then_some(path);
        }
        let name = path.file_name()?.to_str()?;
        let is_checkpoint = name.ends_with(".safetensors") || name.ends_with(".pth");
        (name.starts_with("head") && is_checkpoint).then_some(path)
    };
    paths.into_iter().filter_map(head).collect()
}
