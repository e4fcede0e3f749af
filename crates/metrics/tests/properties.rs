//! What must hold for any pair of masks, checked against brute force where there is one.
use proptest::prelude::*;
use udas_metrics::{
    Connectivity, Grid, Overlap, Score, SurfaceDistances, component_sizes, count_components,
    squared_distances_mm2,
};

/// A grid with odd sizes and spacings, and two masks of it from empty to dense.
fn masks() -> impl Strategy<Value = (Grid, Vec<bool>, Vec<bool>)> {
    let shape = [1usize..12, 1usize..12, 1usize..8];
    let spacing = [0.3..3.0f64, 0.3..3.0f64, 0.3..3.0f64];
    (shape, spacing, 0.0..1.0f64, 0.0..1.0f64).prop_flat_map(|(shape, spacing, p, q)| {
        let grid = Grid::new(shape, spacing).expect("a valid grid");
        let mask = |density| prop::collection::vec(prop::bool::weighted(density), grid.voxels());
        (Just(grid), mask(p), mask(q))
    })
}

fn position(grid: &Grid, index: usize) -> [usize; 3] {
    let [nx, ny, _] = grid.shape();
    [index % nx, index / nx % ny, index / (nx * ny)]
}

fn set_voxels(grid: &Grid, mask: &[bool]) -> Vec<[usize; 3]> {
    (0..mask.len()).filter(|&i| mask[i]).map(|i| position(grid, i)).collect()
}

fn brute_force_squared_distance(grid: &Grid, from: [usize; 3], set: &[[usize; 3]]) -> f64 {
    let squared = |to: &[usize; 3]| -> f64 {
        (0..3).map(|k| (grid.spacing_mm()[k] * from[k].abs_diff(to[k]) as f64).powi(2)).sum()
    };
    set.iter().map(squared).fold(f64::INFINITY, f64::min)
}

fn brute_force_components(grid: &Grid, mask: &[bool], connectivity: Connectivity) -> Vec<usize> {
    let mut left = set_voxels(grid, mask);
    let mut components = Vec::new();
    while let Some(seed) = left.pop() {
        let before = left.len();
        let mut front = vec![seed];
        while let Some(a) = front.pop() {
            let touching = |b: &mut [usize; 3]| {
                let apart = [0, 1, 2].map(|k| a[k].abs_diff(b[k]));
                apart.iter().all(|&d| d <= 1)
                    && (connectivity == Connectivity::Corners || apart.iter().sum::<usize>() == 1)
            };
            front.extend(left.extract_if(.., touching));
        }
        components.push(before - left.len() + 1);
    }
    components.sort_unstable_by(|a, b| b.cmp(a));
    components
}

proptest! {
    #[test]
    fn distance_transform_is_exact((grid, mask, _) in masks()) {
        let set = set_voxels(&grid, &mask);
        let squared = squared_distances_mm2(&mask, &grid).unwrap();
        for (i, &found) in squared.iter().enumerate() {
            let expected = brute_force_squared_distance(&grid, position(&grid, i), &set);
            prop_assert!(found == expected || (found - expected).abs() <= 1e-12 * expected);
        }
    }

    #[test]
    fn components_are_those_of_a_flood((grid, mask, _) in masks()) {
        for connectivity in [Connectivity::Faces, Connectivity::Corners] {
            let sizes = brute_force_components(&grid, &mask, connectivity);
            prop_assert_eq!(count_components(&mask, &grid, connectivity).unwrap(), sizes.len());
            prop_assert_eq!(component_sizes(&mask, &grid, connectivity).unwrap(), sizes);
        }
    }

    #[test]
    fn exchanging_the_masks_exchanges_the_directions((grid, a, b) in masks()) {
        let ab = SurfaceDistances::between(&a, &b, &grid).unwrap();
        let ba = SurfaceDistances::between(&b, &a, &grid).unwrap();
        prop_assert_eq!(ab.surface_dice(1.0), ba.surface_dice(1.0));
        prop_assert_eq!(ab.truth_overlap(1.0), ba.prediction_overlap(1.0));
        prop_assert_eq!(ab.truth_to_prediction_mm(), ba.prediction_to_truth_mm());
        prop_assert_eq!(ab.average_symmetric_mm(), ba.average_symmetric_mm());
        prop_assert_eq!(ab.hausdorff_mm(95.0), ba.hausdorff_mm(95.0));
        let (ab, ba) = (
            Overlap::count(&a, &b, &grid).unwrap(),
            Overlap::count(&b, &a, &grid).unwrap(),
        );
        prop_assert_eq!(ab.dice(), ba.dice());
        prop_assert_eq!(ab.iou(), ba.iou());
        prop_assert_eq!(ab.sensitivity(), ba.precision());
    }

    #[test]
    fn a_mask_agrees_with_itself((grid, mut mask, _) in masks()) {
        mask[0] = true;
        let surfaces = SurfaceDistances::between(&mask, &mask, &grid).unwrap();
        prop_assert_eq!(surfaces.surface_dice(0.0).finite(), Some(1.0));
        prop_assert_eq!(surfaces.average_symmetric_mm().finite(), Some(0.0));
        prop_assert_eq!(surfaces.hausdorff_mm(100.0).finite(), Some(0.0));
    }

    #[test]
    fn wider_tolerances_and_higher_percentiles_never_give_less((grid, mut a, mut b) in masks()) {
        (a[0], *b.last_mut().unwrap()) = (true, true);
        let surfaces = SurfaceDistances::between(&a, &b, &grid).unwrap();
        let dice = [0.0, 0.7, 1.5, 4.0, 100.0].map(|t| surfaces.surface_dice(t).finite().unwrap());
        prop_assert!(dice.is_sorted() && dice[4] == 1.0);
        let far = [1.0, 50.0, 95.0, 100.0].map(|p| surfaces.hausdorff_mm(p).finite().unwrap());
        prop_assert!(far.is_sorted() && far[3] >= surfaces.average_symmetric_mm().finite().unwrap());
    }

    #[test]
    fn margins_change_nothing((grid, a, b) in masks()) {
        let [nx, ny, nz] = grid.shape();
        let larger = Grid::new([nx + 3, ny + 2, nz + 4], grid.spacing_mm()).unwrap();
        let pad = |mask: &[bool]| {
            let mut padded = vec![false; larger.voxels()];
            for [x, y, z] in set_voxels(&grid, mask) {
                padded[x + 2 + (nx + 3) * (y + 1 + (ny + 2) * (z + 3))] = true;
            }
            padded
        };
        prop_assert_eq!(
            SurfaceDistances::between(&a, &b, &grid).unwrap(),
            SurfaceDistances::between(&pad(&a), &pad(&b), &larger).unwrap()
        );
    }

    /// Turned to every order of axes, with one slice or with several.
    #[test]
    fn the_order_of_axes_changes_nothing((grid, a, b) in masks(), thin in 0usize..4) {
        let keep = |mask: &[bool]| -> Vec<bool> {
            let at = |i: usize| mask[i] && (thin == 3 || position(&grid, i)[thin] == 0);
            (0..mask.len()).map(at).collect()
        };
        let (a, b) = (keep(&a), keep(&b));
        let surfaces = SurfaceDistances::between(&a, &b, &grid).unwrap();
        for axes in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let [shape, spacing] = [grid.shape().map(|n| n as f64), grid.spacing_mm()];
            let turned = Grid::new(axes.map(|k| shape[k] as usize), axes.map(|k| spacing[k])).unwrap();
            let turn = |mask: &[bool]| {
                let mut to = vec![false; mask.len()];
                for at in set_voxels(&grid, mask) {
                    let [x, y, z] = axes.map(|k| at[k]);
                    let [nx, ny, _] = turned.shape();
                    to[x + nx * (y + ny * z)] = true;
                }
                to
            };
            let other = SurfaceDistances::between(&turn(&a), &turn(&b), &turned).unwrap();
            let scores = |s: &SurfaceDistances| {
                [s.surface_dice(1.0), s.average_symmetric_mm(), s.hausdorff_mm(100.0)].map(Score::finite)
            };
            for (one, two) in scores(&surfaces).into_iter().zip(scores(&other)) {
                let near = match (one, two) {
                    (Some(one), Some(two)) => (one - two).abs() < 1e-9,
                    (one, two) => one == two,
                };
                prop_assert!(near, "{axes:?}: {one:?} {two:?}");
            }
        }
    }
}

/// Two discs of radius 10, 3 pixels apart: contours of which half lies within 1 mm of the other.
#[test]
fn a_slice_has_one_score_whatever_its_axis_and_its_neighbours() {
    let scores =
        [([40, 32, 1], 0), ([1, 40, 32], 0), ([40, 1, 32], 0), ([40, 32, 3], 1), ([5, 40, 32], 4)]
            .map(|(shape, slice): ([usize; 3], usize)| {
                let across = if shape[0] < 9 {
                    0
                } else if shape[1] < 9 {
                    1
                } else {
                    2
                };
                let grid = Grid::new(shape, [1.0; 3]).unwrap();
                let disc = |centre: f64| -> Vec<bool> {
                    let inside = |index: usize| {
                        let at = position(&grid, index);
                        let flat: Vec<f64> =
                            (0..3).filter(|&k| k != across).map(|k| at[k] as f64).collect();
                        at[across] == slice && (flat[0] - centre).hypot(flat[1] - 16.0) < 10.0
                    };
                    (0..grid.voxels()).map(inside).collect()
                };
                let surfaces = SurfaceDistances::between(&disc(18.0), &disc(21.0), &grid).unwrap();
                surfaces.surface_dice(1.0).finite().unwrap()
            });
    assert!(scores.iter().all(|score| (score - scores[0]).abs() < 1e-12), "{scores:?}");
    assert!((0.3..0.7).contains(&scores[0]), "{scores:?}");
}
