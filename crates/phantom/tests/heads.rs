//! Scans of heads: reproducible, plausible, and different from scanner to scanner.

use udas_phantom::scanner::{HEAD_SCANNERS, HeadScanner};
use udas_phantom::{HeadSubject, head};
use udas_volume::{Labels, Volume};

fn scan(seed: u64, scanner: &HeadScanner, matrix: usize) -> (Volume, Labels) {
    head(&HeadSubject::new(seed), scanner, matrix).expect("a matrix in range")
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn masked<'a>(volume: &'a Volume, mask: &'a Labels, label: u8) -> impl Iterator<Item = f32> + 'a {
    volume.data().iter().zip(mask.data()).filter(move |(_, l)| **l == label).map(|(v, _)| *v)
}

#[test]
fn the_same_seed_gives_the_same_scan_and_another_seed_another() {
    let scanner = &HEAD_SCANNERS[3];
    let (first, second, other) = (scan(5, scanner, 40), scan(5, scanner, 40), scan(6, scanner, 40));
    assert_eq!(first, second);
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
}

#[test]
fn grids_are_the_scanners_own() {
    for scanner in &HEAD_SCANNERS {
        let (volume, mask) = scan(1, scanner, 64);
        assert_eq!(volume.grid(), mask.grid());
        assert_eq!(volume.orientation(), "RAS");
        for axis in 0..3 {
            let field_of_view = volume.shape()[axis] as f64 * volume.spacing()[axis];
            let full = scanner.size[axis] as f64 * f64::from(scanner.spacing_mm[axis]);
            assert!((field_of_view / full - 1.0).abs() < 0.03, "{} {axis}", scanner.name);
        }
    }
    let shape = |name| scan(1, HeadScanner::named(name).expect("a domain"), 64).0.shape();
    assert_eq!(shape("GE_3"), [45, 64, 64]);
    assert_eq!(shape("Philips_15")[1..], [72, 72]);
}

#[test]
fn the_brain_lies_within_the_head() {
    for (seed, scanner) in HEAD_SCANNERS.iter().enumerate() {
        let (volume, mask) = scan(seed as u64, scanner, 64);
        let litres = masked(&volume, &mask, 1).count() as f64
            * volume.spacing().iter().product::<f64>()
            * 1e-6;
        assert!((1.1..1.9).contains(&litres), "{}: {litres} l", scanner.name);
        let [nx, ny, nz] = mask.shape();
        let mut border_air = Vec::new();
        for (at, (&label, &value)) in mask.data().iter().zip(volume.data()).enumerate() {
            let (x, y, z) = (at % nx, at / nx % ny, at / nx / ny);
            if x == 0 || y == 0 || x + 1 == nx || y + 1 == ny || z + 1 == nz {
                assert_eq!(label, 0, "{}: the mask touches the border", scanner.name);
                if z + 1 == nz {
                    border_air.push(value);
                }
            }
        }
        let (brain, air) = (mean(masked(&volume, &mask, 1)), mean(border_air.into_iter()));
        assert!(brain > 5.0 * air, "{}: brain {brain}, air {air}", scanner.name);
    }
}

#[test]
fn the_same_head_looks_different_on_every_scanner() {
    // Mean of the brain on the scale of the published loader: per-volume minimum to maximum.
    let mut levels: Vec<(f32, &str)> = HEAD_SCANNERS
        .iter()
        .map(|scanner| {
            let (volume, mask) = scan(2, scanner, 64);
            let most = volume.data().iter().copied().fold(0.0, f32::max);
            (mean(masked(&volume, &mask, 1)) / most, scanner.name)
        })
        .collect();
    levels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (least, most) = (levels[0].0, levels[levels.len() - 1].0);
    assert!(most > 1.4 * least, "{levels:?}");
}

#[test]
fn a_matrix_out_of_range_is_refused() {
    for matrix in [0, 31, 513] {
        let error =
            head(&HeadSubject::new(1), &HEAD_SCANNERS[0], matrix).expect_err("out of range");
        assert!(error.to_string().contains("32 to 512"), "{error}");
    }
}
