//! Scans of subjects in memory: a head or a heart on a scanner becomes a volume with its labels.

use crate::acquire::{Receiver, Sampled, ScanGrid, Shading, SignalTable, sample};
use crate::error::{Error, Result};
use crate::field::{Point, RandomWaves, normal};
use crate::head::HeadSubject;
use crate::heart::{HeartFrame, HeartSubject};
use crate::scanner::{HEAD_SCANNERS, HEART_SCANNERS, HeadScanner, HeartScanner};
use crate::tissue::Tissue;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use udas_volume::{Affine, Image, Labels, Volume};

/// In-plane size of a full scan, to which `matrix` is relative.
pub const FULL_MATRIX: usize = 256;
/// In-plane sizes that can be asked for.
pub const MATRIX_RANGE: std::ops::RangeInclusive<usize> = 32..=512;

/// Points that are averaged for a voxel are at most this far apart; finer detail is left to the point spread.
const POINT_MM: f32 = 1.4;

/// Middle of a head scan in head coordinates: the field of view reaches from above the scalp to the neck.
const HEAD_CENTRE: Point = [0.0, 3.0, -27.0];

/// Scans a head: the image in grey levels and the brain mask (1 brain, with sulci and ventricles; 0 other).
///
/// Axes are right, anterior, superior, so that sagittal slices lie on axis 0. `matrix` is the in-plane size of
/// scanners whose full matrix is 256; the voxel grows in proportion, so that the field of view and the
/// anisotropy stay the scanner's own, and so does the signal-to-noise ratio.
///
/// # Errors
/// [`Error::Matrix`] outside of [`MATRIX_RANGE`].
pub fn head(
    subject: &HeadSubject,
    scanner: &HeadScanner,
    matrix: usize,
) -> Result<(Volume, Labels)> {
    check_matrix(matrix)?;
    let shrink = matrix as f32 / FULL_MATRIX as f32;
    let size = scanner.size.map(|full| ((full as f32 * shrink).round() as usize).max(1));
    let grid = ScanGrid::centred(size, scanner.spacing_mm.map(|mm| mm / shrink), HEAD_CENTRE);
    let table =
        SignalTable::new([0.7, 1.3], 61, |tissue, transmit| scanner.signal(tissue, transmit));
    let per_voxel = grid.spacing.map(points_along);
    let sampled = sample(subject, &grid, per_voxel, &table, |p| transmit(scanner, p));
    let shading = Shading::around(&scanner.coil, [0.0, -8.0, 5.0], [112.0, 130.0], [45.0, -25.0]);
    let receiver = Receiver {
        shading: &shading,
        blur_voxels: scanner.blur_voxels,
        reference: scanner.signal(Tissue::WhiteMatter, 1.0),
        snr: scanner.snr,
        level: scanner.white_level,
        noise_seed: noise_seed(subject.noise_seed, scanner.name),
    };
    Ok((grid.volume(receiver.receive(&sampled, &grid))?, grid.volume(sampled.labels)?))
}

/// Transmit field relative to the nominal one: more in the middle of the head, less at its surface.
fn transmit(scanner: &HeadScanner, p: Point) -> f32 {
    let square =
        (p[0] / 80.0).powi(2) + ((p[1] + 10.0) / 100.0).powi(2) + ((p[2] - 5.0) / 100.0).powi(2);
    1.0 + scanner.transmit_variation * (0.4 - square.min(1.8))
}

/// A cine of one heart.
#[derive(Debug)]
pub struct Cine {
    /// Images, frame by frame; x, y, slice (apex first) each.
    pub frames: Vec<Volume>,
    /// Labels of the two annotated frames: 0 background, 1 left ventricle, 2 myocardium, 3 right ventricle.
    pub end_diastole: Labels,
    /// Labels at end-systole.
    pub end_systole: Labels,
    /// Zero-based frame of end-diastole.
    pub end_diastole_frame: usize,
    /// Zero-based frame of end-systole.
    pub end_systole_frame: usize,
}

/// Scans a heart as a stack of short-axis cines.
///
/// Below the full matrix of 256 the field of view shrinks with the square root of the matrix, around the heart,
/// and the pixels grow with it, so that the myocardium keeps three pixels and more. Slices keep their number
/// and thickness; frames become fewer as the pixels of a slice do, five at least.
///
/// # Errors
/// [`Error::Matrix`] outside of [`MATRIX_RANGE`].
pub fn heart(subject: &HeartSubject, scanner: &HeartScanner, matrix: usize) -> Result<Cine> {
    check_matrix(matrix)?;
    let plan = CinePlan::new(subject, scanner, matrix);
    let (diastole, systole) = plan.annotated();
    // The thorax keeps still: only the heart's surroundings are sampled again from frame to frame.
    let mut sampled = plan.sample(0);
    let mut frames = Vec::with_capacity(plan.frames);
    let mut annotated = [None, None];
    for frame in 0..plan.frames {
        if frame > 0 {
            plan.sample_heart_again(&mut sampled, frame);
        }
        frames.push(plan.grid.volume(plan.receiver(frame).receive(&sampled, &plan.grid))?);
        for (labels, wanted) in annotated.iter_mut().zip([diastole, systole]) {
            if frame == wanted {
                *labels = Some(plan.grid.volume(sampled.labels.clone())?);
            }
        }
    }
    let [end_diastole, end_systole] = annotated.map(|labels| labels.expect("both are frames"));
    Ok(Cine {
        frames,
        end_diastole,
        end_systole,
        end_diastole_frame: diastole,
        end_systole_frame: systole,
    })
}

/// What all frames of a cine share.
struct CinePlan<'a> {
    subject: &'a HeartSubject,
    scanner: &'a HeartScanner,
    grid: ScanGrid,
    frames: usize,
    shifts: Vec<[f32; 2]>,
    off_resonance: RandomWaves,
    table: SignalTable,
    shading: Shading,
    noise_seed: u64,
}

/// Standard deviation of the heart's place from one breath-hold to the next; typical.
const BREATH_HOLD_MM: f32 = 1.2;
/// Where the stack's top lies above the mitral plane at end-diastole.
const ABOVE_BASE_MM: f32 = 12.0;

impl<'a> CinePlan<'a> {
    fn new(subject: &'a HeartSubject, scanner: &'a HeartScanner, matrix: usize) -> Self {
        let shrink = matrix as f32 / FULL_MATRIX as f32;
        let size = scanner.size.map(|full| (full as f32 * shrink).round() as usize);
        let spacing = scanner.spacing_mm / shrink.sqrt();
        let middle = ABOVE_BASE_MM - 0.5 * scanner.thickness_mm * (scanner.slices - 1) as f32;
        let grid = ScanGrid::centred(
            [size[0], size[1], scanner.slices],
            [spacing, spacing, scanner.thickness_mm],
            [-12.0, 4.0, middle],
        );
        let noise_seed = noise_seed(subject.noise_seed, scanner.name);
        let mut rng = ChaCha8Rng::seed_from_u64(noise_seed);
        let shifts = (0..scanner.slices)
            .map(|_| [BREATH_HOLD_MM * normal(&mut rng), BREATH_HOLD_MM * normal(&mut rng)])
            .collect();
        let half = [180.0, 180.0, 80.0];
        let [thorax_x, thorax_y] = subject.thorax.centre();
        let span = 5.0 * scanner.off_resonance_hz;
        Self {
            subject,
            scanner,
            grid,
            frames: (scanner.frames as f32 * shrink * shrink).round().clamp(5.0, 40.0) as usize,
            shifts,
            off_resonance: RandomWaves::draw(&mut rng, 140.0, [0.0, 0.0, middle], half),
            table: SignalTable::new([-span, span], 201, |tissue, hz| scanner.signal(tissue, hz)),
            shading: Shading::around(
                &scanner.coil,
                [thorax_x, thorax_y, middle],
                subject.thorax.coil_radii(),
                [60.0, -60.0],
            ),
            noise_seed,
        }
    }

    fn phase(&self, frame: usize) -> f32 {
        self.subject.first_phase + frame as f32 / self.frames as f32
    }

    /// Frames nearest to end-diastole and end-systole.
    fn annotated(&self) -> (usize, usize) {
        let squeezed = |frame: &usize| self.subject.contraction(self.phase(*frame));
        let by_contraction = |a: &usize, b: &usize| squeezed(a).total_cmp(&squeezed(b));
        let diastole = (0..self.frames).min_by(by_contraction).unwrap_or(0);
        (diastole, (0..self.frames).max_by(by_contraction).unwrap_or(0))
    }

    /// Points averaged in a voxel: slices are thick.
    fn per_voxel(&self) -> [usize; 3] {
        let across = points_along(self.grid.spacing[0]);
        [across, across, 3]
    }

    fn heart_at(&self, frame: usize) -> HeartFrame<'_> {
        let first = self.grid.origin[2];
        let thickness = self.scanner.thickness_mm;
        HeartFrame::new(self.subject, self.phase(frame), first, thickness, &self.shifts)
    }

    fn off_resonance_at(&self, p: Point) -> f32 {
        self.scanner.off_resonance_hz * self.off_resonance.at(p)
    }

    fn sample(&self, frame: usize) -> Sampled {
        let heart = self.heart_at(frame);
        sample(&heart, &self.grid, self.per_voxel(), &self.table, |p| self.off_resonance_at(p))
    }

    fn sample_heart_again(&self, sampled: &mut Sampled, frame: usize) {
        let heart = self.heart_at(frame);
        let quantity = |p| self.off_resonance_at(p);
        let within = HeartFrame::may_move;
        sampled.sample_again(&heart, &self.grid, self.per_voxel(), &self.table, quantity, within);
    }

    fn receiver(&self, frame: usize) -> Receiver<'_> {
        Receiver {
            shading: &self.shading,
            blur_voxels: [self.scanner.blur_pixels, self.scanner.blur_pixels, 0.0],
            reference: self.scanner.signal(Tissue::ArterialBlood, 0.0),
            snr: self.scanner.snr,
            level: self.scanner.blood_level,
            noise_seed: self.noise_seed.wrapping_add(1 + frame as u64),
        }
    }
}

fn points_along(spacing_mm: f32) -> usize {
    ((spacing_mm / POINT_MM).ceil() as usize).clamp(1, 3)
}

pub(crate) fn check_matrix(matrix: usize) -> Result<()> {
    if MATRIX_RANGE.contains(&matrix) { Ok(()) } else { Err(Error::Matrix { matrix }) }
}

/// A seed of its own for every scanner, so that two scans of a subject do not share their noise.
fn noise_seed(subject: u64, scanner: &str) -> u64 {
    let names = HEAD_SCANNERS.iter().map(|s| s.name).chain(HEART_SCANNERS.iter().map(|s| s.name));
    let index = names.into_iter().position(|name| name == scanner).unwrap_or(0);
    subject.wrapping_add((index as u64 + 1) << 32)
}

impl ScanGrid {
    fn volume<T: Copy>(&self, data: Vec<T>) -> Result<Image<T>> {
        let affine = Affine::from_spacing(self.spacing.map(f64::from))
            .with_origin(self.origin.map(f64::from));
        Ok(Image::new(data, self.size, affine)?)
    }
}
