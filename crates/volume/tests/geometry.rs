//! Properties of reorientation and resampling, over all 48 axis orders and oblique affines.

use proptest::prelude::*;
use udas_volume::{Affine, Grid, Labels, Volume};

fn all_codes() -> Vec<String> {
    let mut all = Vec::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for signs in 0..8 {
            let code = |i: usize| ["RAS", "LPI"][signs >> i & 1].chars().nth(order[i]).unwrap();
            all.push((0..3).map(code).collect());
        }
    }
    all
}

/// A volume whose voxels hold where they lie, as a number unique to the place.
fn located(grid: &Grid) -> Volume {
    let [nx, ny, nz] = grid.shape;
    let mut data = Vec::new();
    for z in 0..nz {
        for y in 0..ny {
            for x in 0..nx {
                data.push(place(grid.affine.apply([x as f64, y as f64, z as f64])));
            }
        }
    }
    Volume::new(data, grid.shape, grid.affine).unwrap()
}

fn place([x, y, z]: [f64; 3]) -> f32 {
    (x + 40.0 * y + 1600.0 * z) as f32
}

#[test]
fn all_48_orders_come_to_ras_and_back() {
    let codes = all_codes();
    assert_eq!(codes.len(), 48);
    for codes in codes {
        let affine =
            Affine::from_codes(&codes, [1.0, 2.0, 3.0]).unwrap().with_origin([5.0, -4.0, 3.0]);
        let volume = located(&Grid { shape: [3, 4, 5], affine });
        assert_eq!(volume.orientation(), codes);
        let (ras, orientation) = volume.to_ras();
        assert_eq!(ras.orientation(), "RAS");
        assert_eq!(ras, located(ras.grid()), "{codes}: voxels lie where they lay");
        assert_eq!(ras.from_ras(&orientation).unwrap(), volume);
    }
}

#[test]
fn a_reorientation_of_another_shape_is_refused() {
    let volume =
        located(&Grid { shape: [2, 3, 4], affine: Affine::from_codes("PSR", [1.0; 3]).unwrap() });
    let (_, orientation) = volume.to_ras();
    assert!(volume.from_ras(&orientation).is_err());
}

prop_compose! {
    /// Rotation about each axis, voxel sizes, an axis order with signs, an origin.
    fn oblique()(
        angles in prop::array::uniform3(-3.1f64..3.1),
        sizes in prop::array::uniform3(0.3f64..4.0),
        flip in any::<bool>(),
        origin in prop::array::uniform3(-100.0f64..100.0),
    ) -> Affine {
        let [x, y, z] = sizes;
        let scale = Affine::from_spacing([if flip { -x } else { x }, y, z]);
        rotation(angles).compose(&scale).with_origin(origin)
    }
}

/// By an angle about each axis.
fn rotation(angles: [f64; 3]) -> Affine {
    let turn = |axis: usize| {
        let (sin, cos) = angles[axis].sin_cos();
        let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
        let mut rows = *Affine::from_spacing([1.0; 3]).rows();
        (rows[a][a], rows[a][b], rows[b][a], rows[b][b]) = (cos, -sin, sin, cos);
        Affine::from_rows(rows)
    };
    turn(0).compose(&turn(1)).compose(&turn(2))
}

proptest! {
    #[test]
    fn oblique_volumes_come_to_ras_and_back(affine in oblique(), shape in prop::array::uniform3(1usize..5)) {
        let volume = located(&Grid { shape, affine });
        let (ras, orientation) = volume.to_ras();
        prop_assert_eq!(ras.orientation(), "RAS");
        let again = located(ras.grid());
        for (a, b) in ras.data().iter().zip(again.data()) {
            prop_assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0));
        }
        let back = ras.from_ras(&orientation).unwrap();
        prop_assert_eq!(&back, &volume);
        // Bringing a RAS volume to RAS changes nothing.
        let (again, _) = ras.to_ras();
        prop_assert_eq!(again.data(), ras.data());
    }

    /// Every order keeps its name when it is tilted, and comes back to the bit.
    #[test]
    fn all_48_orders_come_back_tilted(
        angles in prop::array::uniform3(-0.2f64..0.2),
        sizes in prop::array::uniform3(0.3f64..4.0),
        origin in prop::array::uniform3(-100.0f64..100.0),
        shape in prop::array::uniform3(1usize..5),
    ) {
        for codes in all_codes() {
            let straight = Affine::from_codes(&codes, sizes).unwrap();
            let affine = rotation(angles).compose(&straight).with_origin(origin);
            let volume = located(&Grid { shape, affine });
            prop_assert_eq!(volume.orientation(), codes);
            let (ras, orientation) = volume.to_ras();
            prop_assert_eq!(ras.orientation(), "RAS");
            prop_assert_eq!(&ras.from_ras(&orientation).unwrap(), &volume);
        }
    }

    /// Whatever the voxels are: nothing leaks in from neighbours.
    #[test]
    fn resampling_onto_the_same_grid_is_the_identity_to_the_bit(
        affine in oblique(),
        shape in prop::array::uniform3(1usize..6),
        seed in any::<u32>(),
    ) {
        // A hash of the offset as bits: all magnitudes, NaN and infinities among them.
        let bits = |offset: usize| seed.wrapping_add(offset as u32).wrapping_mul(0x9e37_79b1);
        let voxels: Vec<f32> = (0..shape.iter().product()).map(|v| f32::from_bits(bits(v))).collect();
        let volume = Volume::new(voxels, shape, affine).unwrap();
        let labels = volume.map(|value| value.to_bits() as u8);
        let grids = [*volume.grid(), volume.grid().with_spacing(volume.spacing()).unwrap()];
        for grid in grids {
            prop_assert_eq!(&grid, volume.grid());
            let same = volume.resample_onto(&grid).unwrap();
            let pairs = same.data().iter().zip(volume.data());
            prop_assert!(pairs.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()));
            prop_assert_eq!(&labels.resample_onto(&grid).unwrap(), &labels);
        }
    }

    /// Interpolated values lie between the voxels', so that a constant stays what it is; outside is 0.
    #[test]
    fn constants_stay_and_nothing_overshoots(
        affine in oblique(),
        shape in prop::array::uniform3(1usize..6),
        ratios in prop::array::uniform3(0.3f64..3.0),
        other in oblique(),
        value in -1e6f32..1e6,
    ) {
        let grid = Grid { shape, affine };
        let voxels = grid.len();
        let constant = Volume::new(vec![value; voxels], shape, affine).unwrap();
        let labels = Labels::new(vec![3; voxels], shape, affine).unwrap();
        let old = affine.spacing();
        // The same field of view, which holds every centre of the new grid.
        let within = grid.with_spacing([0, 1, 2].map(|axis| ratios[axis] * old[axis])).unwrap();
        prop_assert!(constant.resample_onto(&within).unwrap().data().iter().all(|&v| v == value));
        prop_assert!(labels.resample_onto(&within).unwrap().data().iter().all(|&v| v == 3));
        let elsewhere = Grid { shape: [4, 3, 5], affine: other };
        let moved = constant.resample_onto(&elsewhere).unwrap();
        prop_assert!(moved.data().iter().all(|&v| v == value || v == 0.0));

        let varied = located(&grid);
        let ends = |volume: &Volume| {
            let fold = |(low, high): (f32, f32), &v: &f32| (low.min(v), high.max(v));
            volume.data().iter().fold((f32::INFINITY, f32::NEG_INFINITY), fold)
        };
        let ((low, high), (new_low, new_high)) =
            (ends(&varied), ends(&varied.resample_onto(&within).unwrap()));
        prop_assert!(low <= new_low && new_high <= high);
    }

    /// Trilinear interpolation reproduces a linear function wherever it does not meet the edge.
    #[test]
    fn a_linear_ramp_survives_resampling(
        affine in oblique(),
        shape in prop::array::uniform3(3usize..8),
        spacing in prop::array::uniform3(0.4f64..3.0),
    ) {
        let volume = located(&Grid { shape, affine });
        let grid = volume.grid().with_spacing(spacing).unwrap();
        prop_assert!((0..3).all(|axis| (grid.affine.spacing()[axis] - spacing[axis]).abs() < 1e-9));
        let resampled = volume.resample_onto(&grid).unwrap();
        let to_old = affine.inverse().unwrap().compose(&grid.affine);
        let [nx, ny, _] = grid.shape;
        for (offset, &value) in resampled.data().iter().enumerate() {
            let index = [offset % nx, offset / nx % ny, offset / nx / ny].map(|v| v as f64);
            let inside = to_old.apply(index).iter().zip(shape).all(|(&at, n)| at >= 0.0 && at <= n as f64 - 1.0);
            let expected = place(grid.affine.apply(index));
            prop_assert!(!inside || (value - expected).abs() <= 1e-4 * expected.abs().max(1.0));
        }
    }

    /// Labels enlarged by a whole factor come back the same.
    #[test]
    fn labels_survive_whole_factors(
        affine in oblique(),
        labels in prop::collection::vec(0u8..4, 24),
        factor in 1usize..5,
    ) {
        let labels = Labels::new(labels, [2, 3, 4], affine).unwrap();
        let finer = labels.grid().with_spacing(labels.spacing().map(|size| size / factor as f64)).unwrap();
        prop_assert_eq!(finer.shape, [2 * factor, 3 * factor, 4 * factor]);
        let fine = labels.resample_onto(&finer).unwrap();
        let back = fine.resample_onto(labels.grid()).unwrap();
        prop_assert_eq!(back.data(), labels.data());
    }

    /// The fine voxel nearest to a centre lies less than half an old voxel from it: any finer grid will do.
    #[test]
    fn labels_survive_any_finer_grid(
        affine in oblique(),
        labels in prop::collection::vec(0u8..4, 24),
        ratios in prop::array::uniform3(0.15f64..0.99),
    ) {
        let labels = Labels::new(labels, [2, 3, 4], affine).unwrap();
        let old = labels.spacing();
        let finer = labels.grid().with_spacing([0, 1, 2].map(|axis| ratios[axis] * old[axis])).unwrap();
        let fine = labels.resample_onto(&finer).unwrap();
        let back = fine.resample_onto(labels.grid()).unwrap();
        prop_assert_eq!(back.data(), labels.data());
    }
}

#[test]
fn outside_the_field_of_view_is_zero() {
    let volume = Volume::new(vec![7.0; 8], [2, 2, 2], Affine::from_spacing([1.0; 3])).unwrap();
    let affine = Affine::from_spacing([1.0; 3]).with_origin([-1.0, 0.0, 0.0]);
    let moved = volume.resample_onto(&Grid { shape: [3, 1, 1], affine }).unwrap();
    assert_eq!(moved.data(), [0.0, 7.0, 7.0]);
}

#[test]
fn impossible_spacings_are_refused() {
    let volume = Volume::new(vec![0.0; 8], [2, 2, 2], Affine::from_spacing([1.0; 3])).unwrap();
    for spacing in [0.0, -1.0, f64::NAN, 1e-9] {
        assert!(volume.grid().with_spacing([1.0, spacing, 1.0]).is_err());
    }
    // Possible along each axis, not in all: 2^42 voxels.
    assert!(volume.grid().with_spacing([1.2e-4; 3]).is_err());
}
