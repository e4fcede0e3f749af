//! `udas judge --masks` and `udas calibrate --masks`: masks of any tool, without a model.
mod common;

use common::{Bench, golden};
use std::path::Path;
use udas_volume::{Affine, Labels, Volume, write_labels, write_volume};

/// Voxels along each side.
const SIDE: usize = 24;

/// A ball, its border moved by `wrong` voxels on one side, with `specks` voxels elsewhere.
fn ball(wrong: f64, specks: usize) -> Labels {
    let voxel = |i: usize| [i % SIDE, i / SIDE % SIDE, i / SIDE / SIDE].map(|x| x as f64 - 11.5);
    let inside = |i: usize| {
        let [x, y, z] = voxel(i);
        let x = if x > 0.0 { x - wrong * (1.0 - (x / 8.0)) } else { x };
        (x * x + y * y + z * z).sqrt() < 7.0
    };
    let mut data: Vec<u8> = (0..SIDE.pow(3)).map(|i| u8::from(inside(i))).collect();
    (0..specks).for_each(|speck| data[speck * 2 * SIDE] = 1);
    Labels::new(data, [SIDE; 3], Affine::from_spacing([1.0; 3])).unwrap()
}

/// Dice with the whole ball.
fn dice(mask: &Labels) -> f64 {
    let whole = ball(0.0, 0);
    let both = mask.data().iter().zip(whole.data()).filter(|&(&a, &b)| a == 1 && b == 1).count();
    let all = mask.data().iter().chain(whole.data()).filter(|&&label| label == 1).count();
    2.0 * both as f64 / all as f64
}

fn text(bench: &Bench, name: &str) -> String {
    std::fs::read_to_string(bench.path(name)).unwrap()
}

fn write(folder: &Path, name: &str, labels: &Labels) {
    std::fs::create_dir_all(folder).unwrap();
    write_labels(&folder.join(format!("{name}.nii.gz")), labels).unwrap();
}

/// Masks of `count` cases that are the worse the higher the case, with their labels and another rater's.
fn cases(bench: &Bench, at: &str, count: usize) {
    for case in 0..count {
        let name = format!("case{case:02}");
        let wrong = case as f64 * 6.0 / count as f64;
        write(&bench.path(&format!("{at}/masks")), &name, &ball(wrong, case));
        write(&bench.path(&format!("{at}/other")), &name, &ball(wrong * 0.3, 0));
        write(&bench.path(&format!("{at}/labels")), &name, &ball(0.0, 0));
    }
}

/// Images of cases: the ball is bright on noise.
fn images(bench: &Bench, at: &str, count: usize) {
    let folder = bench.path(at);
    std::fs::create_dir_all(&folder).unwrap();
    for case in 0..count {
        let noise = |voxel: usize| (voxel * (7919 + case) % 97) as f32 / 300.0;
        let ball = ball(0.0, 0);
        let values = ball.data().iter().enumerate();
        let values = values.map(|(voxel, &label)| f32::from(label) + noise(voxel)).collect();
        let image = Volume::new(values, [SIDE; 3], Affine::from_spacing([1.0; 3])).unwrap();
        write_volume(&folder.join(format!("case{case:02}_0000.nii.gz")), &image).unwrap();
    }
}

#[test]
fn what_masks_teach_is_tried_on_labelled_images() {
    let bench = Bench::new();
    cases(&bench, "known", 12);
    cases(&bench, "new", 7);
    images(&bench, "known/images", 12);
    images(&bench, "new/images", 7);
    // Half of the ball is missing: what it teaches is wrong of the other half.
    write(&bench.path("new/masks"), "case06", &ball(30.0, 0));
    let calibrate = "calibrate --masks known/masks --labels known/labels --out reference.json";
    bench.fail(&format!("{calibrate} --images new/images"), 3, &["none of case07"]);
    bench.succeed(&format!("{calibrate} --images known/images"));
    let judge = "judge --masks new/masks --reference reference.json --out judged.json";
    bench.fail(judge, 2, &["was learned with images", "--images"]);
    bench.succeed(&format!("{judge} --images new/images"));
    let judged: serde_json::Value = serde_json::from_str(&text(&bench, "judged.json")).unwrap();
    let reverse = |case: &str| {
        let rows = judged["masks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["case"] == case).unwrap();
        row["look"]["reverse"].as_f64().unwrap()
    };
    assert!(reverse("case00") > reverse("case06") + 0.05, "{judged}");
    assert!(text(&bench, "judged.csv").contains("reverse"));
}

#[test]
fn dice_is_learned_and_the_worst_come_first() {
    let bench = Bench::new();
    cases(&bench, "known", 12);
    cases(&bench, "new", 7);
    let said = bench.succeed(
        "calibrate --masks known/masks --labels known/labels --others known/other --out reference.json",
    );
    assert!(said.contains("class 1: 12 cases"), "{said}");
    std::fs::write(bench.path("groups.csv"), "case,group\ncase00,May\ncase01,May\ncase06,June\n")
        .unwrap();
    let image: Vec<f32> = ball(0.0, 0).data().iter().map(|&label| f32::from(label)).collect();
    std::fs::create_dir(bench.path("images")).unwrap();
    for case in 0..7 {
        let volume = Volume::new(image.clone(), [SIDE; 3], Affine::from_spacing([1.0; 3])).unwrap();
        write_volume(&bench.path(&format!("images/case{case:02}.nii.gz")), &volume).unwrap();
    }
    let truth: Vec<f64> =
        (0..7).map(|case| dice(&ball(f64::from(case) * 6.0 / 7.0, case as usize))).collect();
    // Labels of the new cases are not there to be opened.
    std::fs::remove_dir_all(bench.path("new/labels")).unwrap();
    let said = bench.succeed(
        "judge --masks new/masks --others new/other --reference reference.json --groups groups.csv --images images \
         --page page --out judged.json",
    );
    let place = |case: &str| said.find(case).unwrap();
    assert!(place("case06") < place("case05") && place("case05") < place("case00"), "{said}");
    assert!(said.contains("group June"));
    let judged: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("judged.json")).unwrap()).unwrap();
    assert_eq!(judged["basis"], "reference");
    let expected = |case: &str| {
        let rows = judged["masks"].as_array().unwrap();
        rows.iter().find(|row| row["case"] == case).unwrap()["expected"]["dice"].as_f64().unwrap()
    };
    for (case, truth) in truth.iter().enumerate() {
        assert!(
            (expected(&format!("case{case:02}")) - truth).abs() < 0.02,
            "{case} {truth} {judged}"
        );
    }
    assert!(truth[0] - truth[6] > 0.05);
    assert_eq!(text(&bench, "judged.csv").lines().count(), 8);
    let page = text(&bench, "page/index.html");
    assert_eq!(page.matches("<figure>").count(), 6);
    assert!(page.contains("case06") && !page.contains("://"), "{page}");
}

/// The probability of the ball's inside, sure of itself by `steepness`, with a border that lies `wrong` voxels off.
fn probability(wrong: f64, steepness: f64) -> Volume {
    let place = |i: usize| [i % SIDE, i / SIDE % SIDE, i / SIDE / SIDE].map(|x| x as f64 - 11.5);
    let depth = |i: usize| 7.0 + wrong - place(i).map(|x| x * x).iter().sum::<f64>().sqrt();
    let value = |i: usize| (1.0 / (1.0 + (-steepness * depth(i)).exp())) as f32;
    let data = (0..SIDE.pow(3)).map(value).collect();
    Volume::new(data, [SIDE; 3], Affine::from_spacing([1.0; 3])).unwrap()
}

#[test]
fn probabilities_in_the_place_of_masks_are_cut_at_one_half_and_weigh() {
    let bench = Bench::new();
    for (at, count) in [("known", 12), ("new", 6)] {
        std::fs::create_dir_all(bench.path(&format!("{at}/masks"))).unwrap();
        for case in 0..count {
            // The further off, the less sure.
            let wrong = f64::from(case) * 3.0 / f64::from(count);
            let name = format!("case{case:02}");
            let volume = probability(wrong, 3.0 - wrong);
            write_volume(&bench.path(&format!("{at}/masks/{name}.nii.gz")), &volume).unwrap();
            write(&bench.path(&format!("{at}/labels")), &name, &ball(0.0, 0));
        }
    }
    let calibrate = "calibrate --masks known/masks --labels known/labels --out reference.json";
    bench.succeed(calibrate);
    let reference: serde_json::Value =
        serde_json::from_str(&text(&bench, "reference.json")).unwrap();
    let columns = reference["classes"]["1"]["columns"].as_array().unwrap();
    assert!(columns.contains(&"confidence".into()) && columns.contains(&"log soft volume".into()));
    let judge = "judge --masks new/masks --reference reference.json --out judged.json";
    bench.succeed(judge);
    let judged: serde_json::Value = serde_json::from_str(&text(&bench, "judged.json")).unwrap();
    let confidence = |case: &str| {
        let rows = judged["masks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["case"] == case).unwrap();
        row["look"]["confidence"]["mean"].as_f64().unwrap()
    };
    assert!(confidence("case00") > confidence("case05") + 0.01, "{judged}");
    assert!((0.5..1.0).contains(&confidence("case05")));
    // The worst comes first, and the table has the figures.
    assert_eq!(judged["masks"][0]["case"], "case05");
    assert!(text(&bench, "judged.csv").lines().next().unwrap().contains("confidence,soft_volume"));

    // Labels alone say nothing of what the reference goes by; labels among probabilities teach nothing.
    write(&bench.path("plain"), "case00", &ball(0.0, 0));
    bench.fail(
        "judge --masks plain --reference reference.json",
        3,
        &["case00", "no probabilities"],
    );
    write(&bench.path("known/masks"), "case00", &ball(0.0, 0));
    bench.fail(calibrate, 3, &["case00", "no probabilities", "add them"]);
    // Logits are neither labels nor probabilities.
    let logits = probability(0.0, 1.0).map(|value| 9.0 * value - 4.5);
    write_volume(&bench.path("new/masks/case00.nii.gz"), &logits).unwrap();
    bench.fail("judge --masks new/masks", 3, &["case00.nii.gz", "between 0 and 1", "softmax"]);
}

#[test]
fn probabilities_beside_masks_are_those_of_numpy() {
    let bench = Bench::new();
    let expected = std::fs::read_to_string(golden("quality/expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let labels: Vec<u8> =
        expected["labels"].as_array().unwrap().iter().map(|l| l.as_u64().unwrap() as u8).collect();
    let mask = Labels::new(labels, [5, 4, 2], Affine::from_spacing([1.0; 3])).unwrap();
    write(&bench.path("masks"), "case", &mask);
    for (archive, tolerance) in [("case.npz", 1e-6), ("case_half.npz", 1e-3)] {
        std::fs::copy(golden("quality").join(archive), bench.path("masks/case.npz")).unwrap();
        bench.succeed("judge --masks masks --out judged.json");
        let judged: serde_json::Value = serde_json::from_str(&text(&bench, "judged.json")).unwrap();
        for row in judged["masks"].as_array().unwrap() {
            let class = row["class"].to_string();
            for figure in ["mean", "soft-volume"] {
                let [own, other] =
                    [&row["look"]["confidence"][figure], &expected["classes"][&class][figure]]
                        .map(|value| value.as_f64().unwrap());
                assert!(
                    (own - other).abs() < tolerance,
                    "{archive} {class} {figure}: {own} {other}"
                );
            }
        }
    }
    // The same in files of a class each, as `predict --probabilities` writes them.
    std::fs::remove_file(bench.path("masks/case.npz")).unwrap();
    for class in [1, 2] {
        let near = mask.map(|label| if label == class { 0.875 } else { 0.0625 });
        write_volume(&bench.path(&format!("masks/case_prob{class}.nii.gz")), &near).unwrap();
    }
    bench.succeed("judge --masks masks --out judged.json");
    let judged: serde_json::Value = serde_json::from_str(&text(&bench, "judged.json")).unwrap();
    let rows = judged["masks"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["case"] == "case" && row["look"]["confidence"]["mean"] == 0.875)
    );
    // Of another mask, or in other axes.
    let turned =
        Labels::new(mask.data().iter().rev().copied().collect(), [5, 4, 2], *mask.affine());
    write(&bench.path("masks"), "case", &turned.unwrap());
    bench.fail("judge --masks masks", 3, &["case_prob", "most probable", "move these away"]);
    std::fs::write(bench.path("masks/case.npz"), "no archive").unwrap();
    bench.fail("judge --masks masks", 3, &["case.npz", "no archive", "--save_probabilities"]);
}

#[test]
fn without_a_reference_the_odd_one_is_found() {
    let bench = Bench::new();
    for case in 0..6 {
        write(&bench.path("masks"), &format!("case{case}"), &ball(0.1 * f64::from(case), 0));
    }
    write(&bench.path("masks"), "odd", &ball(0.0, 9));
    let empty =
        Labels::new(vec![0; SIDE.pow(3)], [SIDE; 3], Affine::from_spacing([1.0; 3])).unwrap();
    write(&bench.path("masks"), "empty", &empty);
    let said = bench.succeed("judge --masks masks");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[2].starts_with("empty") && lines[2].contains("absent"), "{said}");
    assert!(lines[3].starts_with("odd") && lines[3].contains("log parts is high"), "{said}");
}

/// A class that every rater leaves out of a case is no finding; one that some see is.
#[test]
fn what_all_agree_is_absent_is_not_expected() {
    let bench = Bench::new();
    cases(&bench, "known", 10);
    bench.succeed(
        "calibrate --masks known/masks --labels known/labels --others known/other --out reference.json",
    );
    cases(&bench, "new", 4);
    let empty =
        Labels::new(vec![0; SIDE.pow(3)], [SIDE; 3], Affine::from_spacing([1.0; 3])).unwrap();
    write(&bench.path("new/masks"), "none", &empty);
    write(&bench.path("new/other"), "none", &empty);
    write(&bench.path("new/masks"), "missed", &empty);
    write(&bench.path("new/other"), "missed", &ball(0.0, 0));
    let groups = "case,group\nnone,a\nmissed,a\ncase00,b\n";
    std::fs::write(bench.path("groups.csv"), groups).unwrap();
    let said = bench.succeed(
        "judge --masks new/masks --others new/other --reference reference.json --groups groups.csv",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[2].starts_with("missed") && lines[2].contains("0.000 (0.000 to 1.000)"),
        "{said}"
    );
    let none = lines.iter().find(|line| line.starts_with("none")).unwrap();
    assert!(none.split_whitespace().any(|word| word == "-"), "{said}");
    assert!(said.contains("group a: mean expected Dice -, 2 cases, 2 absent classes"), "{said}");
    // Of the masks, only those that are asked for.
    let chosen = bench.succeed("judge --masks new/masks --subjects case00,none");
    assert!(!chosen.contains("missed"), "{chosen}");
}

#[test]
fn what_cannot_be_is_refused_with_its_remedy() {
    let bench = Bench::new();
    cases(&bench, "few", 3);
    let few = "calibrate --masks few/masks --labels few/labels --out r.json";
    bench.fail(few, 3, &["3 cases", "at least 8"]);
    cases(&bench, "known", 9);
    bench.succeed("calibrate --masks known/masks --labels known/labels --out r.json");
    let other = "judge --masks few/masks --others few/other --reference r.json";
    bench.fail(other, 2, &["r.json", "0 --others", "1"]);
    bench.fail("judge --masks nowhere", 3, &["nowhere", "no masks"]);
    bench.fail("judge --masks few/masks --others known/labels few/none", 3, &["few/none"]);
    bench.fail("judge --masks few/masks --before x --after y", 2, &["--before"]);
    bench.fail("judge", 2, &["--before"]);
    bench.fail("judge --masks few/masks --out x.csv", 2, &["--out", "give x.json"]);
    bench.fail("judge --masks few/masks --images few/masks", 2, &["--page"]);
    bench.fail(
        "calibrate --masks few/masks --labels few/labels --slices 4 --out y.json",
        2,
        &["--slices"],
    );
    std::fs::write(bench.path("groups.csv"), "case,group\ncase00.nii.gz,May\n").unwrap();
    let groups = "judge --masks few/masks --groups groups.csv";
    bench.fail(groups, 3, &["groups.csv", "case00.nii.gz", "without endings"]);
    bench.fail(&format!("{groups} --out groups.json"), 2, &["groups.csv", "written over"]);
    assert!(text(&bench, "groups.csv").starts_with("case,group"));
    std::fs::write(bench.path("groups.csv"), "case,group\ncase00,May\ncase00,June\n").unwrap();
    bench.fail(groups, 3, &["groups.csv", "twice"]);
    std::fs::remove_file(bench.path("few/other/case01.nii.gz")).unwrap();
    bench.fail("judge --masks few/masks --others few/other", 3, &["few/other", "case01"]);
    std::fs::write(bench.path("r.json"), "{}").unwrap();
    bench.fail("judge --masks few/masks --reference r.json", 3, &["r.json", "calibrate --masks"]);
}
