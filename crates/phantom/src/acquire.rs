//! From anatomy and scanner to an image: sampling with partial volume, coil shading, point spread, noise, scale.

use crate::field::{Point, length, minus, norm, normal_pair};
use crate::scanner::Coil;
use crate::tissue::Tissue;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// A body: tissue and label at every point, in millimetres.
pub(crate) trait Anatomy: Sync {
    /// Shows `see` the tissue and the label, below [`LABELS`], at each of the `offsets` from the centre of a
    /// voxel. One call a voxel, so that what varies slowly is worked out once.
    fn visit(&self, centre: Point, offsets: &[Point], see: &mut impl FnMut(Tissue, u8));
}

/// Labels a mask can hold.
pub(crate) const LABELS: usize = 4;

/// The voxels of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanGrid {
    pub(crate) size: [usize; 3],
    pub(crate) spacing: Point,
    /// Centre of the first voxel, mm.
    pub(crate) origin: Point,
}

impl ScanGrid {
    /// A grid whose middle lies at `centre`.
    pub(crate) fn centred(size: [usize; 3], spacing: Point, centre: Point) -> Self {
        let origin =
            [0, 1, 2].map(|axis| centre[axis] - 0.5 * spacing[axis] * (size[axis] - 1) as f32);
        Self { size, spacing, origin }
    }

    fn slice_len(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn position(&self, x: usize, y: usize, z: usize) -> Point {
        let index = [x, y, z];
        [0, 1, 2].map(|axis| self.origin[axis] + self.spacing[axis] * index[axis] as f32)
    }
}

/// Signals of all tissues, tabulated over a quantity that varies in space (transmit field, off-resonance).
pub(crate) struct SignalTable {
    low: f32,
    per_step: f32,
    rows: Vec<[f32; Tissue::COUNT]>,
}

impl SignalTable {
    /// Tabulates `signal` at `steps` values from `low` to `high`.
    pub(crate) fn new(
        [low, high]: [f32; 2],
        steps: usize,
        signal: impl Fn(Tissue, f32) -> f32,
    ) -> Self {
        let step = (high - low) / (steps - 1) as f32;
        let rows = (0..steps)
            .map(|row| Tissue::ALL.map(|tissue| signal(tissue, low + step * row as f32)))
            .collect();
        Self { low, per_step: 1.0 / step, rows }
    }

    fn row(&self, value: f32) -> &[f32; Tissue::COUNT] {
        let last = (self.rows.len() - 1) as f32;
        &self.rows[((value - self.low) * self.per_step).round().clamp(0.0, last) as usize]
    }
}

/// An image before shading and noise, with the labels of its voxels.
pub(crate) struct Sampled {
    pub(crate) signal: Vec<f32>,
    pub(crate) labels: Vec<u8>,
}

/// Samples the anatomy at `per_voxel` points along each axis of a voxel: signals are averaged (partial volume,
/// signed), and the label is the one that holds most points.
pub(crate) fn sample(
    anatomy: &impl Anatomy,
    grid: &ScanGrid,
    per_voxel: [usize; 3],
    table: &SignalTable,
    quantity: impl Fn(Point) -> f32 + Sync,
) -> Sampled {
    let voxels = grid.slice_len() * grid.size[2];
    let mut sampled = Sampled { signal: vec![0.0; voxels], labels: vec![0; voxels] };
    sampled.sample_again(anatomy, grid, per_voxel, table, quantity, |_| true);
    sampled
}

impl Sampled {
    /// Samples the voxels anew whose centre is `within` a region; the others stay as they are.
    pub(crate) fn sample_again(
        &mut self,
        anatomy: &impl Anatomy,
        grid: &ScanGrid,
        per_voxel: [usize; 3],
        table: &SignalTable,
        quantity: impl Fn(Point) -> f32 + Sync,
        within: impl Fn(Point) -> bool + Sync,
    ) {
        let offsets = sub_voxel_offsets(grid.spacing, per_voxel);
        let share = 1.0 / offsets.len() as f32;
        let lines = self.signal.par_chunks_mut(grid.size[0]);
        lines.zip(self.labels.par_chunks_mut(grid.size[0])).enumerate().for_each(
            |(line, (signals, labels))| {
                let (y, z) = (line % grid.size[1], line / grid.size[1]);
                for (x, (signal, label)) in signals.iter_mut().zip(labels).enumerate() {
                    let centre = grid.position(x, y, z);
                    if !within(centre) {
                        continue;
                    }
                    let row = table.row(quantity(centre));
                    let mut votes = [0_u16; LABELS];
                    let mut sum = 0.0;
                    anatomy.visit(centre, &offsets, &mut |tissue, vote| {
                        sum += row[tissue as usize];
                        votes[usize::from(vote)] += 1;
                    });
                    *signal = sum * share;
                    *label = winner(&votes);
                }
            },
        );
    }
}

fn sub_voxel_offsets(spacing: Point, per_voxel: [usize; 3]) -> Vec<Point> {
    let along = |axis: usize, step: usize| {
        spacing[axis] * ((step as f32 + 0.5) / per_voxel[axis] as f32 - 0.5)
    };
    let mut offsets = Vec::with_capacity(per_voxel.iter().product());
    for z in 0..per_voxel[2] {
        for y in 0..per_voxel[1] {
            for x in 0..per_voxel[0] {
                offsets.push([along(0, x), along(1, y), along(2, z)]);
            }
        }
    }
    offsets
}

/// The label with most votes; a draw goes to the greater label, so that thin structures survive.
fn winner(votes: &[u16; LABELS]) -> u8 {
    let best = (0..LABELS).max_by_key(|&label| votes[label]).unwrap_or(0);
    best as u8
}

/// Shading of a receive coil: the root of the sum of squares of its loops, each falling with distance as on a
/// loop's axis, (a^2 / (a^2 + d^2))^(3/2), to the power of what the vendor's correction leaves.
pub(crate) struct Shading {
    loops: Vec<Point>,
    square_radius: f32,
    exponent: f32,
}

impl Shading {
    /// Two rings of loops, at `heights` along z, on the ellipse of `radii` around `centre`.
    pub(crate) fn around(coil: &Coil, centre: Point, radii: [f32; 2], heights: [f32; 2]) -> Self {
        let count = f32::from(coil.loops);
        let loops = heights
            .into_iter()
            .enumerate()
            .flat_map(|(ring, height)| {
                (0..coil.loops).map(move |index| {
                    let turn = (f32::from(index) + 0.5 * ring as f32 + 0.25) / count;
                    let (sin, cos) = (std::f32::consts::TAU * turn).sin_cos();
                    [centre[0] + radii[0] * cos, centre[1] + radii[1] * sin, centre[2] + height]
                })
            })
            .collect();
        Self { loops, square_radius: coil.loop_radius_mm.powi(2), exponent: coil.residual }
    }

    fn at(&self, p: Point) -> f32 {
        let square: f32 = self
            .loops
            .iter()
            .map(|&element| {
                let d = length(minus(p, element));
                (self.square_radius / (self.square_radius + d * d)).powi(3)
            })
            .sum();
        square.powf(0.5 * self.exponent)
    }
}

/// What a scanner does to the signal after the anatomy.
pub(crate) struct Receiver<'a> {
    pub(crate) shading: &'a Shading,
    pub(crate) blur_voxels: [f32; 3],
    /// Signal of the reference tissue, before shading.
    pub(crate) reference: f32,
    /// Reference tissue's mean over the noise's standard deviation.
    pub(crate) snr: f32,
    /// Grey level of the reference tissue.
    pub(crate) level: f32,
    /// Seed of the noise.
    pub(crate) noise_seed: u64,
}

impl Receiver<'_> {
    /// Shades, blurs, adds complex Gaussian noise, takes the magnitude (Rician noise: Gudbjartsson, Patz, Magn
    /// Reson Med 34:910, 1995) and scales to whole grey levels within int16, as scanners store them.
    pub(crate) fn receive(&self, sampled: &Sampled, grid: &ScanGrid) -> Vec<f32> {
        let mut image = sampled.signal.clone();
        let gain = self.shade(&mut image, &sampled.labels, grid);
        for axis in 0..3 {
            blur(&mut image, grid.size, axis, self.blur_voxels[axis]);
        }
        let scale = self.level * gain / self.reference;
        let deviation = self.level / self.snr;
        image.par_chunks_mut(grid.slice_len()).enumerate().for_each(|(z, slice)| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.noise_seed);
            rng.set_stream(z as u64);
            for value in slice {
                let [real, imaginary] = normal_pair(&mut rng);
                let magnitude = norm(*value * scale + deviation * real, deviation * imaginary);
                *value = magnitude.round().min(f32::from(i16::MAX));
            }
        });
        image
    }

    /// Multiplies by the shading; returns the gain that makes its mean over labelled voxels one.
    fn shade(&self, image: &mut [f32], labels: &[u8], grid: &ScanGrid) -> f32 {
        let lines = image.par_chunks_mut(grid.size[0]).zip(labels.par_chunks(grid.size[0]));
        let sums: Vec<(f64, usize)> = lines
            .enumerate()
            .map(|(line, (values, labels))| {
                let (y, z) = (line % grid.size[1], line / grid.size[1]);
                let (mut sum, mut count) = (0.0, 0);
                for (x, (value, &label)) in values.iter_mut().zip(labels).enumerate() {
                    let shading = self.shading.at(grid.position(x, y, z));
                    *value *= shading;
                    if label != 0 {
                        sum += f64::from(shading);
                        count += 1;
                    }
                }
                (sum, count)
            })
            .collect();
        let (sum, count) = sums.iter().fold((0.0, 0), |(s, c), line| (s + line.0, c + line.1));
        if count == 0 { 1.0 } else { (count as f64 / sum) as f32 }
    }
}

/// Blurs along one axis with a Gaussian of the given full width at half maximum, in voxels; edges repeat.
fn blur(image: &mut [f32], size: [usize; 3], axis: usize, full_width: f32) {
    let sigma = full_width / 2.354_82;
    let reach = (3.0 * sigma).ceil() as usize;
    if reach == 0 {
        return;
    }
    let weights = gaussian(sigma, reach);
    let stride = [1, size[0], size[0] * size[1]][axis];
    let (source, last) = (image.to_vec(), size[axis] - 1);
    // A run of `stride` voxels shares its place along the axis.
    image.par_chunks_mut(stride).enumerate().for_each(|(run, values)| {
        let place = run % size[axis];
        values.fill(0.0);
        for (tap, weight) in weights.iter().enumerate() {
            let from = run - place + (place + tap).saturating_sub(reach).min(last);
            for (value, other) in values.iter_mut().zip(&source[from * stride..]) {
                *value += weight * other;
            }
        }
    });
}

fn gaussian(sigma: f32, reach: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0..=2 * reach)
        .map(|tap| (-0.5 * ((tap as f32 - reach as f32) / sigma).powi(2)).exp())
        .collect();
    let sum: f32 = raw.iter().sum();
    raw.into_iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::plus;

    /// A ball of white matter in air.
    struct Ball(f32);

    impl Anatomy for Ball {
        fn visit(&self, centre: Point, offsets: &[Point], see: &mut impl FnMut(Tissue, u8)) {
            for &offset in offsets {
                if length(plus(centre, offset)) < self.0 {
                    see(Tissue::WhiteMatter, 1);
                } else {
                    see(Tissue::Air, 0);
                }
            }
        }
    }

    fn unit_table() -> SignalTable {
        SignalTable::new([0.0, 1.0], 2, |tissue, _| f32::from(tissue == Tissue::WhiteMatter))
    }

    #[test]
    fn partial_volume_keeps_the_volume_of_a_ball() {
        let grid = ScanGrid::centred([24, 25, 26], [2.0, 2.5, 2.2], [0.0; 3]);
        let sampled = sample(&Ball(20.0), &grid, [3, 3, 3], &unit_table(), |_| 1.0);
        let voxel = 2.0 * 2.5 * 2.2;
        let exact = 4.0 / 3.0 * std::f32::consts::PI * 20.0_f32.powi(3);
        let measured = sampled.signal.iter().sum::<f32>() * voxel;
        assert!((measured / exact - 1.0).abs() < 0.01, "{measured} {exact}");
        let labelled = sampled.labels.iter().filter(|&&label| label == 1).count() as f32 * voxel;
        assert!((labelled / exact - 1.0).abs() < 0.03, "{labelled} {exact}");
        assert!(sampled.signal.iter().any(|&v| v > 0.1 && v < 0.9));
    }

    #[test]
    fn blur_keeps_the_mean_and_widens_a_point() {
        let size = [9, 10, 11];
        let mut image = vec![0.0; 990];
        image[4 + 9 * (5 + 10 * 5)] = 1.0;
        for axis in 0..3 {
            blur(&mut image, size, axis, 1.5);
        }
        assert!((image.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        // Half a full width off the centre a Gaussian has fallen to one half (here: by interpolation in the log).
        let (centre, next) = (image[4 + 9 * 55], image[5 + 9 * 55]);
        let half = (next / centre).powf(0.75 * 0.75);
        assert!((half - 0.5).abs() < 0.02, "{half}");
    }

    #[test]
    fn noise_is_rician_and_depends_on_its_seed_alone() {
        let grid = ScanGrid::centred([40, 40, 3], [1.0; 3], [0.0; 3]);
        let sampled = sample(&Ball(1e3), &grid, [1, 1, 1], &unit_table(), |_| 1.0);
        let coil = Coil { loops: 4, loop_radius_mm: 50.0, residual: 0.0 };
        let shading = Shading::around(&coil, [0.0; 3], [60.0, 60.0], [0.0, 0.0]);
        let receiver = |seed, reference| Receiver {
            shading: &shading,
            blur_voxels: [0.0; 3],
            reference,
            snr: 20.0,
            level: 100.0,
            noise_seed: seed,
        };
        let image = receiver(1, 1.0).receive(&sampled, &grid);
        let count = image.len() as f32;
        let mean = image.iter().sum::<f32>() / count;
        let deviation = (image.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt();
        assert!((mean - 100.1).abs() < 0.3 && (deviation - 5.0).abs() < 0.2, "{mean} {deviation}");
        assert_eq!(image, receiver(1, 1.0).receive(&sampled, &grid));
        assert_ne!(image, receiver(2, 1.0).receive(&sampled, &grid));
        // Without signal, the mean of the magnitude is sqrt(pi / 2) standard deviations.
        let background = receiver(1, 1e9).receive(&sampled, &grid);
        let mean = background.iter().sum::<f32>() / count;
        assert!((mean - 5.0 * (std::f32::consts::PI / 2.0).sqrt()).abs() < 0.2, "{mean}");
    }

    #[test]
    fn a_draw_goes_to_the_greater_label() {
        assert_eq!(winner(&[4, 4, 0, 0]), 1);
        assert_eq!(winner(&[5, 4, 0, 0]), 0);
        assert_eq!(winner(&[0, 2, 3, 3]), 3);
    }
}
