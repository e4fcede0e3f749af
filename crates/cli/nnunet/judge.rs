//! Verdicts without labels on adaptations of nnU-Net folders: the middle of each case as both networks see it.
use super::source::Fold;
use crate::commands::judge::JudgeArgs;
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use udas_adapt::Patch;
use udas_data::Subject;
use udas_model::Provenance;
use udas_network::Network;
use udas_nnunet::{Extent, Patches};
use udas_run::outcome::{PATCH_FILE, REJECTED_PATCH};
use udas_verdict::{Judgement, Networks, SLICES, Sample};

/// Memory for prepared cases: each is looked at once.
const CACHE_BYTES: usize = 1 << 30;

/// The adapted folder in a run that was rolled back.
pub const REJECTED_FOLDER: &str = "rejected";

/// Judges a pair of networks on the middle of each case; of more than `most`, on evenly spaced ones.
pub fn judged(
    pair: [Arc<dyn Network>; 2],
    peers: Vec<Arc<dyn Network>>,
    (patches, most): (&Patches, usize),
    console: &Console,
) -> Result<Judgement> {
    let volumes = pair[0].spec().axes == 3;
    let depth = if volumes { patches.patch()[0] } else { 1 };
    let mut networks = Networks::new(pair, peers, depth)?;
    let count = patches.cases().len();
    let step = count.div_ceil(most).max(1);
    let mut progress = console.progress(count.div_ceil(step), "judging");
    for (number, case) in patches.cases().iter().enumerate().step_by(step) {
        networks.observe(&case.name, &middle(patches, number)?)?;
        progress.advance(&case.name);
    }
    progress.finish();
    Ok(networks.judgement()?)
}

/// The patch in the middle of a case, or slices through it.
fn middle(patches: &Patches, case: usize) -> Result<Sample> {
    let Extent { shape, room, voxel_ml } = patches.extent(case)?;
    let middle = room.map(|room| room / 2);
    let values = |place| -> Result<Vec<f32>> {
        Ok(patches.cut(case, place)?.flatten_all()?.to_vec1::<f32>()?)
    };
    match *patches.patch() {
        [_, height, width] => Ok(Sample::of_block(values(middle)?, [height, width], voxel_ml)),
        [height, width] => {
            let slice = |z| values([z, middle[1], middle[2]]);
            Sample::of_slices((shape[0], SLICES), [height, width], voxel_ml, slice)
        }
        _ => anyhow::bail!("a patch of neither two nor three axes"),
    }
}

/// Hashes of what taught an adapted folder, where it is a run's: its patch says it.
fn teachers(run: &Path) -> Vec<String> {
    let near = [Some(run), run.parent()].into_iter().flatten();
    let files = near.flat_map(|folder| [PATCH_FILE, REJECTED_PATCH].map(|name| folder.join(name)));
    let patch = files.into_iter().find(|path| path.is_file());
    let notes = patch.and_then(|path| Patch::load(&path).ok()?.notes);
    let told = notes.and_then(|notes| serde_json::from_str::<Provenance>(&notes).ok());
    told.map(|told| told.teachers).unwrap_or_default()
}

/// The folds that are asked for their opinion: those that are named, else the source's other folds. What taught the
/// adaptation is no evidence.
pub fn peers(
    named: &[PathBuf],
    source: &Fold,
    teachers: &[String],
    console: &Console,
) -> Result<Vec<Arc<dyn Network>>> {
    let is_default = named.is_empty();
    let others = if is_default { source.others()? } else { named.to_vec() };
    let mut peers = Vec::new();
    for (path, other) in source.other_trainings("--peers", &others)? {
        if !teachers.contains(&other.hash) {
            peers.push(other.network()?.into());
            continue;
        }
        if !is_default {
            let text = format!(
                "--peers {}: has taught the model that is judged, so that their agreement is no evidence; leave it out",
                path.display()
            );
            return Err(failure::input(text).into());
        }
    }
    if is_default && !peers.is_empty() {
        console.say(format!("peers: {} other folds of the source model", peers.len()));
    }
    Ok(peers)
}

/// `udas judge` with two model folders.
pub fn run(
    args: &JudgeArgs,
    (before_path, after_path): (&Path, &Path),
    console: &Console,
) -> Result<Judgement> {
    if args.calibration.is_some() {
        let text =
            "--calibration: adaptations of nnU-Net folders are judged without one; leave it out";
        return Err(failure::usage(text).into());
    }
    let rejected = after_path.join(REJECTED_FOLDER);
    let after = Fold::open(if super::is_folder(&rejected) { &rejected } else { after_path })?;
    let before = before(before_path, &after)?;
    before.refuse_regions("verdicts are", "look at masks of both models yourself")?;
    if before.hash == after.hash {
        let text = format!(
            "--after {}: is the model of --before, to the bit; give its adaptation",
            after_path.display()
        );
        return Err(failure::usage(&text).into());
    }
    if let Some(what) = before.difference(&after) {
        return Err(failure::input(format!("--after {}: {what}", after_path.display())).into());
    }
    let peers = peers(&args.peers, &before, &teachers(after_path), console)?;
    let found = args.images.subjects(console)?;
    let found = found.iter().map(Subject::without_labels).collect();
    let subjects = super::channels(found, &before.folder, args.images.set.data.is_some());
    let cases = super::cases(&subjects, &before.folder)?;
    let patches = Patches::new(cases, &before.model, CACHE_BYTES)?;
    judged(
        [before.network()?.into(), after.network()?.into()],
        peers,
        (&patches, usize::MAX),
        console,
    )
}

/// The source model; of a folder the fold that was adapted.
fn before(path: &Path, after: &Fold) -> Result<Fold> {
    let folder = super::open(path, &[])?;
    let same = folder.path().join(format!("fold_{}", after.name));
    let is_whole = folder.folds().len() > 1 && folder.folds().contains(&after.name);
    Fold::open(if is_whole { &same } else { path })
}
