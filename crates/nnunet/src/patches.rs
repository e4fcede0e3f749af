//! Patches of prepared cases, drawn as nnU-Net's trainings draw them: anywhere in a case, zeros where it is smaller.
//!
//! A patch is a function of seed, epoch and index alone. Cases are prepared when they are first needed and kept as far as
//! memory is given for it; what was forgotten is read again.
use crate::model::Model;
use crate::plans::{Configuration, Plans};
use crate::preprocess::{Prepared, prepare, prepare_with_labels};
use crate::window::Window;
use crate::{Error, Result};
use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// One of so many patches lies about a labelled voxel, where labels are known: nnU-Net's share.
const ABOUT_FOREGROUND: usize = 3;

/// Files of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What its files' names have in common.
    pub name: String,
    /// An image a channel.
    pub images: Vec<PathBuf>,
    /// A label for each voxel, where they are known.
    pub labels: Option<PathBuf>,
}

/// A patch of a case.
#[derive(Clone, Debug)]
pub struct Patch {
    /// The case's place in the list.
    pub case: usize,
    /// Where it starts in the case, with the zeros that make it as large as a patch.
    pub place: [usize; 3],
    /// `[1, C, H, W]` or `[1, C, D, H, W]`.
    pub image: Tensor,
    /// A class for each voxel, in the same order; only of cases with labels.
    pub labels: Option<Vec<u8>>,
}

/// The size of a case, axes as the network has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Voxels.
    pub shape: [usize; 3],
    /// Patches start at 0 to these, along each axis.
    pub room: [usize; 3],
    /// Millilitres of a voxel.
    pub voxel_ml: f64,
}

/// Cases of a model, of which patches are drawn.
pub struct Patches {
    cases: Vec<Case>,
    plans: Plans,
    configuration: Configuration,
    classes: usize,
    kept: Kept,
}

/// A case as a network sees it.
struct Ready {
    image: Prepared,
    /// Classes as numbers, on the image's grid.
    labels: Option<Prepared>,
    /// Places of labelled voxels; all of them, or evenly chosen ones.
    foreground: Vec<[usize; 3]>,
}

/// The cases used last.
struct Kept {
    most_bytes: usize,
    /// The one used last comes last.
    cases: Mutex<Vec<(usize, Arc<Ready>)>>,
}

impl Ready {
    fn bytes(&self) -> usize {
        let values = self.image.data.len() + self.labels.as_ref().map_or(0, |l| l.data.len());
        values * size_of::<f32>()
    }
}

impl Kept {
    fn get(&self, case: usize) -> Option<Arc<Ready>> {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cases.iter().position(|(number, _)| *number == case)?;
        let found = cases.remove(at);
        cases.push(found);
        cases.last().map(|(_, ready)| ready.clone())
    }

    /// Forgets what was longest unused; the newest stays, however large it is.
    fn add(&self, case: usize, ready: Arc<Ready>) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        cases.push((case, ready));
        let mut bytes: usize = cases.iter().map(|(_, ready)| ready.bytes()).sum();
        while bytes > self.most_bytes && cases.len() > 1 {
            bytes -= cases.remove(0).1.bytes();
        }
    }
}

/// A generator of its own for each patch.
fn generator(seed: u64, epoch: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// A whole number below `bound`, each as likely: the upper half of a 128-bit product.
fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(random.next_u64()) * bound as u128) >> 64) as usize
}

/// The case of patch `index` of an epoch: one after another in an order that is shuffled anew for each round.
fn case_of(cases: usize, seed: u64, epoch: u64, index: usize) -> usize {
    // Streams from 2^63 on are never those of patches.
    let round = 1 << 63 | (index / cases) as u64;
    let mut random = generator(seed, epoch, round);
    let mut order: Vec<usize> = (0..cases).collect();
    for last in (1..cases).rev() {
        order.swap(last, below(&mut random, last + 1));
    }
    order[index % cases]
}

impl Patches {
    /// Patches of cases as `model` sees them. Prepared cases take `most_bytes` of memory, or that of the largest one.
    ///
    /// # Errors
    /// [`Error::Case`] when there are no cases.
    pub fn new(cases: Vec<Case>, model: &Model, most_bytes: usize) -> Result<Self> {
        if cases.is_empty() {
            return Err(Error::case("the cases", "there are none; name images"));
        }
        let kept = Kept { most_bytes, cases: Mutex::new(Vec::new()) };
        let (plans, configuration) = (model.plans.clone(), model.configuration.clone());
        Ok(Self { cases, plans, configuration, classes: model.data.labels.outputs(), kept })
    }

    /// Voxels of a patch; two values where slices are predicted.
    pub fn patch(&self) -> &[usize] {
        &self.configuration.patch
    }

    /// The cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Patch `index` of an epoch.
    ///
    /// # Errors
    /// When the case's files cannot be read, or do not fit the model.
    pub fn draw(&self, seed: u64, epoch: u64, index: usize) -> Result<Patch> {
        let case = case_of(self.cases.len(), seed, epoch, index);
        let ready = self.ready(case)?;
        let window = self.window(&ready.image);
        let mut random = generator(seed, epoch, index as u64);
        let room = window.room();
        let mut place = room.map(|room| below(&mut random, room + 1));
        if index % ABOUT_FOREGROUND == ABOUT_FOREGROUND - 1 && !ready.foreground.is_empty() {
            let voxel = ready.foreground[below(&mut random, ready.foreground.len())];
            place = window.about(voxel);
        }
        let labels =
            ready.labels.as_ref().map(|labels| self.labels_in(labels, place)).transpose()?;
        Ok(Patch { case, place, image: window.cut(place)?, labels })
    }

    /// How large a case is, as the network sees it.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn extent(&self, case: usize) -> Result<Extent> {
        let ready = self.ready(case)?;
        let [_, after] = ready.image.origin.spacings;
        let room = self.window(&ready.image).room();
        Ok(Extent { shape: ready.image.shape, room, voxel_ml: after.iter().product::<f64>() / 1e3 })
    }

    /// The patch of a case that starts at a place, `[1, C, H, W]` or `[1, C, D, H, W]`.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn cut(&self, case: usize, place: [usize; 3]) -> Result<Tensor> {
        let ready = self.ready(case)?;
        self.window(&ready.image).cut(place)
    }

    /// A class for each voxel of that patch; none of a case without labels.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn cut_labels(&self, case: usize, place: [usize; 3]) -> Result<Option<Vec<u8>>> {
        let ready = self.ready(case)?;
        ready.labels.as_ref().map(|labels| self.labels_in(labels, place)).transpose()
    }

    fn labels_in(&self, labels: &Prepared, place: [usize; 3]) -> Result<Vec<u8>> {
        let values = self.window(labels).cut(place)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.into_iter().map(|label| label as u8).collect())
    }

    fn window<'a>(&'a self, prepared: &'a Prepared) -> Window<'a> {
        let patch = &self.configuration.patch;
        Window { prepared, patch, mirror_axes: &[], outputs: self.classes }
    }

    fn ready(&self, case: usize) -> Result<Arc<Ready>> {
        if let Some(ready) = self.kept.get(case) {
            return Ok(ready);
        }
        let ready = Arc::new(self.read(&self.cases[case])?);
        self.kept.add(case, ready.clone());
        Ok(ready)
    }

    fn read(&self, case: &Case) -> Result<Ready> {
        let images = case.images.iter().map(|image| udas_volume::read(image));
        let images = images.collect::<Result<_, _>>()?;
        let (plans, configuration) = (&self.plans, &self.configuration);
        let Some(path) = &case.labels else {
            let image = prepare(images, plans, configuration, &case.name)?;
            return Ok(Ready { image, labels: None, foreground: Vec::new() });
        };
        let labels = udas_volume::read_labels(path)?;
        self.check_labels(path, labels.data())?;
        let (image, labels) =
            prepare_with_labels(images, labels, (plans, configuration), &case.name)?;
        let foreground = foreground(&labels);
        Ok(Ready { image, labels: Some(labels), foreground })
    }

    /// Refuses labels that the network has no output for.
    fn check_labels(&self, path: &Path, labels: &[u8]) -> Result<()> {
        let largest = labels.iter().copied().max().unwrap_or(0);
        if usize::from(largest) < self.classes {
            return Ok(());
        }
        let problem = format!(
            "holds the label {largest}; the model's classes are 0 to {}: leave the case out, or give its labels without it",
            self.classes - 1
        );
        Err(Error::model(path, problem))
    }
}

/// Places of labelled voxels, at most so many that any structure is among them.
fn foreground(labels: &Prepared) -> Vec<[usize; 3]> {
    const MOST: usize = 10_000;
    let [_, rows, columns] = labels.shape;
    let count = labels.data.iter().filter(|&&label| label > 0.0).count();
    let marked = labels.data.iter().enumerate().filter(|(_, label)| **label > 0.0);
    let chosen = marked.step_by(count.div_ceil(MOST).max(1));
    chosen.map(|(at, _)| [at / (rows * columns), at / columns % rows, at % columns]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_comes_as_often_as_the_others() {
        for cases in [1, 2, 5] {
            let mut counts = vec![0; cases];
            (0..6 * cases).for_each(|index| counts[case_of(cases, 3, 1, index)] += 1);
            assert_eq!(counts, vec![6; cases]);
        }
        let order = |seed, epoch| -> Vec<usize> {
            (0..20).map(|index| case_of(20, seed, epoch, index)).collect()
        };
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(1, 3));
        assert_ne!(order(1, 2), order(2, 2));
    }

    #[test]
    fn numbers_are_below_their_bound_and_reach_it() {
        let mut random = generator(0, 0, 0);
        let mut counts = [0; 3];
        (0..3000).for_each(|_| counts[below(&mut random, 3)] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
