//! A synthetic head: subject, pose, and everything around the brain, as a function from a point to its tissue.

use crate::acquire::Anatomy;
use crate::brain::{Brain, Hulls};
use crate::field::{
    Point, RandomWaves, blend, capsule, ellipsoid, length, minus, norm, normal, plus,
};
use crate::tissue::Tissue;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sex, as in CC-359's file names and M&Ms' table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// `F`.
    Female,
    /// `M`.
    Male,
}

impl Sex {
    /// The letter in file names.
    pub fn letter(self) -> char {
        match self {
            Self::Female => 'F',
            Self::Male => 'M',
        }
    }
}

/// A person whose head can be scanned on any scanner: everything is drawn once, in millimetres.
pub struct HeadSubject {
    /// Years, 29 to 80 as in CC-359.
    pub age: u8,
    /// Sex; the mean head of women is 4 % smaller.
    pub sex: Sex,
    pub(crate) noise_seed: u64,
    brain: Brain,
    warp: [RandomWaves; 3],
    texture: RandomWaves,
    broad: RandomWaves,
    /// Scanner axes to head axes, row by row.
    rotation: [Point; 3],
    offset: Point,
    /// Size relative to the mean head, per axis.
    scale: Point,
    gap_mm: f32,
    skull_mm: f32,
    fat_mm: f32,
    nose_mm: f32,
}

/// Label of the brain in head masks.
pub(crate) const BRAIN: u8 = 1;
/// Amplitude of the smooth deformation that makes heads asymmetric.
const WARP_MM: f32 = 1.6;
const SKIN_MM: f32 = 2.0;

impl HeadSubject {
    /// Draws a subject. The same seed gives the same person.
    pub fn new(seed: u64) -> Self {
        Self::draw(&mut ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn draw(rng: &mut impl Rng) -> Self {
        let age = rng.random_range(29..=80_u8);
        let sex = if rng.random_bool(0.5) { Sex::Female } else { Sex::Male };
        let brain = Brain::draw(rng, age);
        let (middle, half) = ([0.0, -5.0, -30.0], [100.0, 125.0, 140.0]);
        let warp = [0; 3].map(|_| RandomWaves::draw(rng, 75.0, middle, half));
        let texture = RandomWaves::draw(rng, 15.0, middle, half);
        let broad = RandomWaves::draw(rng, 42.0, middle, half);
        let size = if sex == Sex::Female { 0.96 } else { 1.0 };
        let scale = [0; 3].map(|_| (size * (1.0 + 0.028 * normal(rng))).clamp(0.88, 1.07));
        let turn = [0; 3].map(|_| (3.5 * normal(rng)).clamp(-9.0, 9.0).to_radians());
        let offset = [0; 3].map(|_| (3.0 * normal(rng)).clamp(-7.0, 7.0));
        let ageing = (f32::from(age) - 30.0) / 50.0;
        Self {
            age,
            sex,
            noise_seed: rng.random(),
            brain,
            warp,
            texture,
            broad,
            rotation: rotation(turn),
            offset,
            scale,
            gap_mm: 1.6 + 1.4 * ageing + rng.random_range(0.0..0.8),
            skull_mm: rng.random_range(5.2..7.2),
            fat_mm: rng.random_range(2.2..4.4),
            nose_mm: rng.random_range(-3.0..4.0),
        }
    }

    /// Scanner directions to head directions: rotation, then size.
    fn turn(&self, p: Point) -> Point {
        [0, 1, 2].map(|axis| {
            let row = self.rotation[axis];
            (row[0] * p[0] + row[1] * p[1] + row[2] * p[2]) / self.scale[axis]
        })
    }

    /// The smooth deformation at a point in head coordinates.
    fn warp(&self, p: Point) -> Point {
        [0, 1, 2].map(|axis| WARP_MM * self.warp[axis].at(p))
    }

    /// Whether a point lies outside of a box and an ellipsoid that hold every head, deformation included.
    fn is_far_from_head(&self, p: Point, reach: f32) -> bool {
        let margin = reach + 6.0;
        let outside = p[2] > 98.0 + margin
            || p[0].abs() > 92.0 + margin
            || p[1] < -112.0 - margin
            || p[1] > 112.0 + margin;
        outside || (p[2] > 0.0 && ellipsoid(p, [0.0, -8.0, 0.0], [88.0, 108.0, 100.0]) > margin)
    }

    /// Tissue at a point in head coordinates, and whether a brain mask covers it.
    fn classify(&self, p: Point) -> (Tissue, u8) {
        let hulls = Brain::hulls(p);
        let cavity = hulls.cavity(p, self.gap_mm);
        if cavity < 0.0 {
            let label = if hulls.in_brain(p) { BRAIN } else { 0 };
            return (self.brain.tissue(p, &hulls), label);
        }
        (self.around_cavity(p, cavity, &hulls), 0)
    }

    fn around_cavity(&self, p: Point, cavity: f32, hulls: &Hulls) -> Tissue {
        let in_neck = p[2] < -72.0;
        let skull_mm = self.skull_mm * (1.0 + 0.13 * self.broad.at(p));
        if cavity < skull_mm && !in_neck {
            return self.skull(p, cavity, skull_mm);
        }
        let skin = self.skin(p, cavity);
        if skin > 0.0 {
            return Tissue::Air;
        }
        if in_neck
            && hulls.stem < 16.0
            && let Some(bone) = vertebra(p)
        {
            return bone;
        }
        match -skin {
            depth if depth < SKIN_MM => Tissue::Skin,
            depth if depth < SKIN_MM + self.fat_here(p) => self.fat_with_strands(p),
            _ => self.deep(p),
        }
    }

    /// Signed distance to the skin: the cranium, face, nose, temples, ears and neck joined.
    fn skin(&self, p: Point, cavity: f32) -> f32 {
        let cranium = cavity - self.skull_mm - SKIN_MM - self.fat_mm - 1.0;
        let q = [p[0].abs(), p[1], p[2]];
        let face = ellipsoid(p, [0.0, 30.0, -58.0], [62.0, 57.0, 66.0]);
        let chin = ellipsoid(p, [0.0, 62.0, -108.0], [27.0, 22.0, 18.0]);
        let nose_tip = [0.0, 92.0 + self.nose_mm, -60.0];
        let nose = capsule(p, [0.0, 80.0, -32.0], nose_tip, [7.0, 11.0]);
        let temple = ellipsoid(q, [64.0, 20.0, -12.0], [9.0, 30.0, 32.0]);
        let ear = ellipsoid(q, [71.0, -24.0, -36.0], [7.0, 15.0, 25.0]);
        let round = ((p[0] / 57.0).powi(2) + ((p[1] + 22.0) / 58.0).powi(2)).sqrt();
        let neck = meet_top((round - 1.0) * 57.0, p[2]);
        let shoulders = ellipsoid(p, [0.0, -35.0, -205.0], [160.0, 75.0, 70.0]);
        let skull = blend(cranium, temple, 8.0);
        let front = blend(blend(face, chin, 14.0), nose, 13.0);
        let below = blend(neck, shoulders, 30.0);
        blend(blend(blend(skull, front, 14.0), below, 24.0), ear, 5.0)
    }

    fn skull(&self, p: Point, cavity: f32, skull_mm: f32) -> Tissue {
        // The base holds air cells behind the ears and the sphenoid sinus in front.
        let q = [p[0].abs(), p[1], p[2]];
        let mastoid = ellipsoid(q, [50.0, -34.0, -42.0], [15.0, 16.0, 15.0]);
        let sphenoid = ellipsoid(p, [0.0, 20.0, -30.0], [13.0, 14.0, 10.0]);
        if sphenoid < 0.0 || (mastoid < 0.0 && self.texture.at(p) > 0.1) {
            return Tissue::Air;
        }
        let table = 1.7;
        if cavity > table && cavity < skull_mm - table {
            Tissue::FattyMarrow
        } else {
            Tissue::CorticalBone
        }
    }

    /// Thickness of the fat below the skin: thin on the face's front, thick at the nape.
    fn fat_here(&self, p: Point) -> f32 {
        let nape =
            ((-p[1] - 30.0) / 30.0).clamp(0.0, 1.0) * ((-p[2] - 50.0) / 30.0).clamp(0.0, 1.0);
        self.fat_mm * (1.0 + 0.3 * self.broad.at(p)) + 7.0 * nape
    }

    fn fat_with_strands(&self, p: Point) -> Tissue {
        if self.texture.at(p) > 1.5 { Tissue::Muscle } else { Tissue::Fat }
    }

    /// Face and neck below the skin and its fat.
    fn deep(&self, p: Point) -> Tissue {
        let q = [p[0].abs(), p[1], p[2]];
        if let Some(tissue) = self.orbit(q, p) {
            return tissue;
        }
        if let Some(tissue) = self.airways(p, q) {
            return tissue;
        }
        if let Some(tissue) = jaws(p) {
            return tissue;
        }
        // Muscles run in bundles, mostly upwards, with fat between them.
        let texture = self.texture.at([p[0], 0.6 * p[1], 0.35 * p[2]]);
        let tongue = ellipsoid(p, [0.0, 44.0, -98.0], [24.0, 32.0, 18.0]);
        if tongue < 0.0 {
            return if texture.abs() < 0.06 { Tissue::Fat } else { Tissue::Muscle };
        }
        let septum = self.broad.at([p[0], p[1], 0.4 * p[2]]).abs() < 0.09;
        if texture > 1.25 || septum { Tissue::Fat } else { Tissue::Muscle }
    }

    /// Globe with vitreous and lens, optic nerve and straight muscles in fat.
    fn orbit(&self, q: Point, p: Point) -> Option<Tissue> {
        let globe = ellipsoid(q, [31.0, 61.0, -34.0], [12.0; 3]);
        let socket = capsule(q, [31.0, 60.0, -34.0], [22.0, 28.0, -30.0], [17.0, 7.0]);
        if globe < 0.0 {
            let lens = ellipsoid(q, [31.0, 68.5, -34.0], [4.5, 2.0, 4.5]);
            let wall = globe > -1.4 || lens < 0.0;
            return Some(if wall { Tissue::Muscle } else { Tissue::CerebrospinalFluid });
        }
        if socket > 2.0 {
            return None;
        }
        if socket > 0.0 {
            return Some(Tissue::CorticalBone);
        }
        let nerve = capsule(q, [30.0, 49.0, -34.0], [18.0, 22.0, -28.0], [2.2, 2.2]);
        let straight = (socket + 4.0).abs() < 1.3 && self.texture.at(p) > -0.2;
        Some(if nerve < 0.0 {
            Tissue::WhiteMatter
        } else if straight {
            Tissue::Muscle
        } else {
            Tissue::Fat
        })
    }

    fn airways(&self, p: Point, q: Point) -> Option<Tissue> {
        let nose = ellipsoid(p, [0.0, 60.0, -58.0], [15.0, 32.0, 22.0]);
        let maxillary = ellipsoid(q, [29.0, 56.0, -62.0], [12.0, 15.0, 15.0]);
        let ethmoid = ellipsoid(p, [0.0, 42.0, -36.0], [12.0, 24.0, 9.0]);
        let throat = capsule(p, [0.0, 20.0, -66.0], [0.0, 10.0, -118.0], [7.0, 5.0]);
        let trachea = capsule(p, [0.0, 10.0, -118.0], [0.0, -2.0, -190.0], [6.0, 8.0]);
        if maxillary.min(throat).min(trachea) < 0.0 {
            return Some(Tissue::Air);
        }
        if nose.min(ethmoid) < 0.0 {
            let septum = q[0] < 1.3;
            let conchae = self.texture.at(p) > 0.45;
            return Some(if septum || conchae { Tissue::Muscle } else { Tissue::Air });
        }
        (maxillary.min(ethmoid) < 1.6).then_some(Tissue::CorticalBone)
    }
}

impl Anatomy for HeadSubject {
    fn visit(&self, centre: Point, offsets: &[Point], see: &mut impl FnMut(Tissue, u8)) {
        let head = self.turn(minus(centre, self.offset));
        let reach = offsets.iter().map(|&offset| length(offset)).fold(0.0, f32::max);
        if self.is_far_from_head(head, reach) {
            return offsets.iter().for_each(|_| see(Tissue::Air, 0));
        }
        // The deformation is smooth: once a voxel is enough.
        let head = plus(head, self.warp(head));
        let cavity = Brain::hulls(head).cavity(head, self.gap_mm);
        if cavity > reach && self.skin(head, cavity) > 2.0 * reach + 2.0 {
            return offsets.iter().for_each(|_| see(Tissue::Air, 0));
        }
        for &offset in offsets {
            let (tissue, label) = self.classify(plus(head, self.turn(offset)));
            see(tissue, label);
        }
    }
}

/// Neck cylinder, closed above.
fn meet_top(cylinder: f32, z: f32) -> f32 {
    cylinder.max(z + 55.0)
}

/// Vertebral bodies with discs between them, and their arches around the canal.
fn vertebra(p: Point) -> Option<Tissue> {
    let body = norm(p[0] / 1.15, p[1] + 23.0) - 9.5;
    let arch = (norm(p[0], p[1] + 42.0) - 13.5).abs() - 2.6;
    if body.min(arch) > 0.0 {
        return None;
    }
    let along = (p[2] / 16.0).rem_euclid(1.0);
    if along < 0.24 {
        return Some(Tissue::Muscle);
    }
    let shell = body.min(arch) > -1.3;
    Some(if shell { Tissue::CorticalBone } else { Tissue::RedMarrow })
}

/// Mandible and upper jaw: arches of bone with fatty marrow, and the teeth between them.
fn jaws(p: Point) -> Option<Tissue> {
    if p[1] < 15.0 {
        return None;
    }
    let arch = (norm(p[0], 0.85 * (p[1] - 26.0)) - 37.0).abs();
    let mandible = norm(arch, ((p[2] + 112.0).abs() - 5.0).max(0.0)) - 6.0;
    let teeth = (arch - 3.5).max((p[2] + 94.0).abs() - 9.0);
    if mandible < 0.0 {
        return Some(if mandible > -2.0 { Tissue::CorticalBone } else { Tissue::FattyMarrow });
    }
    (teeth < 0.0).then_some(Tissue::CorticalBone)
}

/// Rows of the rotation by three angles about the scanner's axes.
fn rotation([pitch, roll, yaw]: Point) -> [Point; 3] {
    let ((sp, cp), (sr, cr), (sy, cy)) = (pitch.sin_cos(), roll.sin_cos(), yaw.sin_cos());
    [
        [cr * cy, cr * sy, -sr],
        [sp * sr * cy - cp * sy, sp * sr * sy + cp * cy, sp * cr],
        [cp * sr * cy + sp * sy, cp * sr * sy - sp * cy, cp * cr],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Volumes in ml by tissue, of points that a brain mask covers and of all others.
    fn volumes(subject: &HeadSubject) -> [[f32; Tissue::COUNT]; 2] {
        let step = 2.5_f32;
        let mut ml = [[0.0; Tissue::COUNT]; 2];
        for z in -30..48 {
            for y in -48..44 {
                for x in -40..40 {
                    let p = [x as f32 * step, y as f32 * step, z as f32 * step];
                    subject.visit(p, &[[0.0; 3]], &mut |tissue, label| {
                        ml[usize::from(label)][tissue as usize] += step.powi(3) / 1000.0;
                    });
                }
            }
        }
        ml
    }

    #[test]
    fn tissue_volumes_are_those_of_adults() {
        for seed in 0..4 {
            let subject = HeadSubject::new(seed);
            let [outside, brain] = volumes(&subject);
            let of = |tissue: Tissue| brain[tissue as usize];
            let grey = of(Tissue::GreyMatter) + of(Tissue::DeepGreyMatter);
            let (white, fluid) = (of(Tissue::WhiteMatter), of(Tissue::CerebrospinalFluid));
            let all =
                format!("{seed}: age {} grey {grey} white {white} fluid {fluid}", subject.age);
            // Grey and white matter of adults: Good et al., NeuroImage 14:21 (2001), with wide margins.
            assert!((450.0..900.0).contains(&grey), "{all}");
            assert!((350.0..750.0).contains(&white), "{all}");
            assert!((40.0..400.0).contains(&fluid), "{all}");
            assert!(brain[Tissue::CorticalBone as usize] + brain[Tissue::Air as usize] == 0.0);
            assert!((250.0..1100.0).contains(&outside[Tissue::CorticalBone as usize]), "{all}");
        }
    }

    #[test]
    fn ventricles_and_sulci_widen_with_age() {
        let fluid = |age: u8| {
            let mut subject = HeadSubject::new(3);
            subject.brain = Brain::draw(&mut ChaCha8Rng::seed_from_u64(9), age);
            volumes(&subject)[1][Tissue::CerebrospinalFluid as usize]
        };
        assert!(fluid(80) > 1.3 * fluid(30));
    }

    #[test]
    fn rotations_keep_lengths() {
        let rows = rotation([0.1, -0.2, 0.3]);
        for a in 0..3 {
            for b in 0..3 {
                let dot: f32 = (0..3).map(|i| rows[a][i] * rows[b][i]).sum();
                assert!((dot - f32::from(u8::from(a == b))).abs() < 1e-6);
            }
        }
    }
}
