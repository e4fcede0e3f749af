//! Folders that are damaged, contradict themselves, mean harm, or ask for what is not supported.
//!
//! `tests/golden/nnunet/hostile` holds the files by which each differs from `valid`; `make.py` beside it made them.
use std::path::{Path, PathBuf};
use udas_nnunet::{Arithmetic, ModelFolder, Options, Prediction, go_on};
use udas_volume::Labels;

fn hostile() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/nnunet/hostile");
    if !path.is_dir() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if from.is_dir() {
            copy(&from, &to.join(name));
        } else {
            std::fs::copy(from, to.join(name)).unwrap();
        }
    }
}

/// The valid folder with the files of another one over it.
fn folder(hostile: &Path, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&hostile.join("valid"), folder.path());
    copy(&hostile.join(name), folder.path());
    folder
}

fn predict(folder: &Path, hostile: &Path) -> udas_nnunet::Result<Labels> {
    let model = ModelFolder::open(folder, &[])?.load(Arithmetic::Exact)?;
    let image = udas_volume::read(&hostile.join("input/case_0000.nii.gz"))?;
    let Prediction { labels, .. } =
        model.predict(vec![image], "case", Options::default(), &mut go_on)?;
    Ok(labels)
}

#[test]
fn what_is_odd_but_valid_predicts_as_the_original_does() {
    let Some(hostile) = hostile() else { return };
    for name in [
        "valid",
        "nan_harmless",
        "tensor_valid",
        "tensor_permuted",
        "half_weights",
        "aliases_differ",
    ] {
        let folder = folder(&hostile, name);
        let made =
            predict(folder.path(), &hostile).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = hostile.join(format!("expected/{name}.nii.gz"));
        let expected = udas_volume::read_labels(&expected).unwrap();
        let unequal = made.data().iter().zip(expected.data()).filter(|(a, b)| a != b).count();
        assert!(unequal <= 1, "{name}: {unequal} voxels");
    }
}

/// Each with the file that is at fault and a part of what is said.
const REFUSED: [(&str, &str, &str); 47] = [
    ("shapes_contradict", "checkpoint_final.pth", "[4, 8] in the weights, [4, 16] in the plans"),
    ("more_stages", "checkpoint_final.pth", "in the plans"),
    ("lengths_contradict", "plans.json", "`strides`"),
    ("huge_plans", "plans.json", "is not a size"),
    ("zero_stride", "checkpoint_final.pth", "strides are"),
    ("even_kernel", "checkpoint_final.pth", "kernels are"),
    ("nan_spacing", "plans.json", "`spacing`"),
    ("zero_spacing", "plans.json", "`spacing`"),
    ("tiny_spacing", "case", "voxel size"),
    ("odd_patch", "checkpoint_final.pth", "no multiples"),
    ("zero_patch", "plans.json", "`patch_size`"),
    ("huge_patch", "plans.json", "`patch_size`"),
    ("bad_transpose", "plans.json", "`transpose_forward`"),
    ("circular", "plans.json", "circle"),
    ("no_configuration", "plans.json", "no configuration 2d, only 3d_fullres"),
    ("cascade", "plans.json", "cascade"),
    ("primus", "plans.json", "Primus"),
    ("residual_unet", "plans.json", "is ResidualUNet"),
    ("torch_resampling", "plans.json", "resample_torch_fornnunet"),
    ("other_preprocessor", "plans.json", "`preprocessor_name`"),
    ("other_normalization", "plans.json", "MyNormalization"),
    ("deep_json", "plans.json", "recursion"),
    ("cut_json", "plans.json", "copy it again"),
    ("not_an_object", "plans.json", "no object"),
    ("regions_no_order", "dataset.json", "`regions_class_order`"),
    ("more_labels", "checkpoint_final.pth", "2 outputs, the data set 5"),
    ("pickle_system", "checkpoint_final.pth", "runs programs"),
    ("pickle_eval", "checkpoint_final.pth", "runs programs"),
    ("pickle_cut", "checkpoint_final.pth", "cut short"),
    ("pickle_empty_stack", "checkpoint_final.pth", "checkpoint"),
    ("pickle_bad_memo", "checkpoint_final.pth", "remembered"),
    ("pickle_long_string", "checkpoint_final.pth", "cut short"),
    ("pickle_long_int", "checkpoint_final.pth", "instruction"),
    ("pickle_deep", "checkpoint_final.pth", "network_weights"),
    ("pickle_bomb", "checkpoint_final.pth", "network_weights"),
    ("pickle_self", "checkpoint_final.pth", "network_weights"),
    ("tensor_2_62", "checkpoint_final.pth", "checkpoint"),
    ("tensor_product", "checkpoint_final.pth", "larger than its storage"),
    ("tensor_stride", "checkpoint_final.pth", "larger than its storage"),
    ("tensor_offset", "checkpoint_final.pth", "larger than its storage"),
    ("tensor_negative", "checkpoint_final.pth", "a tensor"),
    ("tensor_no_record", "checkpoint_final.pth", "99999"),
    ("tensor_path_key", "checkpoint_final.pth", "passwd"),
    ("zip_cut", "checkpoint_final.pth", "checkpoint"),
    ("zip_bomb", "checkpoint_final.pth", "compressed"),
    ("nan_weights", "checkpoint_final.pth", "no numbers"),
    ("inf_logits", "logits", "infinite"),
];

#[test]
fn each_is_refused_with_its_file_and_the_cause() {
    let Some(hostile) = hostile() else { return };
    let mut wrong = Vec::new();
    for (name, file, part) in REFUSED {
        let folder = folder(&hostile, name);
        match predict(folder.path(), &hostile) {
            Ok(_) => wrong.push(format!("{name} predicts")),
            Err(error) => {
                let error = error.to_string();
                if !error.contains(file) || !error.contains(part) {
                    wrong.push(format!("{name}: {error}"));
                }
                assert!(error.len() < 2000, "{name}: an error of {} bytes", error.len());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whatever_is_in_an_archive_is_an_error_or_a_prediction() {
    let Some(hostile) = hostile() else { return };
    for name in [
        "tensor_zero_stride",
        "tensor_numel",
        "zip_empty",
        "zip_deflated",
        "zip_size_lie",
        "zip_offset_lie",
    ] {
        let folder = folder(&hostile, name);
        if let Err(error) = predict(folder.path(), &hostile) {
            assert!(error.to_string().contains("checkpoint_final.pth"), "{name}: {error}");
        }
    }
}

/// The valid folder with a text of one of its files replaced.
fn changed(hostile: &Path, file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = folder(hostile, "valid");
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
    folder
}

#[test]
fn variants_of_plans_are_read_as_the_original_reads_them_or_refused() {
    let Some(hostile) = hostile() else { return };
    for (file, from, to) in [
        ("plans.json", "\"SimpleITKIO\"", "\"SimpleITKIOWithReorient\""),
        ("dataset.json", "\".nii.gz\"", "\".mha\""),
        ("dataset.json", "\"background\": 0", "\"background\": \"0\""),
    ] {
        let folder = changed(&hostile, file, from, to);
        predict(folder.path(), &hostile).unwrap_or_else(|error| panic!("{to}: {error}"));
    }
    for (file, from, to, part) in [
        ("plans.json", "\"affine\": true", "\"affine\": false", "without scale and shift"),
        ("plans.json", ".InstanceNorm2d", ".GroupNorm", "is GroupNorm"),
        (
            "plans.json",
            "\"force_separate_z\"",
            "\"separate_z_anisotropy_threshold\": 2, \"x\"",
            "anisotropy",
        ),
        ("dataset.json", "\".nii.gz\"", "\".png\"", "is .png"),
    ] {
        let folder = changed(&hostile, file, from, to);
        let error = predict(folder.path(), &hostile).map(drop).expect_err(to).to_string();
        assert!(error.contains(file) && error.contains(part), "{to}: {error}");
    }
    // Weights without a norm where the plans have one, and the other way round.
    let folder =
        changed(&hostile, "plans.json", "\"torch.nn.modules.instancenorm.InstanceNorm2d\"", "null");
    let error = predict(folder.path(), &hostile).map(drop).unwrap_err().to_string();
    assert!(error.contains("norms in the weights, no norms in the plans"), "{error}");
}

#[test]
fn the_best_checkpoint_stands_in_where_no_fold_has_its_last() {
    let Some(hostile) = hostile() else { return };
    let folder = folder(&hostile, "valid");
    std::fs::create_dir(folder.path().join("fold_1")).unwrap();
    let first = folder.path().join("fold_0");
    let opened = ModelFolder::open(&first, &[]).unwrap();
    assert_eq!((opened.available(), opened.note()), (vec!["0".to_owned()], None));
    std::fs::rename(first.join("checkpoint_final.pth"), first.join("checkpoint_best.pth")).unwrap();
    let opened = ModelFolder::open(&first, &[]).unwrap();
    assert!(opened.note().unwrap().contains("checkpoint_best.pth"));
    predict(&first, &hostile).unwrap();
}

#[test]
fn what_is_missing_is_named() {
    let Some(hostile) = hostile() else { return };
    let folder = folder(&hostile, "valid");
    let error = |folds: &[&str]| {
        let folds: Vec<String> = folds.iter().map(|fold| (*fold).to_owned()).collect();
        ModelFolder::open(folder.path(), &folds).unwrap_err().to_string()
    };
    assert!(error(&["0", "1"]).contains("no fold_1/checkpoint_final.pth"));
    // A fold that was begun and has no weights is one that is missing.
    std::fs::create_dir(folder.path().join("fold_1")).unwrap();
    assert!(error(&[]).contains("no fold_1/checkpoint_final.pth"));
    let one = ModelFolder::open(&folder.path().join("fold_0"), &[]).unwrap();
    assert_eq!(one.folds(), ["0"]);
    std::fs::remove_dir_all(folder.path().join("fold_0")).unwrap();
    std::fs::remove_dir_all(folder.path().join("fold_1")).unwrap();
    assert!(error(&[]).contains("copy the folder whole"));
    std::fs::remove_file(folder.path().join("dataset.json")).unwrap();
    assert!(error(&[]).contains("dataset.json"));
    std::fs::remove_file(folder.path().join("plans.json")).unwrap();
    assert!(error(&[]).contains("no plans.json"));
}
