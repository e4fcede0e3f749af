//! Whether a prediction stays when the image is flipped, moved a little, shown with another contrast, or
//! interpolated between slices.
use crate::Result;
use crate::overlap::dice;
use crate::prediction::Prediction;
use crate::sample::{Sample, chosen};
use crate::segmenter::Segmenter;
use udas_data::Augmentation;

/// Rows and columns that the image is moved by: odd, so that the network's pooling meets other pixels.
const SHIFT: [usize; 2] = [3, 5];

/// Dice of a prediction with the one for a perturbed image, taken back. Nothing found twice counts 0: a
/// network that segments nothing is consistent without being right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consistency {
    /// Under a flip of columns.
    pub flip: f64,
    /// Under a shift.
    pub shift: f64,
    /// Under changed intensities.
    pub intensity: f64,
    /// Of a slice half-way between two neighbours with both; none without neighbours.
    pub gap: Option<f64>,
}

/// Perturbs the probed slices of a sample and predicts them anew.
///
/// # Errors
/// When a tensor operation fails.
pub fn measure(
    segmenter: &Segmenter,
    sample: &Sample,
    prediction: &Prediction,
) -> Result<Consistency> {
    let (images, pixels) = (sample.probed_images(), sample.pixels());
    let labels = chosen(&prediction.labels, pixels, &sample.probed);
    let width = sample.size[1];
    let agreement = |a: &[u8], b: &[u8]| dice(a, b, prediction.classes()).unwrap_or(0.0);

    let flipped = segmenter.predict(&flipped(&images, width), sample.size)?;
    let flip = agreement(&labels, &self::flipped(&flipped.labels, width));

    let moved = segmenter.predict(&moved(&images, sample.size), sample.size)?;
    // Edges that the shift brought in are left out of both.
    let (here, there) = overlapping(&labels, &moved.labels, sample.size);
    let shift = agreement(&here, &there);

    let mut altered = images;
    let block = pixels * segmenter.depth();
    for (index, slices) in altered.chunks_exact_mut(block).enumerate() {
        contrast(index as u64).apply_to_slices(slices, pixels, width);
    }
    let altered = segmenter.predict(&altered, sample.size)?;
    let intensity = agreement(&labels, &altered.labels);
    let gap = across_gap(segmenter, sample, prediction)?;
    Ok(Consistency { flip, shift, intensity, gap })
}

/// Slices half-way between neighbours, interpolated as if both were far apart.
fn across_gap(
    segmenter: &Segmenter,
    sample: &Sample,
    prediction: &Prediction,
) -> Result<Option<f64>> {
    // A network of volumes sees both neighbours: there is no gap between them.
    if sample.neighbours.is_empty() || segmenter.depth() > 1 {
        return Ok(None);
    }
    let pixels = sample.pixels();
    let [above, below] =
        [0, 1].map(|side| sample.neighbours.iter().map(|pair| pair[side]).collect::<Vec<_>>());
    let [upper, lower] = [&above, &below].map(|slices| chosen(&sample.images, pixels, slices));
    let between: Vec<f32> = upper.iter().zip(&lower).map(|(a, b)| (a + b) / 2.0).collect();
    let between = segmenter.predict(&between, sample.size)?.labels;
    let with = |slices: &[usize]| {
        let labels = chosen(&prediction.labels, pixels, slices);
        dice(&between, &labels, prediction.classes()).unwrap_or(0.0)
    };
    Ok(Some((with(&above) + with(&below)) / 2.0))
}

/// A mild change of contrast, shading and noise, the same for every model and subject.
fn contrast(noise_seed: u64) -> Augmentation {
    Augmentation {
        knots: [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        gamma: 1.2,
        bias: [0.1, -0.1, 0.05, 0.0, -0.05, 0.0, 0.0, 0.0, 0.0],
        blur_pixels: 0.0,
        gain: 1.0,
        offset: 0.0,
        noise: 0.02,
        noise_seed,
    }
}

fn flipped<T: Copy>(stack: &[T], width: usize) -> Vec<T> {
    stack.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect()
}

/// Every slice moved down and to the right, edges repeated.
fn moved(stack: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    let mut out = Vec::with_capacity(stack.len());
    for slice in stack.chunks_exact(height * width) {
        for row in 0..height {
            let from = row.saturating_sub(SHIFT[0]) * width;
            let columns = (0..width).map(|column| slice[from + column.saturating_sub(SHIFT[1])]);
            out.extend(columns);
        }
    }
    out
}

/// The pixels that a stack and its moved form share, in one order.
fn overlapping(labels: &[u8], moved: &[u8], [height, width]: [usize; 2]) -> (Vec<u8>, Vec<u8>) {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    let (rows, columns) = (height.saturating_sub(SHIFT[0]), width.saturating_sub(SHIFT[1]));
    let slices = labels.chunks_exact(height * width).zip(moved.chunks_exact(height * width));
    for (labels, moved) in slices {
        for row in 0..rows {
            here.extend(&labels[row * width..][..columns]);
            there.extend(&moved[(row + SHIFT[0]) * width + SHIFT[1]..][..columns]);
        }
    }
    (here, there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_undoes_itself_and_a_shift_is_met_in_its_overlap() {
        let image: Vec<f32> = (0..64).map(|v| v as f32).collect();
        assert_eq!(flipped(&image, 8)[..3], [7.0, 6.0, 5.0]);
        assert_eq!(flipped(&flipped(&image, 8), 8), image);
        let labels: Vec<u8> = (0..64).collect();
        let floats = moved(&image, [8, 8]);
        assert_eq!((floats[0], floats[3 * 8 + 5], floats[63]), (0.0, 0.0, 34.0));
        let moved: Vec<u8> = floats.iter().map(|&v| v as u8).collect();
        let (here, there) = overlapping(&labels, &moved, [8, 8]);
        assert_eq!(here.len(), 15);
        assert_eq!(here, there);
    }
}
