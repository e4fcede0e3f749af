//! A bounded number of slices that stand for a subject: evenly spaced pairs of neighbours.
use crate::Result;
use udas_data::{LabelUse, Preprocessing, SliceSource, Spacing, Subject, VolumeSlices};

/// Slices of one subject, in pairs of neighbours as far as it has them.
///
/// Areas on evenly spaced slices estimate a volume well (Cavalieri's principle; Gundersen and Jensen, J. Microsc.
/// 147, 1987, where a random first slice makes it unbiased; here it is fixed), so no whole volume has to be segmented.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Preprocessed intensities `[n, height, width]`.
    pub images: Vec<f32>,
    /// Classes `[n, height, width]`, where the subject came with labels.
    pub labels: Option<Vec<u8>>,
    /// Number of slices.
    pub count: usize,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Which two slices are neighbours.
    pub neighbours: Vec<[usize; 2]>,
    /// The slices that perturbations are tried on: one of each pair.
    pub probed: Vec<usize>,
    /// Millilitres that one pixel stands for.
    pub pixel_ml: f64,
}

impl Sample {
    /// Reads about `slices` slices of a subject as a network with this preprocessing would see them.
    ///
    /// # Errors
    /// When the volume, or a mask that is required, cannot be read.
    pub fn read(
        subject: &Subject,
        preprocessing: &Preprocessing,
        labels: LabelUse,
        slices: usize,
    ) -> Result<Self> {
        // Sizes are padded for this subject alone, as at prediction.
        let subject = match labels {
            LabelUse::Ignore => subject.without_labels(),
            LabelUse::Require { .. } => subject.clone(),
        };
        let voxel_ml = voxel_ml(&subject, preprocessing)?;
        let frames = subject.frame_count().max(1);
        let volume = VolumeSlices::new(vec![subject], preprocessing.clone(), labels, 0)?;
        let positions = volume.len() / frames;
        let pairs = (slices / 2 / frames).max(1);
        let mut sample = Self {
            labels: (labels != LabelUse::Ignore).then(Vec::new),
            ..Self::empty(volume.size())
        };
        for frame in 0..frames {
            for position in evenly_spaced(positions, pairs) {
                sample.probed.push(sample.count);
                sample.push(&volume, position * frames + frame)?;
                if position + 1 < positions {
                    sample.neighbours.push([sample.count - 1, sample.count]);
                    sample.push(&volume, (position + 1) * frames + frame)?;
                }
            }
        }
        // A mean over frames, each of which is a whole volume.
        sample.pixel_ml = voxel_ml * positions as f64 / sample.count.max(1) as f64;
        Ok(sample)
    }

    /// About `slices` slices of a case that somebody else has prepared, chosen as by [`Self::read`]: `slice` gives that at a
    /// place below `positions`, and a voxel has `voxel_ml` millilitres.
    ///
    /// # Errors
    /// When `slice` fails.
    pub fn of_slices<E>(
        (positions, slices): (usize, usize),
        size: [usize; 2],
        voxel_ml: f64,
        mut slice: impl FnMut(usize) -> std::result::Result<Vec<f32>, E>,
    ) -> std::result::Result<Self, E> {
        let mut sample = Self::empty(size);
        for position in evenly_spaced(positions, (slices / 2).max(1)) {
            sample.probed.push(sample.count);
            sample.add(slice(position)?);
            if position + 1 < positions {
                sample.neighbours.push([sample.count - 1, sample.count]);
                sample.add(slice(position + 1)?);
            }
        }
        sample.pixel_ml = voxel_ml * positions as f64 / sample.count.max(1) as f64;
        Ok(sample)
    }

    /// All slices of a patch `[depth, height, width]` of a volume, for a network that sees them together.
    pub fn of_block(images: Vec<f32>, size: [usize; 2], voxel_ml: f64) -> Self {
        let count = images.len() / size.iter().product::<usize>().max(1);
        let neighbours = (1..count).map(|slice| [slice - 1, slice]).collect();
        let probed = (0..count).collect();
        Self { images, count, neighbours, probed, pixel_ml: voxel_ml, ..Self::empty(size) }
    }

    /// The sample with a class for each of its pixels.
    pub fn with_labels(self, labels: Vec<u8>) -> Self {
        Self { labels: Some(labels), ..self }
    }

    fn empty(size: [usize; 2]) -> Self {
        Self {
            images: Vec::new(),
            labels: None,
            count: 0,
            size,
            neighbours: Vec::new(),
            probed: Vec::new(),
            pixel_ml: 0.0,
        }
    }

    fn add(&mut self, image: Vec<f32>) {
        self.images.extend(image);
        self.count += 1;
    }

    fn push(&mut self, volume: &VolumeSlices, index: usize) -> Result<()> {
        let slice = volume.read(index)?;
        self.add(slice.image);
        if let (Some(all), Some(labels)) = (&mut self.labels, slice.labels) {
            all.extend(labels);
        }
        Ok(())
    }

    /// Pixels of a slice.
    pub fn pixels(&self) -> usize {
        self.size.iter().product()
    }

    /// The images of the slices that perturbations are tried on, one after another.
    pub fn probed_images(&self) -> Vec<f32> {
        chosen(&self.images, self.pixels(), &self.probed)
    }
}

/// Some slices of a stack, one after another.
pub(crate) fn chosen<T: Copy>(stack: &[T], pixels: usize, slices: &[usize]) -> Vec<T> {
    slices.iter().flat_map(|slice| stack[slice * pixels..][..pixels].iter().copied()).collect()
}

/// First slices of at most `pairs` pairs that share no slice, evenly spaced over `positions` slices.
fn evenly_spaced(positions: usize, pairs: usize) -> Vec<usize> {
    let pairs = pairs.min(positions / 2).max(1);
    let place = |pair: usize| {
        let middle = (pair as f64 + 0.5) * positions as f64 / pairs as f64 - 1.0;
        (middle.round().max(0.0) as usize).min(positions.saturating_sub(1))
    };
    let mut places: Vec<usize> = (0..pairs).map(place).collect();
    places.dedup();
    places
}

/// The volume of a voxel of what is cut.
fn voxel_ml(subject: &Subject, preprocessing: &Preprocessing) -> Result<f64> {
    let probe = udas_volume::probe(&subject.image)?;
    let mm3 = match preprocessing.spacing {
        Spacing::Native => probe.grid.affine.voxel_mm3(),
        Spacing::Millimetres(_) | Spacing::Slices { .. } => {
            preprocessing.slicing(&probe)?.voxel_mm3()
        }
    };
    Ok(mm3 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_evenly_spaced_and_share_no_slice() {
        assert_eq!(evenly_spaced(1, 8), [0]);
        assert_eq!(evenly_spaced(12, 3), [1, 5, 9]);
        for positions in 2..60 {
            let places = evenly_spaced(positions, 8);
            assert!(
                places.windows(2).all(|pair| pair[1] >= pair[0] + 2),
                "{positions}: {places:?}"
            );
            assert!(places.iter().all(|&place| place < positions));
        }
    }
}
