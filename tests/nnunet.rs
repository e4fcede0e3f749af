//! The program with model folders of nnU-Net.
mod common;

use common::Bench;
use std::path::{Path, PathBuf};

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nnunet").join(kind)
}

/// Voxels by which two masks differ.
fn unequal(one: &Path, two: &Path) -> usize {
    let [one, two] = [one, two].map(|path| udas_volume::read_labels(path).unwrap());
    assert_eq!(one.grid().difference(two.grid()), None);
    one.data().iter().zip(two.data()).filter(|(a, b)| a != b).count()
}

#[test]
fn a_folder_predicts_and_goes_on_with_what_is_missing() {
    let (bench, golden) = (Bench::new(), golden("channels2"));
    let shown = golden.display();
    let line = format!("predict --model {shown}/model --images {shown}/input --out masks");
    assert!(bench.succeed(&line).contains("1 masks written"));
    let mask = bench.path("masks/case.nii.gz");
    assert!(unequal(&mask, &golden.join("expected/case.nii.gz")) <= 1);
    assert!(bench.succeed(&line).contains("0 masks written, 1 were there"));
    // Another way of prediction is another model.
    bench.fail(&format!("{line} --mirroring off"), 2, &["another model", "--overwrite"]);
    bench.succeed(&format!("{line} --mirroring off --overwrite --probabilities"));
    assert!(unequal(&mask, &golden.join("expected_plain/case.nii.gz")) <= 1);
    assert!(
        bench.path("masks/case_prob.nii.gz").is_file()
            || bench.path("masks/case_prob1.nii.gz").is_file()
    );
}

#[test]
fn folds_are_chosen_and_a_fold_s_folder_stands_for_itself() {
    let (bench, golden) = (Bench::new(), golden("folds3"));
    let shown = golden.display();
    let images = format!("--images {shown}/input/case_0000.nii.gz");
    bench.succeed(&format!("predict --model {shown}/model {images} --out all"));
    assert!(unequal(&bench.path("all/case.nii.gz"), &golden.join("expected/case.nii.gz")) <= 1);
    bench.succeed(&format!("predict --model {shown}/model --folds 1 {images} --out one"));
    bench.succeed(&format!("predict --model {shown}/model/fold_1 {images} --out same"));
    assert_eq!(unequal(&bench.path("one/case.nii.gz"), &bench.path("same/case.nii.gz")), 0);
    let missing = format!("predict --model {shown}/model --folds 0 4 {images} --out none");
    bench.fail(&missing, 3, &["fold_4/checkpoint_final.pth", "name other folds"]);
}

#[test]
fn weights_leave_a_folder_and_come_back() {
    let (bench, golden) = (Bench::new(), golden("plain2d"));
    let shown = golden.display();
    bench.succeed(&format!("convert {shown}/model weights.safetensors"));
    bench.succeed(&format!("convert weights.safetensors back --like {shown}/model"));
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    let [before, after] =
        [golden.join("model"), bench.path("back")].map(|folder| bytes(&folder.join("plans.json")));
    assert!(before == after);
    bench.succeed(&format!("predict --model back --images {shown}/input --out masks"));
    let mask = golden.join("expected/casea.nii.gz");
    assert!(unequal(&bench.path("masks/casea.nii.gz"), &mask) <= 1);
    let other =
        format!("convert weights.safetensors other --like {}", self::golden("ct/model").display());
    bench.fail(&other, 3, &["other parameters"]);
    let folds = self::golden("folds3/model");
    bench.fail(&format!("convert {} one.pth", folds.display()), 2, &["name one of them", "fold_0"]);
}

#[test]
fn what_does_not_fit_is_refused_with_the_remedy() {
    let (bench, golden) = (Bench::new(), golden("channels2"));
    let shown = golden.display();
    let one = format!("--images {shown}/input/case_0000.nii.gz --out masks");
    bench.fail(
        &format!("predict --model {shown}/model {one}"),
        3,
        &["case_0001.nii.gz is missing"],
    );
    let all = format!("--images {shown}/input --out masks");
    let plane = format!("predict --model {shown}/model {all} --plane axial");
    bench.fail(&plane, 2, &["--plane: is not for nnU-Net"]);
}

#[test]
fn the_doctor_compares_images_with_the_plans() {
    let (bench, channels2) = (Bench::new(), golden("channels2"));
    let shown = channels2.display();
    let said = bench.succeed(&format!("doctor {shown}/input --model {shown}/model"));
    assert!(!said.contains("differs"), "{said}");
    for part in ["plan    predict resamples from", "plan    adapt trains", "augmented-consistency"]
    {
        assert!(said.contains(part), "no {part} in {said}");
    }
    // A channel alone.
    std::fs::create_dir(bench.path("alone")).unwrap();
    let case = bench.path("alone/case_0001.nii.gz");
    std::fs::copy(channels2.join("input/case_0001.nii.gz"), &case).unwrap();
    let said = bench.succeed(&format!("doctor alone --model {shown}/model"));
    assert!(said.contains("1 of 1 cases lack some of the model's, CASE_0000.nii.gz ("), "{said}");
    assert!(said.contains("such as alone/case_0000.nii.gz"), "{said}");
    std::fs::rename(&case, bench.path("alone/case.nii.gz")).unwrap();
    let said = bench.succeed(&format!("doctor alone --model {shown}/model"));
    assert!(said.contains("1 files are named otherwise"), "{said}");
    // Voxels of another scanner, coarser than the plans'.
    let one = golden("plain3d");
    let input = std::fs::read_dir(one.join("input")).unwrap().next().unwrap().unwrap().path();
    let image = udas_volume::read(&input).unwrap();
    let coarse = udas_volume::Affine::from_spacing(image.affine().spacing().map(|mm| 2.0 * mm));
    let coarse = udas_volume::Volume::new(image.data().to_vec(), image.shape(), coarse).unwrap();
    udas_volume::write_volume(&bench.path("coarse.nii.gz"), &coarse).unwrap();
    let model = one.join("model");
    let said = bench.succeed(&format!("doctor coarse.nii.gz --model {}", model.display()));
    assert!(said.contains("differs voxels: ") && said.contains("in the plans"), "{said}");
    assert!(said.contains("put right what is listed first"), "{said}");
    let json = bench.succeed(&format!("--json doctor coarse.nii.gz --model {}", model.display()));
    assert!(json.contains("\"spacings-mm\"") && json.contains("\"plan\""), "{json}");
}

#[test]
fn what_is_near_a_model_folder_is_refused_with_the_folder() {
    let (bench, one) = (Bench::trained(), golden("plain2d").join("model"));
    let model = bench.path("results/Dataset701_B/Trainer__Plans__2d");
    std::fs::create_dir_all(model.join("fold_0")).unwrap();
    for name in ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"] {
        std::fs::copy(one.join(name), model.join(name)).unwrap();
    }
    let to = "--data ph --domain Siemens_15 --out x";
    let folder = "results/Dataset701_B/Trainer__Plans__2d";
    for command in ["predict", "adapt"] {
        let line = format!("{command} -m {folder}/fold_0/checkpoint_final.pth {to}");
        bench.fail(
            &line,
            3,
            &["is a checkpoint of nnU-Net", &format!("give the model folder, {folder}")],
        );
        for above in ["results/Dataset701_B", "results"] {
            let line = format!("{command} -m {above} {to}");
            bench.fail(
                &line,
                3,
                &[&format!("{above}: is no model"), &format!("give one of them: {folder}")],
            );
        }
    }
    // Away from its plans it is known by its entries.
    std::fs::copy(one.join("fold_0/checkpoint_final.pth"), bench.path("away.pth")).unwrap();
    bench.fail(
        &format!("predict -m away.pth {to}"),
        3,
        &["away.pth: is a checkpoint of nnU-Net", "plans.json"],
    );
    // Of two kinds, neither way round.
    let images = "--data ph --domain Siemens_15";
    for (before, after) in [("src", folder), (folder, "src")] {
        let line = format!("judge --before {before} --after {after} {images}");
        let theirs = format!("{folder} is a network of nnU-Net");
        bench.fail(&line, 2, &[&theirs, "src is not", "its own adaptation"]);
    }
    bench.fail(&format!("judge --before nowhere --after {folder} {images}"), 3, &["nowhere"]);
}

/// A series has no NIfTI header whose voxel sizes could be taken: they come from the positions of its slices.
#[test]
fn a_series_has_the_mask_of_the_same_volume_in_nifti() {
    let (bench, golden) = (Bench::new(), golden("plain2d"));
    let volume = udas_volume::read(&golden.join("input/casea_0000.nii.gz")).unwrap();
    assert!(volume.grid().affine.spacing().iter().any(|size| (size - 1.0).abs() > 0.1));
    for folder in ["dicom", "dicom/casea", "nifti"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    udas_volume::write_series(&bench.path("dicom/casea"), &volume, "nobody", "seed").unwrap();
    let series = udas_volume::read(&bench.path("dicom/casea")).unwrap();
    udas_volume::write_volume(&bench.path("nifti/casea.nii.gz"), &series).unwrap();
    let model = golden.join("model");
    for images in ["dicom/casea", "nifti"] {
        let out = images.split('/').next().unwrap();
        let line = format!("predict --model {} --images {images}", model.display());
        bench.succeed(&format!("{line} --out masks_{out}"));
    }
    let masks = ["dicom", "nifti"].map(|out| bench.path(&format!("masks_{out}/casea.nii.gz")));
    assert_eq!(unequal(&masks[0], &masks[1]), 0);
    assert!(udas_volume::read_labels(&masks[0]).unwrap().data().iter().any(|&label| label > 0));
}
