//! Cines of hearts: reproducible, contracting, with labels nested as anatomy is.

use std::sync::OnceLock;
use udas_phantom::scanner::HEART_SCANNERS;
use udas_phantom::{Cine, HeartSubject, Pathology, heart};
use udas_volume::Labels;

const LEFT: u8 = 1;
const MUSCLE: u8 = 2;
const RIGHT: u8 = 3;

fn millilitres(labels: &Labels, label: u8) -> f64 {
    let voxels = labels.data().iter().filter(|&&l| l == label).count();
    voxels as f64 * labels.spacing().iter().product::<f64>() * 1e-3
}

/// A heart on each scanner, scanned once for all tests.
fn cines() -> &'static [(HeartSubject, Cine)] {
    static CINES: OnceLock<Vec<(HeartSubject, Cine)>> = OnceLock::new();
    CINES.get_or_init(|| (0..4).map(|scanner| scan(scanner as u64, scanner)).collect())
}

fn scan(seed: u64, scanner: usize) -> (HeartSubject, Cine) {
    let subject = HeartSubject::new(seed);
    let cine = heart(&subject, &HEART_SCANNERS[scanner], 72).expect("a matrix in range");
    (subject, cine)
}

#[test]
fn the_same_seed_gives_the_same_cine() {
    let (first, second) = (&cines()[1].1, scan(1, 1).1);
    assert_eq!(first.frames, second.frames);
    assert_eq!(first.end_systole, second.end_systole);
    assert_ne!(first.frames, scan(4, 1).1.frames);
}

#[test]
fn ventricles_contract_and_the_muscle_keeps_its_volume() {
    for (seed, (subject, cine)) in cines().iter().enumerate() {
        let volumes =
            |label| [&cine.end_diastole, &cine.end_systole].map(|l| millilitres(l, label));
        let ([left, left_es], [muscle, muscle_es]) = (volumes(LEFT), volumes(MUSCLE));
        let [right, right_es] = volumes(RIGHT);
        let ejected = 1.0 - left_es / left;
        let all = format!("{seed} {:?}: {left} {left_es} {muscle} {right}", subject.pathology);
        // Ranges around those of Petersen et al., J Cardiovasc Magn Reson 19:18 (2017), widened for the diseases.
        assert!((60.0..330.0).contains(&left), "{all}");
        assert!((60.0..330.0).contains(&muscle), "{all}");
        assert!((60.0..330.0).contains(&right), "{all}");
        let expected = match subject.pathology {
            Pathology::Dilated => 0.15..0.50,
            _ => 0.45..0.85,
        };
        assert!(expected.contains(&ejected), "{all}: ejection fraction {ejected}");
        assert!(right_es < 0.9 * right, "{all}");
        assert!((0.75..1.25).contains(&(muscle_es / muscle)), "{all}: {muscle_es}");
    }
}

#[test]
fn the_left_ventricle_lies_within_its_muscle() {
    for (seed, (_, cine)) in cines().iter().enumerate() {
        for labels in [&cine.end_diastole, &cine.end_systole] {
            let (mut touching, mut bare) = (0, 0);
            let [nx, ny, nz] = labels.shape();
            for (z, y, x) in (0..nz)
                .flat_map(|z| (1..ny - 1).flat_map(move |y| (1..nx - 1).map(move |x| (z, y, x))))
            {
                if labels.get([x, y, z]) != Some(LEFT) {
                    continue;
                }
                let around = [[x - 1, y, z], [x + 1, y, z], [x, y - 1, z], [x, y + 1, z]];
                for neighbour in around.map(|at| labels.get(at)) {
                    touching += 1;
                    bare += usize::from(neighbour == Some(0) || neighbour == Some(RIGHT));
                }
            }
            assert!(touching > 300 && bare * 100 <= touching, "{seed}: {bare} of {touching}");
        }
    }
}

#[test]
fn blood_is_bright_and_muscle_dark() {
    for (scanner, (_, cine)) in HEART_SCANNERS.iter().zip(cines()) {
        let image = &cine.frames[cine.end_diastole_frame];
        let mean = |label: u8| {
            let inside = image.data().iter().zip(cine.end_diastole.data());
            let values: Vec<f32> = inside.filter(|(_, l)| **l == label).map(|(v, _)| *v).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        let (blood, muscle) = (mean(LEFT), mean(MUSCLE));
        assert!(blood > 1.4 * muscle, "{}: {blood} {muscle}", scanner.name);
    }
}
