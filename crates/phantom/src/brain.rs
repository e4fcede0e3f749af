//! The brain's shape: folded cortex, ventricles, deep grey matter, cerebellum and brain stem, as implicit fields.
//!
//! Millimetres in head coordinates: right, anterior, superior of the middle of the brain.

use crate::field::{Point, RandomWaves, blend, capsule, ellipsoid, meet, minus, norm};
use crate::tissue::Tissue;
use rand::{Rng, RngExt};

/// Distance between neighbouring sulci is about half of this wavelength.
const FOLD_WAVELENGTH_MM: f32 = 25.0;
/// Mean thickness of the cortex: Fischl, Dale, PNAS 97:11050 (2000).
const CORTEX_MM: f32 = 2.6;
/// Angle from one cerebellar lobule to the next, seen from beside the fourth ventricle; typical.
const FOLIUM_RAD: f32 = 0.30;
/// Height of the foramen magnum, where the brain stem ends and the spinal cord begins.
const FORAMEN_MM: f32 = -68.0;

/// A subject's brain.
pub(crate) struct Brain {
    folds: RandomWaves,
    small_folds: RandomWaves,
    depths: RandomWaves,
    /// Half-width of a sulcus at the surface, mm; grows with age.
    sulcus_mm: f32,
    /// Scale of the ventricles' radii; grows with age.
    ventricle: f32,
    /// Displacement of the interhemispheric fissure at the back, mm.
    torque_mm: f32,
    fold_depth_mm: f32,
}

impl Brain {
    /// Draws a brain of an age in years.
    pub(crate) fn draw(rng: &mut impl Rng, age: u8) -> Self {
        // Ventricles grow about two and a half times in volume, and sulci widen, from 30 to 80 years: Scahill et
        // al., Arch Neurol 60:989 (2003). Linear in age here.
        let ageing = (f32::from(age) - 30.0) / 50.0;
        let fold_wavelength = FOLD_WAVELENGTH_MM * rng.random_range(0.92..1.08);
        Self {
            folds: RandomWaves::draw(rng, fold_wavelength, [0.0, -15.0, 12.0], [75.0, 95.0, 72.0]),
            small_folds: RandomWaves::draw(
                rng,
                0.72 * fold_wavelength,
                [0.0, -15.0, 12.0],
                [75.0, 95.0, 72.0],
            ),
            depths: RandomWaves::draw(rng, 45.0, [0.0, -15.0, 12.0], [75.0, 95.0, 72.0]),
            sulcus_mm: 0.45 + 0.5 * ageing + rng.random_range(-0.1..0.15),
            ventricle: (1.0 + 0.36 * ageing) * rng.random_range(0.82..1.2),
            torque_mm: rng.random_range(-1.0..3.0),
            fold_depth_mm: rng.random_range(13.0..17.0),
        }
    }

    /// Signed distance to the smooth hulls of cerebrum, cerebellum and brain stem.
    pub(crate) fn hulls(p: Point) -> Hulls {
        let cerebellum = cerebellum(p);
        // The tentorium parts cerebrum from cerebellum.
        let cerebrum = cerebrum(p).max(1.2 - cerebellum);
        Hulls { cerebrum, cerebellum, stem: stem(p) }
    }

    /// The tissue at a point inside the cranial cavity.
    pub(crate) fn tissue(&self, p: Point, hulls: &Hulls) -> Tissue {
        if self.fourth_ventricle(p) < 0.0 {
            return Tissue::CerebrospinalFluid;
        }
        if hulls.stem < 0.0 {
            return if hulls.stem > -0.8 { Tissue::GreyMatter } else { Tissue::WhiteMatter };
        }
        if hulls.cerebellum < 0.0 && hulls.cerebellum < hulls.cerebrum {
            return self.cerebellar_tissue(p, -hulls.cerebellum);
        }
        if hulls.cerebrum < 0.0 {
            return self.cerebral_tissue(p, -hulls.cerebrum);
        }
        Tissue::CerebrospinalFluid
    }

    fn cerebral_tissue(&self, p: Point, depth: f32) -> Tissue {
        if self.lateral_ventricles(p) < 0.0 || self.third_ventricle(p) < 0.0 {
            return Tissue::CerebrospinalFluid;
        }
        if is_deep_grey(p) {
            return Tissue::DeepGreyMatter;
        }
        match self.pial_distance(p, depth) {
            outside if outside < 0.0 => Tissue::CerebrospinalFluid,
            cortex if cortex < CORTEX_MM => Tissue::GreyMatter,
            _ => Tissue::WhiteMatter,
        }
    }

    /// Distance in mm from the pial surface into the tissue, negative within sulci and fissures.
    fn pial_distance(&self, p: Point, depth: f32) -> f32 {
        let sulcus_depth = self.fold_depth_mm * (1.0 + 0.35 * self.depths.at(p));
        let (near, far) = (project(p), 0.45 * depth.min(30.0));
        let q = [near[0], near[1] + far, near[2] + 0.5 * far];
        let primary = self.sulcus(self.folds.distance_to_sheet(q), depth, sulcus_depth);
        let small = self.small_folds.distance_to_sheet(p);
        let secondary = self.sulcus(small, depth, 0.42 * sulcus_depth);
        let mut distance = depth.min(primary).min(secondary);
        // Medial surface: the fissure is a sheet of its own, and its sulci run across it.
        let from_midline = (p[0] - self.midline(p)).abs();
        if from_midline < 22.0 {
            let core = ellipsoid([0.0, p[1], p[2]], [0.0, -12.0, 6.0], [30.0, 44.0, 22.0]);
            let fissure = norm(from_midline, (-core).max(0.0)) - self.sulcus_mm * 0.9;
            distance = distance.min(fissure);
            if core > 2.0 {
                let medial = self.folds.distance_to_sheet([0.0, p[1], p[2]]);
                let limit = (0.6 * sulcus_depth).min(core);
                distance = distance.min(self.sulcus(medial, from_midline, limit));
            }
        }
        // Around the brain stem the hemispheres have neither cortex nor sulci.
        let hilum = ellipsoid(p, [0.0, -16.0, -2.0], [25.0, 30.0, 22.0]);
        distance.min(self.sylvian(p, depth)).max(-hilum)
    }

    /// Distance to the walls of a sulcus: a sheet at `aside` mm that reaches `reach` mm below the surface
    /// and narrows downwards.
    fn sulcus(&self, aside: f32, depth: f32, reach: f32) -> f32 {
        let below = (depth - reach).max(0.0);
        let width = self.sulcus_mm * (1.25 - 0.75 * (depth / reach.max(1.0)).min(1.0));
        norm(aside, below) - width
    }

    /// The lateral fissure between temporal lobe and the lobes above, rising to the back.
    fn sylvian(&self, p: Point, depth: f32) -> f32 {
        let aside = p[0].abs();
        if aside < 26.0 || p[1] < -52.0 || p[1] > 38.0 {
            return f32::MAX;
        }
        let line = -17.0 + 0.42 * (22.0 - p[1]) + 2.0 * self.depths.at([p[0], p[1], 0.0]);
        let end = (p[1] - 24.0).max(-38.0 - p[1]).max(0.0);
        let sheet = norm(0.92 * (p[2] - line), end);
        norm(sheet, (depth - 24.0).max(0.0)) - 1.5 * self.sulcus_mm
    }

    /// Where the fissure lies: bent to one side at the back, and a little wavy.
    fn midline(&self, p: Point) -> f32 {
        let back = ((-p[1] - 20.0) / 80.0).clamp(0.0, 1.0);
        self.torque_mm * back * back + 0.7 * self.depths.at([0.0, p[1], p[2]])
    }

    fn lateral_ventricles(&self, p: Point) -> f32 {
        // Taller than wide: distances across count more.
        let q = [1.35 * p[0].abs(), p[1], p[2]];
        let r = |radius: f32| radius * self.ventricle;
        let horn = capsule(q, [11.0, 29.0, 8.0], [11.0, 4.0, 16.0], [r(4.6), r(7.2)]);
        let body = capsule(q, [11.0, 4.0, 16.0], [17.0, -24.0, 21.0], [r(7.2), r(6.6)]);
        let trigone = capsule(q, [17.0, -24.0, 21.0], [33.0, -43.0, 11.0], [r(6.6), r(7.4)]);
        let occipital = capsule(q, [33.0, -43.0, 11.0], [32.0, -66.0, 6.0], [r(6.4), r(2.2)]);
        let temporal = capsule(q, [33.0, -43.0, 11.0], [44.0, -16.0, -17.0], [r(5.0), r(2.6)]);
        let arch = blend(blend(horn, body, 3.0), trigone, 3.0);
        // The septum parts left from right.
        arch.min(occipital).min(temporal).max(0.7 - p[0].abs())
    }

    fn third_ventricle(&self, p: Point) -> f32 {
        let slit = ellipsoid(p, [0.0, -10.0, 2.0], [20.0, 15.0, 11.0]);
        slit.max(p[0].abs() - 1.7 * self.ventricle)
    }

    fn fourth_ventricle(&self, p: Point) -> f32 {
        let r = self.ventricle.sqrt();
        ellipsoid(p, [0.0, -41.0, -35.0], [6.5 * r, 4.0 * r, 9.0])
    }

    /// A tree of white matter that branches from beside the fourth ventricle, with fissures between the branches.
    fn cerebellar_tissue(&self, p: Point, depth: f32) -> Tissue {
        let core = ellipsoid([p[0].abs(), p[1], p[2]], [15.0, -54.0, -33.0], [15.0, 11.0, 8.0]);
        let from_stem = minus(p, [0.0, -46.0, -34.0]);
        let radius = norm(from_stem[1], from_stem[2]);
        let bend = 0.5 * self.depths.at(p) + 0.28 * self.small_folds.at(p);
        let wave = from_stem[2].atan2(-from_stem[1]) / FOLIUM_RAD + bend;
        let aside = (wave - wave.round()).abs() * FOLIUM_RAD * radius;
        let to_fissure = 0.5 * FOLIUM_RAD * radius - aside;
        if to_fissure < 0.55 && core > 5.0 && depth < 12.0 {
            Tissue::CerebrospinalFluid
        } else if core < 0.0 || (aside < 1.1 && depth > 2.8) {
            Tissue::WhiteMatter
        } else {
            Tissue::GreyMatter
        }
    }
}

/// Signed distances in mm to the smooth hulls of the brain's parts, negative inside.
pub(crate) struct Hulls {
    pub(crate) cerebrum: f32,
    pub(crate) cerebellum: f32,
    pub(crate) stem: f32,
}

impl Hulls {
    /// Whether a brain mask covers the point: inside a hull, sulci and ventricles included.
    pub(crate) fn in_brain(&self, p: Point) -> bool {
        self.cerebrum < 0.0 || self.cerebellum < 0.0 || (self.stem < 0.0 && p[2] > FORAMEN_MM)
    }

    /// Signed distance to the cranial cavity with the spinal canal: the hulls joined, and `gap_mm` of fluid.
    pub(crate) fn cavity(&self, p: Point, gap_mm: f32) -> f32 {
        let brain = blend(blend(self.cerebrum, self.cerebellum, 16.0), self.stem, 14.0) - gap_mm;
        // Around the cord the fluid is wider.
        if p[2] < FORAMEN_MM { brain.min(self.stem - 3.5) } else { brain }
    }
}

fn cerebrum(p: Point) -> f32 {
    // Wider behind the middle than in front.
    let taper = 1.0 + 0.0016 * (p[1] + 25.0);
    let q = [p[0] * taper, p[1], p[2]];
    let vault = ellipsoid(q, [0.0, -15.0, 17.0], [66.0, 86.0, 59.0]);
    let floor = -15.0 - 0.04 * (p[1] + 15.0) - p[2];
    let temporal = ellipsoid([q[0].abs(), q[1], q[2]], [39.0, -6.0, -19.0], [25.0, 43.0, 22.0]);
    blend(meet(vault, floor, 14.0), temporal, 8.0)
}

fn cerebellum(p: Point) -> f32 {
    let q = [p[0].abs(), p[1], p[2]];
    let lobe = ellipsoid(q, [20.0, -62.0, -34.0], [32.0, 30.0, 24.0]);
    let vermis = ellipsoid(q, [0.0, -60.0, -29.0], [14.0, 27.0, 25.0]);
    blend(lobe, vermis, 9.0)
}

fn stem(p: Point) -> f32 {
    let midbrain = capsule(p, [0.0, -18.0, -8.0], [0.0, -24.0, -20.0], [12.0, 13.0]);
    let pons = ellipsoid(p, [0.0, -23.0, -30.0], [16.0, 12.5, 13.5]);
    let medulla = capsule(p, [0.0, -29.0, -40.0], [0.0, -40.0, -70.0], [9.5, 7.0]);
    let cord = capsule(p, [0.0, -40.0, -70.0], [0.0, -44.0, -190.0], [6.5, 5.5]);
    blend(blend(midbrain, pons, 5.0), blend(medulla, cord, 3.0), 6.0)
}

fn is_deep_grey(p: Point) -> bool {
    let q = [p[0].abs(), p[1], p[2]];
    let thalamus = ellipsoid(q, [10.5, -18.0, 7.0], [7.5, 13.5, 8.5]);
    let caudate = ellipsoid(q, [13.5, 14.0, 7.0], [5.0, 10.0, 9.0]);
    let lentiform = ellipsoid(q, [25.0, 3.0, 1.0], [6.0, 17.0, 10.0]);
    thalamus.min(caudate).min(lentiform) < 0.0
}

/// The point moved along its ray from the brain's middle to the surface of the vault, so that sulci run
/// straight down.
fn project(p: Point) -> Point {
    let centre = [0.0, -15.0, 8.0];
    let q = minus(p, centre);
    let level = ((q[0] / 64.0).powi(2) + (q[1] / 84.0).powi(2) + (q[2] / 62.0).powi(2)).sqrt();
    let scale = 1.0 / level.max(0.2);
    [centre[0] + q[0] * scale, centre[1] + q[1] * scale, centre[2] + q[2] * scale]
}
