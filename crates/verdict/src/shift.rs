//! Simulated scanner shifts: what another scanner might do to a slice, with known labels.
use crate::sample::Sample;
use udas_data::{Augmentation, AugmentationRanges};

/// One alteration of a subject's slices. Labels follow where the geometry changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shift {
    /// None: the source as it is.
    Source,
    /// Another contrast: an exponent.
    Gamma(f32),
    /// Another contrast: a random monotone curve, by its number.
    Curve(usize),
    /// All intensities scaled, as an outlier does to min-max normalisation.
    Gain(f32),
    /// Smooth shading: the largest coefficient of the logarithm of the field.
    Bias(f32),
    /// Gaussian noise: its standard deviation as a share of the range.
    Noise(f32),
    /// Gaussian blur: its standard deviation in pixels.
    Blur(f32),
    /// A coarser grid: pixels that become one, along each side.
    Coarse(usize),
    /// Another field of view: the image scaled about its centre.
    Zoom(f32),
    /// Wrong orientation: rows upside down.
    UpsideDown,
    /// Wrong orientation: by 180 degrees.
    HalfTurn,
}

/// The family that a calibration uses.
pub const FAMILY: [Shift; 21] = [
    Shift::Source,
    Shift::Gamma(0.5),
    Shift::Gamma(0.7),
    Shift::Gamma(1.5),
    Shift::Gamma(2.2),
    Shift::Curve(1),
    Shift::Curve(2),
    Shift::Curve(3),
    Shift::Gain(0.5),
    Shift::Gain(0.75),
    Shift::Bias(0.3),
    Shift::Bias(0.6),
    Shift::Noise(0.04),
    Shift::Noise(0.1),
    Shift::Blur(1.0),
    Shift::Blur(2.0),
    Shift::Coarse(2),
    Shift::Zoom(0.8),
    Shift::Zoom(1.25),
    Shift::UpsideDown,
    Shift::HalfTurn,
];

const IDENTITY: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];

impl Shift {
    /// Its name in a calibration file.
    pub fn name(self) -> String {
        match self {
            Self::Source => "source".into(),
            Self::Gamma(gamma) => format!("gamma {gamma}"),
            Self::Curve(number) => format!("contrast curve {number}"),
            Self::Gain(gain) => format!("gain {gain}"),
            Self::Bias(bias) => format!("bias {bias}"),
            Self::Noise(noise) => format!("noise {noise}"),
            Self::Blur(pixels) => format!("blur {pixels}"),
            Self::Coarse(pixels) => format!("coarse {pixels}"),
            Self::Zoom(factor) => format!("zoom {factor}"),
            Self::UpsideDown => "upside down".into(),
            Self::HalfTurn => "half turn".into(),
        }
    }

    /// A subject's sample as the other scanner would show it: a function of the arguments alone. Intensities of `depth`
    /// slices are altered together, as a network of volumes sees them.
    pub fn apply(self, sample: &Sample, depth: usize, seed: u64) -> Sample {
        let mut shifted = sample.clone();
        let (pixels, width) = (sample.pixels(), sample.size[1]);
        for (index, block) in shifted.images.chunks_exact_mut(pixels * depth.max(1)).enumerate() {
            if let Self::Coarse(side) = self {
                let slices = block.chunks_exact_mut(pixels);
                slices.for_each(|slice| coarse(slice, width, side.max(1)));
            } else if let Some(alteration) = self.alteration(seed, index) {
                alteration.apply_to_slices(block, pixels, width);
            }
        }
        let from = |shifted: &mut Sample, source: &dyn Fn([usize; 2]) -> [usize; 2]| {
            shifted.images = resampled(&sample.images, sample.size, source);
            shifted.labels =
                sample.labels.as_ref().map(|labels| resampled(labels, sample.size, source));
        };
        let [height, _] = sample.size;
        match self {
            Self::Zoom(factor) => {
                from(&mut shifted, &|place| zoomed(place, sample.size, factor));
                // The same head on other pixels.
                shifted.pixel_ml /= f64::from(factor * factor);
            }
            Self::UpsideDown => from(&mut shifted, &|[row, column]| [height - 1 - row, column]),
            Self::HalfTurn => {
                from(&mut shifted, &|[row, column]| [height - 1 - row, width - 1 - column]);
            }
            _ => {}
        }
        shifted
    }

    /// What is done to intensities: the same for all blocks of a subject but for the noise.
    fn alteration(self, seed: u64, block: usize) -> Option<Augmentation> {
        let nothing = Augmentation {
            knots: IDENTITY,
            gamma: 1.0,
            bias: [0.0; 9],
            blur_pixels: 0.0,
            gain: 1.0,
            offset: 0.0,
            noise: 0.0,
            noise_seed: seed ^ (block as u64).rotate_left(32),
        };
        let drawn = |number: usize, monotone: f32, bias: f32| {
            let ranges = AugmentationRanges {
                monotone,
                gamma: [1.0; 2],
                gain: [1.0; 2],
                offset: [0.0; 2],
                bias,
                blur_pixels: [0.0; 2],
                noise: [0.0; 2],
            };
            Augmentation::draw(&ranges, seed, 0, number)
        };
        Some(match self {
            Self::Gamma(gamma) => Augmentation { gamma, ..nothing },
            Self::Curve(number) => drawn(number, 1.0, 0.0),
            Self::Gain(gain) => Augmentation { gain, ..nothing },
            Self::Bias(bias) => drawn(0, 0.0, bias),
            Self::Noise(noise) => Augmentation { noise, ..nothing },
            Self::Blur(blur_pixels) => Augmentation { blur_pixels, ..nothing },
            _ => return None,
        })
    }
}

/// Means of squares of `side` pixels, each repeated over its square.
fn coarse(slice: &mut [f32], width: usize, side: usize) {
    let height = slice.len() / width;
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            let rows = top..(top + side).min(height);
            let columns = left..(left + side).min(width);
            let count = (rows.len() * columns.len()) as f32;
            let places = || rows.clone().flat_map(|r| columns.clone().map(move |c| r * width + c));
            let mean = places().map(|place| slice[place]).sum::<f32>() / count;
            places().for_each(|place| slice[place] = mean);
        }
    }
}

/// Where a pixel of a scaled image comes from: the nearest, edges repeated.
fn zoomed(place: [usize; 2], size: [usize; 2], factor: f32) -> [usize; 2] {
    std::array::from_fn(|axis| {
        let centre = (size[axis] as f32 - 1.0) / 2.0;
        let from = centre + (place[axis] as f32 - centre) / factor;
        (from.round().max(0.0) as usize).min(size[axis] - 1)
    })
}

fn resampled<T: Copy>(
    stack: &[T],
    [height, width]: [usize; 2],
    source: &dyn Fn([usize; 2]) -> [usize; 2],
) -> Vec<T> {
    let mut out = Vec::with_capacity(stack.len());
    for slice in stack.chunks_exact(height * width) {
        for row in 0..height {
            out.extend((0..width).map(|column| {
                let [row, column] = source([row, column]);
                slice[row * width + column]
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            images: (0..512).map(|v| v as f32 / 511.0).collect(),
            labels: Some((0..512).map(|v| u8::from(v % 256 > 200)).collect()),
            count: 2,
            size: [16, 16],
            neighbours: vec![[0, 1]],
            probed: vec![0],
            pixel_ml: 2.0,
        }
    }

    #[test]
    fn every_shift_but_none_changes_images_and_only_geometry_moves_labels() {
        let plain = sample();
        for shift in FAMILY {
            let shifted = shift.apply(&plain, 1, 7);
            assert_eq!(shifted.images == plain.images, shift == Shift::Source, "{shift:?}");
            let geometry = matches!(shift, Shift::Zoom(_) | Shift::UpsideDown | Shift::HalfTurn);
            assert_eq!(shifted.labels != plain.labels, geometry, "{shift:?}");
            assert_eq!(shifted.images, shift.apply(&plain, 1, 7).images, "{shift:?}");
        }
        let names: std::collections::BTreeSet<_> = FAMILY.map(Shift::name).into_iter().collect();
        assert_eq!(names.len(), FAMILY.len());
    }

    #[test]
    fn slices_that_are_seen_together_are_altered_alike() {
        let mut plain = sample();
        // The second slice is brighter: by itself it would be stretched to its own range.
        plain.images[256..].iter_mut().for_each(|value| *value = 0.5 + *value / 2.0);
        let [apart, together] =
            [1, 2].map(|depth| Shift::Gamma(2.0).apply(&plain, depth, 7).images);
        let squared = |(a, b): (&f32, &f32)| (a - b * b).abs() < 1e-5;
        assert!(together.iter().zip(&plain.images).all(squared));
        assert!(!apart.iter().zip(&plain.images).all(squared));
    }

    #[test]
    fn geometry_is_what_it_says() {
        let plain = sample();
        let turned = Shift::HalfTurn.apply(&plain, 1, 0);
        assert!(turned.images[..256].iter().rev().eq(&plain.images[..256]));
        let mut slice = [1.0, 2.0, 5.0, 3.0, 4.0, 6.0];
        coarse(&mut slice, 3, 2);
        assert_eq!(slice, [2.5, 2.5, 5.5, 2.5, 2.5, 5.5]);
        assert_eq!(zoomed([0, 3], [4, 4], 0.5), [0, 3]);
        assert_eq!(zoomed([0, 3], [4, 4], 3.0), [1, 2]);
        assert_eq!(Shift::Zoom(0.5).apply(&plain, 1, 0).pixel_ml, 8.0);
    }
}
