//! Verdicts without labels on adaptations of nnU-Net folders: a patch of each case as both networks see it, where the source
//! finds something.
use super::source::Fold;
use crate::commands::judge::JudgeArgs;
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use udas_adapt::Patch;
use udas_data::Subject;
use udas_model::{ModelFile, Provenance};
use udas_network::Network;
use udas_nn::NormMode;
use udas_nnunet::{Extent, Patches};
use udas_run::judging;
use udas_run::outcome::{PATCH_FILE, REJECTED_PATCH};
use udas_verdict::{Calibration, Judgement, Networks, Sample};

/// Memory for prepared cases: each is looked at once.
pub const CACHE_BYTES: usize = 1 << 30;

/// The adapted folder in a run that was rolled back.
pub const REJECTED_FOLDER: &str = "rejected";

/// What helps to judge adaptations of a fold, found and checked before the work.
pub struct JudgingAids {
    pub calibration: Option<Calibration>,
    peers: Vec<Fold>,
}

impl JudgingAids {
    /// The calibration that is named, or the fold's own, and the peers: those that are named, else the other folds.
    pub fn find(
        (calibration, named): (Option<&Path>, &[PathBuf]),
        source: &Fold,
        teachers: &[String],
        console: &Console,
    ) -> Result<Self> {
        let peers = peers(named, source, teachers, console)?;
        let plans = source.plans()?;
        let check = |calibration: &Calibration| calibration.check_planned(&source.hash, &plans);
        let beside = source.calibration();
        let found = judging::find_calibration(calibration, Some(&beside), check, console)?;
        let Some(found) = found else { return Ok(Self { calibration: None, peers }) };
        let hashes: Vec<_> = peers.iter().map(|peer| peer.hash.clone()).collect();
        // Folds that nobody has named need not be those of the calibration.
        let is_fit = !named.is_empty() || found.with_peers(&hashes).is_ok();
        let asked = if is_fit { hashes.as_slice() } else { &[] };
        let calibration = Some(judging::with_peers(&found, asked, console)?);
        Ok(Self { calibration, peers })
    }

    /// Judges a fold and its adaptation on a patch of each case; of more than `most`, on evenly spaced ones.
    pub fn judged(
        &self,
        pair: [Arc<dyn Network>; 2],
        (patches, most): (&Patches, usize),
        console: &Console,
    ) -> Result<Judgement> {
        let peers = networks(&self.peers)?;
        let (depth, source) = (depth(patches), pair[0].clone());
        let mut networks = Networks::new(pair, peers, depth)?.calibrated(self.calibration.as_ref());
        let count = patches.cases().len();
        let step = count.div_ceil(most).max(1);
        let mut progress = console.progress(count.div_ceil(step), "judging");
        for (number, case) in patches.cases().iter().enumerate().step_by(step) {
            networks.observe(&case.name, &sample(patches, number, networks.slices(), &*source)?)?;
            progress.advance(&case.name);
        }
        progress.finish();
        Ok(networks.judgement()?)
    }
}

/// The networks of folds.
pub fn networks(folds: &[Fold]) -> Result<Vec<Arc<dyn Network>>> {
    folds.iter().map(|fold| Ok(fold.network()?.into())).collect()
}

/// Slices that a network sees together.
pub fn depth(patches: &Patches) -> usize {
    match *patches.patch() {
        [depth, _, _] => depth,
        _ => 1,
    }
}

/// A patch of a case, or so many slices at one place; with labels where the case has some. It lies in the middle if the source
/// network finds something there, else where that finds most.
pub fn sample(
    patches: &Patches,
    case: usize,
    slices: usize,
    source: &dyn Network,
) -> Result<Sample> {
    let Extent { shape, voxel_ml, .. } = patches.extent(case)?;
    let place = showing(patches, case, source)?;
    let mut labels = Vec::new();
    let mut values = |place| -> Result<Vec<f32>> {
        labels.extend(patches.cut_labels(case, place)?.into_iter().flatten());
        Ok(patches.cut(case, place)?.flatten_all()?.to_vec1::<f32>()?)
    };
    let sample = match *patches.patch() {
        [_, height, width] => Sample::of_block(values(place)?, [height, width], voxel_ml),
        [height, width] => {
            let slice = |z| values([z, place[1], place[2]]);
            Sample::of_slices((shape[0], slices), [height, width], voxel_ml, slice)?
        }
        _ => anyhow::bail!("a patch of neither two nor three axes"),
    };
    let is_labelled = patches.cases()[case].labels.is_some();
    Ok(if is_labelled { sample.with_labels(labels) } else { sample })
}

/// Where a patch lies in the middle of a case or, if a network finds nothing there, where it finds most of evenly spaced ones.
fn showing(patches: &Patches, case: usize, network: &dyn Network) -> Result<[usize; 3]> {
    let Extent { shape, room, .. } = patches.extent(case)?;
    let middle = room.map(|room| room / 2);
    let patch = patches.patch();
    let found = |place: [usize; 3]| -> Result<usize> {
        let layers = match patch {
            [_, _] => evenly_spaced(shape[0].saturating_sub(1), LAYERS.min(shape[0])),
            _ => vec![place[0]],
        };
        let count = |layer| {
            let logits = network
                .forward(&patches.cut(case, [layer, place[1], place[2]])?, NormMode::Running)?;
            let classes = logits.argmax(1)?.flatten_all()?.to_vec1::<u32>()?;
            Ok(classes.into_iter().filter(|&class| class > 0).count())
        };
        layers.into_iter().map(count).sum()
    };
    let (mut best, mut most) = (middle, found(middle)?);
    if most > 0 {
        return Ok(best);
    }
    let sizes = [[1; 3].as_slice(), patch].concat();
    let sizes = &sizes[sizes.len() - 3..];
    let along = |axis: usize| {
        let steps = room[axis].div_ceil(sizes[axis].max(1)) + 1;
        evenly_spaced(room[axis], steps.min(PLACES))
    };
    // Slices are looked at through the whole case anyway.
    let depths = if patch.len() == 2 { vec![0] } else { along(0) };
    for depth in depths {
        for row in along(1) {
            for column in along(2) {
                let place = [depth, row, column];
                let here = found(place)?;
                if here > most {
                    (best, most) = (place, here);
                }
            }
        }
    }
    Ok(best)
}

/// Slices in which a structure is looked for.
const LAYERS: usize = 8;
/// Places along an axis at which one is looked for.
const PLACES: usize = 3;

/// So many of the numbers from 0 to `last`, its ends among them; the middle where it is one.
fn evenly_spaced(last: usize, count: usize) -> Vec<usize> {
    match count {
        0 | 1 => vec![last / 2],
        _ => (0..count).map(|number| number * last / (count - 1)).collect(),
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
) -> Result<Vec<Fold>> {
    let is_default = named.is_empty();
    let others = if is_default { source.others() } else { named.to_vec() };
    let mut peers = Vec::new();
    for (path, other) in source.other_trainings("--peers", &others)? {
        if !teachers.contains(&other.hash) {
            peers.push(other);
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
) -> Result<(Judgement, Option<Calibration>)> {
    super::warn_of_device(console);
    let rejected = after_path.join(REJECTED_FOLDER);
    let after = Fold::open(if super::is_folder(&rejected) { &rejected } else { after_path })?;
    let before = before(before_path, &after)?;
    super::warn_of_checkpoint(&before.folder, console);
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
    let named = (args.calibration.as_deref(), args.peers.as_slice());
    let aids = JudgingAids::find(named, &before, &teachers(after_path), console)?;
    let found = args.images.subjects(console)?;
    let found = found.iter().map(Subject::without_labels).collect();
    let subjects = super::channels(found, &before.folder, args.images.set.data.is_some());
    let cases = super::cases(&subjects, &before.folder, console)?;
    let patches = Patches::new(cases, &before.model, CACHE_BYTES)?;
    let pair = [before.network()?.into(), after.network()?.into()];
    let judgement = aids.judged(pair, (&patches, usize::MAX), console)?;
    Ok((judgement, aids.calibration))
}

/// Whether both models are of nnU-Net; refused where one of them is.
pub fn are_two(before: &Path, after: &Path) -> Result<bool> {
    let is_after = super::is_folder(after) || super::is_folder(&after.join(REJECTED_FOLDER));
    let [theirs, other] = match (super::is_folder(before), is_after) {
        (true, false) => [("--before", before), ("--after", after)],
        (false, true) => [("--after", after), ("--before", before)],
        (both, _) => return Ok(both),
    };
    // What is no model at all says so itself.
    ModelFile::load(&judging::adapted_model(other.1), None)?;
    let text = format!(
        "{} {} is a network of nnU-Net, {} {} is not; give a model and its own adaptation",
        theirs.0,
        theirs.1.display(),
        other.0,
        other.1.display()
    );
    Err(failure::usage(&text).into())
}

/// The source model; of a folder the fold that was adapted.
fn before(path: &Path, after: &Fold) -> Result<Fold> {
    let folder = super::open(path, &[])?;
    let same = folder.path().join(format!("fold_{}", after.name));
    let is_whole = folder.folds().len() > 1 && folder.folds().contains(&after.name);
    Fold::open(if is_whole { &same } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_reach_both_ends() {
        assert_eq!(evenly_spaced(10, 3), [0, 5, 10]);
        assert_eq!(evenly_spaced(7, 2), [0, 7]);
        assert_eq!([evenly_spaced(10, 1), evenly_spaced(0, 1)], [[5], [0]]);
    }
}
