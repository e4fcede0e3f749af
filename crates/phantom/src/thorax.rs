//! The thorax around a heart: wall, ribs, spine, lungs, liver, stomach and fat, which keep still.

use crate::field::{Point, RandomWaves, ellipsoid, norm, normal};
use crate::tissue::Tissue;
use rand::Rng;

/// A subject's thorax, in the coordinates of the heart.
pub(crate) struct Thorax {
    pub(crate) texture: RandomWaves,
    pub(crate) broad: RandomWaves,
    /// Centre from the left ventricle's axis, mm.
    centre: [f32; 2],
    /// Half-axes without the fat below the skin, mm.
    radii: [f32; 2],
    fat_mm: f32,
}

impl Thorax {
    /// Draws the thorax of a person of a build (1 is the mean) and body mass index in kg/m2.
    pub(crate) fn draw(rng: &mut impl Rng, build: f32, mass_index: f32) -> Self {
        let (middle, half) = ([-30.0, 20.0, -20.0], [230.0, 190.0, 90.0]);
        Self {
            texture: RandomWaves::draw(rng, 16.0, middle, half),
            broad: RandomWaves::draw(rng, 60.0, middle, half),
            centre: [-62.0 + 8.0 * normal(rng), 30.0 + 5.0 * normal(rng)],
            radii: [165.0, 100.0].map(|mm| mm * build * (1.0 + 0.05 * normal(rng))),
            fat_mm: (0.9 * (mass_index - 14.0)).clamp(4.0, 26.0),
        }
    }

    /// Centre in the plane, mm.
    pub(crate) fn centre(&self) -> [f32; 2] {
        self.centre
    }

    /// Radii of the ellipse on which a body coil lies, mm.
    pub(crate) fn coil_radii(&self) -> [f32; 2] {
        self.radii.map(|radius| radius + self.fat_mm + 15.0)
    }

    /// The tissue at a point outside of the heart; `to_heart` gives the distance from its muscle, mm.
    pub(crate) fn tissue(&self, p: Point, to_heart: impl Fn() -> f32) -> Tissue {
        let q = [p[0] - self.centre[0], p[1] - self.centre[1]];
        let [wide, deep] = self.radii;
        let outer_radii = [wide + self.fat_mm, deep + self.fat_mm];
        let skin = ring(q, outer_radii, p[2]);
        if skin > 0.0 {
            return Tissue::Air;
        }
        if skin > -2.0 {
            return Tissue::Skin;
        }
        let wall = ring(q, [wide, deep], p[2]);
        if wall > 0.0 {
            return if self.texture.at(p) > 1.7 { Tissue::Muscle } else { Tissue::Fat };
        }
        if let Some(tissue) = self.back(p, q) {
            return tissue;
        }
        if wall > -17.0 {
            return self.chest_wall(p, q, wall);
        }
        self.inside(p, q, to_heart)
    }

    /// Muscle, ribs with marrow, and fat between them.
    fn chest_wall(&self, p: Point, q: [f32; 2], wall: f32) -> Tissue {
        let [wide, deep] = self.radii;
        let turn = (q[1] / deep).atan2(q[0] / wide) * 4.5 + 0.06 * p[2];
        let along = (turn - turn.round()).abs() * 90.0;
        let rib = norm(0.45 * along, 1.6 * (wall + 11.0)) - 9.5;
        if rib < 0.0 {
            return if rib > -2.2 { Tissue::CorticalBone } else { Tissue::RedMarrow };
        }
        let texture = self.texture.at(p);
        if texture > 0.9 || (wall + 7.0).abs() < 1.2 { Tissue::Fat } else { Tissue::Muscle }
    }

    /// Spine, cord, back muscles, descending aorta.
    fn back(&self, p: Point, q: [f32; 2]) -> Option<Tissue> {
        let deep = self.radii[1];
        let spine = [q[0], q[1] - (deep - 46.0)];
        let body = norm(spine[0], spine[1] * 1.15) - 20.0;
        let canal = norm(spine[0], spine[1] - 28.0) - 9.0;
        let aorta = norm(spine[0] - 27.0, spine[1] + 18.0) - 11.5;
        if aorta < 0.0 {
            return Some(Tissue::ArterialBlood);
        }
        if canal < 0.0 {
            let cord = canal < -4.5;
            return Some(if cord { Tissue::WhiteMatter } else { Tissue::CerebrospinalFluid });
        }
        if body < 0.0 || canal < 4.0 {
            return Some(if body > -1.8 { Tissue::CorticalBone } else { Tissue::RedMarrow });
        }
        let muscles = norm((spine[0].abs() - 33.0) / 26.0, (spine[1] - 32.0) / 19.0);
        (muscles < 1.0).then(|| if self.texture.at(p) > 1.0 { Tissue::Fat } else { Tissue::Muscle })
    }

    /// Lungs with vessels, liver below the right lung, stomach below the left, mediastinal fat.
    fn inside(&self, p: Point, q: [f32; 2], to_heart: impl Fn() -> f32) -> Tissue {
        let broad = self.broad.at(p);
        // Towards the apex the oblique slice cuts the organs below the diaphragm.
        let below = ((-p[2] - 10.0) / 70.0).clamp(0.0, 1.0);
        let liver = ellipsoid(
            [q[0], q[1], p[2]],
            [-58.0, 40.0, -92.0],
            [88.0 + 8.0 * broad, 66.0 + 6.0 * broad, 90.0],
        );
        if liver < 0.0 {
            let vessel = self.texture.at(p) > 1.75;
            return if vessel { Tissue::VenousBlood } else { Tissue::Liver };
        }
        let stomach = ellipsoid([q[0], q[1], p[2]], [92.0, 30.0, -100.0], [46.0, 42.0, 75.0]);
        if stomach < 0.0 {
            let gas = q[1] < 18.0 + 6.0 * broad;
            return match stomach {
                rim if rim > -4.0 => Tissue::Muscle,
                _ if gas => Tissue::Air,
                _ => Tissue::Muscle,
            };
        }
        let mediastinum = norm((q[0] - 6.0) / 20.0, (q[1] - 36.0) / 50.0) - 1.0;
        let fat_pad = to_heart() - 5.0 - 9.0 * below * (1.0 + broad);
        if mediastinum.min(fat_pad) < 0.0 {
            return Tissue::Fat;
        }
        // Vessels, finer than the other textures.
        let vessels = self.texture.at([1.7 * p[0] + 40.0, 1.7 * p[1], p[2]]);
        if vessels > 1.9 { Tissue::VenousBlood } else { Tissue::Lung }
    }
}

/// Distance to the outline of a thorax, flatter in front and at the back than an ellipse and narrower above.
fn ring(q: [f32; 2], radii: [f32; 2], z: f32) -> f32 {
    let widen = 1.0 - 0.0006 * z;
    let (x, y) = ((q[0] / (radii[0] * widen)).powi(2), (q[1] / (radii[1] * widen)).powi(2));
    let level = (x * x + y * y + 1.3 * x * y).sqrt().sqrt();
    (level - 1.0) * radii[0].min(radii[1])
}
