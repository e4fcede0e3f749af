//! A synthetic heart in its thorax, seen along the short axis, as a function from a point and a moment to its tissue.
//!
//! Millimetres: x to the patient's left, y to the back (down in a displayed slice), z from the apex to the base
//! with the mitral plane at zero at end-diastole; the left ventricle's axis is the z axis.

use crate::acquire::Anatomy;
use crate::field::{Point, blend, capsule, ellipsoid, minus, norm, normal, plus};
use crate::head::Sex;
use crate::thorax::Thorax;
use crate::tissue::Tissue;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Label of the left ventricle's cavity, papillary muscles included.
pub(crate) const LEFT_VENTRICLE: u8 = 1;
/// Label of the left ventricle's muscle.
pub(crate) const MYOCARDIUM: u8 = 2;
/// Label of the right ventricle's cavity.
pub(crate) const RIGHT_VENTRICLE: u8 = 3;

/// Radius of a cylinder that holds every heart.
const HEART_RADIUS_MM: f32 = 85.0;

/// Condition of a heart; three of those in M&Ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pathology {
    /// `NOR`: healthy.
    Normal,
    /// `HCM`: hypertrophic cardiomyopathy, thick walls and a small cavity.
    Hypertrophic,
    /// `DCM`: dilated cardiomyopathy, a wide cavity that empties little.
    Dilated,
}

impl Pathology {
    /// The abbreviation in M&Ms' table.
    pub fn code(self) -> &'static str {
        match self {
            Self::Normal => "NOR",
            Self::Hypertrophic => "HCM",
            Self::Dilated => "DCM",
        }
    }
}

/// Size of a left ventricle at end-diastole and how it contracts.
#[derive(Clone, Copy, Debug)]
struct Ventricle {
    cavity_mm: f32,
    length_mm: f32,
    wall_mm: f32,
    /// Cavity radius at end-systole relative to end-diastole.
    shortening: f32,
}

/// A person whose heart can be scanned on any scanner: everything is drawn once, in millimetres.
pub struct HeartSubject {
    /// Years.
    pub age: u8,
    /// Sex.
    pub sex: Sex,
    /// Condition.
    pub pathology: Pathology,
    /// Body height, m.
    pub height_m: f32,
    /// Body weight, kg.
    pub weight_kg: f32,
    /// Part of the cycle at which the first frame was taken, 0 at end-diastole.
    pub(crate) first_phase: f32,
    /// Part of the cycle from end-diastole to end-systole.
    pub(crate) systole: f32,
    pub(crate) noise_seed: u64,
    ventricle: Ventricle,
    right_mm: f32,
    /// Sine and cosine of the turn from the image's axis to the line through both ventricles.
    septum_turn: (f32, f32),
    harmonics: [[f32; 2]; 3],
    pub(crate) thorax: Thorax,
}

impl HeartSubject {
    /// Draws a subject. The same seed gives the same person.
    pub fn new(seed: u64) -> Self {
        Self::draw(&mut ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn draw(rng: &mut impl Rng) -> Self {
        let sex = if rng.random_bool(0.5) { Sex::Female } else { Sex::Male };
        let pathology = match rng.random_range(0..4) {
            0 => Pathology::Hypertrophic,
            1 => Pathology::Dilated,
            _ => Pathology::Normal,
        };
        let height_m = if sex == Sex::Female { 1.64 } else { 1.77 } + 0.065 * normal(rng);
        let weight_kg = (25.5 + 3.5 * normal(rng)).clamp(18.0, 36.0) * height_m * height_m;
        let build = (height_m / 1.7).powf(0.8);
        let ventricle = Ventricle::draw(rng, pathology, build);
        Self {
            age: rng.random_range(20..=80),
            sex,
            pathology,
            height_m,
            weight_kg,
            noise_seed: rng.random(),
            first_phase: rng.random_range(-0.03..0.03),
            systole: rng.random_range(0.31..0.39),
            right_mm: 33.0 * build * rng.random_range(0.88..1.15),
            septum_turn: (14.0 + 10.0 * normal(rng)).to_radians().sin_cos(),
            harmonics: [0; 3].map(|_| [normal(rng), normal(rng)]),
            thorax: Thorax::draw(rng, build, weight_kg / (height_m * height_m)),
            ventricle,
        }
    }

    /// Radius of the cavity relative to a circle's, at a point's angle: low harmonics.
    fn roundness(&self, p: Point, from_axis: f32) -> f32 {
        let unit = [p[0] / from_axis.max(1e-3), p[1] / from_axis.max(1e-3)];
        let (mut turn, mut round) = (unit, 1.0);
        for [cos, sin] in self.harmonics {
            turn = [turn[0] * unit[0] - turn[1] * unit[1], turn[0] * unit[1] + turn[1] * unit[0]];
            round += 0.014 * (cos * turn[0] + sin * turn[1]);
        }
        round
    }

    /// How far contracted the heart is at a part of the cycle: 0 at end-diastole, 1 at end-systole.
    pub(crate) fn contraction(&self, phase: f32) -> f32 {
        let phase = phase.rem_euclid(1.0);
        let turn = if phase < self.systole {
            0.5 * phase / self.systole
        } else {
            // Fast filling first, then diastasis.
            0.5 + 0.5 * ((phase - self.systole) / (1.0 - self.systole)).powf(0.6)
        };
        0.5 - 0.5 * (std::f32::consts::TAU * turn).cos()
    }
}

impl Ventricle {
    /// Healthy values after Petersen et al., J Cardiovasc Magn Reson 19:18 (2017); the two diseases by their
    /// definitions (wall of 15 mm or more; a cavity well above normal with an ejection fraction below 45 %).
    fn draw(rng: &mut impl Rng, pathology: Pathology, build: f32) -> Self {
        let (cavity, wall, shortening) = match pathology {
            Pathology::Normal => (26.0, 8.0, 0.67),
            Pathology::Hypertrophic => (22.0, 14.5, 0.58),
            Pathology::Dilated => (34.0, 7.5, 0.81),
        };
        let mut vary = |spread: f32| (1.0 + spread * normal(rng)).clamp(0.85, 1.15);
        Self {
            cavity_mm: cavity * build * vary(0.06),
            length_mm: 86.0 * build * vary(0.05),
            wall_mm: wall * vary(0.08),
            shortening: (shortening * vary(0.04)).min(0.87),
        }
    }

    fn at(self, contraction: f32) -> Self {
        let radius = 1.0 + contraction * (self.shortening - 1.0);
        let length = 1.0 - 0.16 * contraction * (1.0 - self.shortening) / 0.3;
        let (cavity_mm, length_mm) = (self.cavity_mm * radius, self.length_mm * length);
        // The muscle keeps its volume: wall area times length stays the same.
        let area = (self.cavity_mm + self.wall_mm).powi(2) - self.cavity_mm.powi(2);
        let wall_mm = (cavity_mm.powi(2) + area / length).sqrt() - cavity_mm;
        Self { cavity_mm, length_mm, wall_mm, shortening: self.shortening }
    }
}

/// A heart at one moment and one breath-hold of each slice.
pub(crate) struct HeartFrame<'a> {
    subject: &'a HeartSubject,
    ventricle: Ventricle,
    contraction: f32,
    /// Height of the mitral plane, which moves towards the apex in systole.
    base_mm: f32,
    slice_mm: f32,
    first_slice_mm: f32,
    /// In-plane displacement of each slice's breath-hold.
    shifts: &'a [[f32; 2]],
}

impl<'a> HeartFrame<'a> {
    pub(crate) fn new(
        subject: &'a HeartSubject,
        phase: f32,
        first_slice_mm: f32,
        slice_mm: f32,
        shifts: &'a [[f32; 2]],
    ) -> Self {
        let contraction = subject.contraction(phase);
        let ventricle = subject.ventricle.at(contraction);
        let base_mm = ventricle.length_mm - subject.ventricle.length_mm;
        Self { subject, ventricle, contraction, base_mm, slice_mm, first_slice_mm, shifts }
    }

    /// Whether a point lies in the cylinder that holds every heart at every moment.
    pub(crate) fn may_move(p: Point) -> bool {
        norm(p[0] + 22.0, p[1]) < HEART_RADIUS_MM
    }

    /// The heart's tissue at a point, `None` outside of the pericardium.
    fn heart(&self, p: Point) -> Option<(Tissue, u8)> {
        if !Self::may_move(p) {
            return None;
        }
        let left = self.left(p);
        if left.cavity < 0.0 {
            let papillary = self.papillary(p) < 0.0 || self.trabeculae(p, left.cavity);
            let tissue = if papillary { Tissue::Myocardium } else { Tissue::ArterialBlood };
            return Some((tissue, LEFT_VENTRICLE));
        }
        if left.wall < 0.0 {
            return Some((Tissue::Myocardium, MYOCARDIUM));
        }
        let right = self.right(p);
        if right < 0.0 {
            let strand = right > -5.0 && self.subject.thorax.texture.at(p) > 1.15;
            let tissue = if strand { Tissue::Myocardium } else { Tissue::VenousBlood };
            return Some((tissue, RIGHT_VENTRICLE));
        }
        if right < 3.0 && p[2] < self.base_mm + 4.0 {
            return Some((Tissue::Myocardium, 0));
        }
        if let Some(tissue) = self.great_vessels(p) {
            return Some((tissue, 0));
        }
        let pericardium =
            blend(left.wall, right, 22.0) - 2.5 - 2.0 * self.subject.thorax.broad.at(p);
        (pericardium < 0.0 && p[2] < 25.0).then_some((Tissue::Fat, 0))
    }

    /// What lies around the heart.
    fn around(&self, p: Point) -> Tissue {
        let to_heart = || self.left(p).wall.min(self.right(p));
        self.subject.thorax.tissue(p, to_heart)
    }

    fn left(&self, p: Point) -> Left {
        let ventricle = &self.ventricle;
        let from_axis = norm(p[0], p[1]);
        let round = self.subject.roundness(p, from_axis);
        let (above, down) = ((p[2] - self.base_mm).max(0.0), (self.base_mm - p[2]).max(0.0));
        let outer_length = ventricle.length_mm + 0.75 * ventricle.wall_mm;
        let inner = profile(down, ventricle.length_mm) * ventricle.cavity_mm * round;
        let outer = profile(down, outer_length) * (ventricle.cavity_mm * round + ventricle.wall_mm);
        if above > 0.0 {
            // Above the mitral plane the ventricle ends.
            let rim = norm((from_axis - outer).max(0.0), above);
            return Left { cavity: rim, wall: rim };
        }
        Left { cavity: from_axis - inner, wall: from_axis - outer }
    }

    /// Two papillary muscles on the lateral wall, in the middle third.
    fn papillary(&self, p: Point) -> f32 {
        let reach = 0.62 * self.ventricle.cavity_mm;
        let thick = 3.6 + 1.2 * self.contraction;
        let along = [-0.3, -0.68].map(|part| self.base_mm + part * self.ventricle.length_mm);
        [0.95_f32, -0.85]
            .map(|turn| {
                let (sin, cos) = (turn + 0.3).sin_cos();
                let foot = [reach * cos, reach * sin, along[0]];
                let tip = [0.85 * reach * cos, 0.85 * reach * sin, along[1]];
                capsule(p, foot, tip, [thick, thick + 0.8])
            })
            .into_iter()
            .fold(f32::MAX, f32::min)
    }

    fn trabeculae(&self, p: Point, cavity: f32) -> bool {
        cavity > -2.5 && self.subject.thorax.texture.at([1.5 * p[0], 1.5 * p[1], 0.5 * p[2]]) > 1.3
    }

    /// The right ventricle wraps around the septum as a crescent.
    fn right(&self, p: Point) -> f32 {
        let subject = self.subject;
        let (sin, cos) = subject.septum_turn;
        let q = [p[0] * cos + p[1] * sin, p[1] * cos - p[0] * sin];
        let length = 0.92 * self.ventricle.length_mm;
        let (above, down) =
            ((p[2] - self.base_mm - 3.0).max(0.0), (self.base_mm + 3.0 - p[2]).max(0.0));
        let taper = profile(down, length);
        let epicardium = self.ventricle.cavity_mm + self.ventricle.wall_mm;
        let squeeze = 1.0 - 0.27 * self.contraction;
        let centre = -(0.52 * epicardium + 0.35 * subject.right_mm * squeeze) * taper.max(0.05);
        let radii = [
            (0.45 * epicardium + 0.62 * subject.right_mm * squeeze) * taper,
            (0.62 * epicardium + 0.55 * subject.right_mm * (0.4 + 0.6 * squeeze)) * taper,
        ];
        if radii[0] < 1.0 {
            return f32::MAX;
        }
        let level = norm((q[0] - centre) / radii[0], (q[1] - 3.0) / radii[1]);
        let distance = (level - 1.0) * radii[0].min(radii[1]);
        if above > 0.0 { norm(distance.max(0.0), above) } else { distance }
    }

    /// Atria, aortic root and pulmonary trunk above the base.
    fn great_vessels(&self, p: Point) -> Option<Tissue> {
        if p[2] < self.base_mm {
            return None;
        }
        let fill = 1.0 + 0.12 * self.contraction;
        let left_atrium = ellipsoid(p, [4.0, 16.0, 26.0], [29.0 * fill, 22.0 * fill, 25.0]);
        let right_atrium = ellipsoid(p, [-52.0, 12.0, 24.0], [25.0 * fill, 27.0 * fill, 28.0]);
        let root = capsule(p, [-12.0, -7.0, -4.0], [-20.0, -14.0, 60.0], [13.5, 14.5]);
        let trunk = capsule(p, [-26.0, -30.0, 0.0], [-4.0, -36.0, 55.0], [15.0, 13.0]);
        if root < 0.0 || left_atrium < 0.0 {
            return Some(Tissue::ArterialBlood);
        }
        if trunk < 0.0 || right_atrium < 0.0 {
            return Some(Tissue::VenousBlood);
        }
        let wall = root.min(trunk).min(left_atrium).min(right_atrium);
        (wall < 2.0).then_some(Tissue::Muscle)
    }
}

/// Signed distances to the left ventricle's cavity and to its outer wall.
struct Left {
    cavity: f32,
    wall: f32,
}

/// Radius of a ventricle at a distance below its base, relative to the widest; zero beyond the apex.
fn profile(down: f32, length: f32) -> f32 {
    let part = (0.16 + 0.84 * down / length).min(1.0);
    // Widest a little below the base.
    let along = (part - 0.28).max(0.0) / 0.72;
    let narrowing = if part < 0.28 { 1.0 - 1.1 * (0.28 - part).powi(2) * 4.0 } else { 1.0 };
    (1.0 - along.powi(2)).max(0.0).sqrt() * narrowing
}

impl Anatomy for HeartFrame<'_> {
    fn visit(&self, centre: Point, offsets: &[Point], see: &mut impl FnMut(Tissue, u8)) {
        let place = (centre[2] - self.first_slice_mm) / self.slice_mm;
        let slice = (place.round().max(0.0) as usize).min(self.shifts.len() - 1);
        let [right, down] = self.shifts[slice];
        for &offset in offsets {
            let p = minus(plus(centre, offset), [right, down, 0.0]);
            let (tissue, label) = self.heart(p).unwrap_or_else(|| (self.around(p), 0));
            see(tissue, label);
        }
    }
}
