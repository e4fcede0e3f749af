//! Surface scores against figures of the surface-distance package.
mod common;

use common::{golden, golden_json};
use safetensors::SafeTensors;
use serde_json::Value;
use udas_metrics::{Grid, Overlap, Score, SurfaceDistances, surface_element_areas_mm2};

fn floats(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("a list of numbers")
}

/// `null` and `"inf"` must agree as they are, numbers to 1e-6.
fn check(name: &str, found: Score, golden: &Value) {
    let expected: Score = serde_json::from_value(golden.clone()).expect("a score");
    match (found, expected) {
        (Score::Finite(a), Score::Finite(b)) => {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{name}: {a}, golden {b}");
        }
        (found, expected) => assert_eq!(found, expected, "{name}"),
    }
}

#[test]
fn element_areas_agree_for_every_neighbourhood() {
    let Some(cases) = golden_json("surfel_areas.json") else { return };
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 2);
    for case in cases {
        // Golden arrays are indexed [z, y, x].
        let spacing = floats(&case["spacing_mm"]);
        let areas = surface_element_areas_mm2([spacing[2], spacing[1], spacing[0]]);
        let expected = floats(&case["area_mm2_by_code"]);
        assert_eq!(expected.len(), 256);
        for (code, (area, golden)) in areas.iter().zip(expected).enumerate() {
            assert!((area - golden).abs() < 1e-6, "code {code:#010b}: {area}, golden {golden}");
        }
    }
}

#[test]
fn volumes_agree() {
    let Some(cases) = golden_json("surface_metrics.json") else { return };
    let Some(path) = golden("surface_metrics.safetensors") else { return };
    let bytes = std::fs::read(path).expect("golden masks are readable");
    let masks = SafeTensors::deserialize(&bytes).expect("golden masks are safetensors");
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 14);
    for (index, case) in cases.iter().enumerate() {
        let mask = |role: &str| -> Vec<bool> {
            let tensor = masks.tensor(&format!("case{index:02}.{role}")).expect("a mask");
            tensor.data().iter().map(|&voxel| voxel != 0).collect()
        };
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).expect("a shape");
        let spacing = floats(&case["spacing_mm"]);
        let reversed = [spacing[2], spacing[1], spacing[0]];
        let grid = Grid::new([shape[2], shape[1], shape[0]], reversed).expect("a grid");
        check_volume(index, case, &mask("prediction"), &mask("ground_truth"), &grid);
    }
}

fn check_volume(index: usize, case: &Value, prediction: &[bool], truth: &[bool], grid: &Grid) {
    let surfaces = SurfaceDistances::between(prediction, truth, grid).expect("masks fit the grid");
    let overlap = Overlap::count(prediction, truth, grid).expect("masks fit the grid");
    let name = |score: &str| format!("case {index}, {score}");
    check(&name("Dice"), overlap.dice(), &case["volumetric_dice"]);
    for (tolerance, golden) in case["surface_dice"].as_object().expect("by tolerance") {
        let tolerance_mm = tolerance.parse().expect("a number");
        check(&name("surface Dice"), surfaces.surface_dice(tolerance_mm), golden);
    }
    let overlaps = &case["surface_overlap_1mm"];
    check(&name("truth overlap"), surfaces.truth_overlap(1.0), &overlaps[0]);
    check(&name("prediction overlap"), surfaces.prediction_overlap(1.0), &overlaps[1]);
    let averages = &case["average_surface_distance_gt_to_pred_pred_to_gt"];
    check(&name("truth to prediction"), surfaces.truth_to_prediction_mm(), &averages[0]);
    check(&name("prediction to truth"), surfaces.prediction_to_truth_mm(), &averages[1]);
    for (percentile, golden) in case["robust_hausdorff"].as_object().expect("by percentile") {
        let found = surfaces.hausdorff_mm(percentile.parse().expect("a number"));
        if overlap.predicted() + overlap.actual() == 0 {
            // The one documented difference: two empty masks have no distance at all.
            assert_eq!((found, golden.as_str()), (Score::Undefined, Some("inf")));
        } else {
            check(&name("Hausdorff"), found, golden);
        }
    }
}

#[test]
fn images_agree() {
    let Some(cases) = golden_json("contour_metrics.json") else { return };
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 6);
    for (index, case) in cases.iter().enumerate() {
        let rows = |role: &str| -> Vec<String> {
            serde_json::from_value(case[role].clone()).expect("rows of text")
        };
        let mask = |role: &str| rows(role).concat().bytes().map(|b| b == b'#').collect::<Vec<_>>();
        let spacing = floats(&case["spacing_yx_mm"]);
        let shape = [rows("truth")[0].len(), rows("truth").len(), 1];
        let grid = Grid::new(shape, [spacing[1], spacing[0], 7.0]).expect("a grid");
        let surfaces = SurfaceDistances::between(&mask("prediction"), &mask("truth"), &grid)
            .expect("masks fit the grid");
        let name = |score: &str| format!("image {index}, {score}");
        check(&name("surface Dice"), surfaces.surface_dice(1.0), &case["surface_dice_1mm"]);
        let averages = &case["average_distances_mm"];
        check(&name("truth to prediction"), surfaces.truth_to_prediction_mm(), &averages[0]);
        check(&name("prediction to truth"), surfaces.prediction_to_truth_mm(), &averages[1]);
        check(&name("Hausdorff 95"), surfaces.hausdorff_mm(95.0), &case["hausdorff_95_mm"]);
    }
}
