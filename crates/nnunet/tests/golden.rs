//! Small models of the original, each with what nnU-Net 2.8.1 itself makes of a case at every step.
//!
//! `tests/golden/nnunet/make.py` made them.
use candle_core::{DType, Device, Tensor};
use half::f16;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use udas_network::Network;
use udas_nn::NormMode;
use udas_nnunet::{
    Arithmetic, Mirroring, Model, ModelFolder, Options, Prediction, Probabilities, Reader, go_on,
    prepare,
};
use udas_volume::Volume;

/// Kinds of models that are compared, a folder each.
const KINDS: [&str; 16] = [
    "batchnorm",
    "channels2",
    "ct",
    "folds3",
    "isotropic",
    "mirrored",
    "oldplans",
    "padded",
    "plain2d",
    "plain3d",
    "regions",
    "reorient",
    "resenc2d",
    "resenc3d",
    "separate_z",
    "transposed",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/nnunet")
}

/// A kind's folder and model; says why there is none.
fn kinds() -> Vec<(&'static str, PathBuf, Model)> {
    let there = |kind: &'static str| {
        let path = folder().join(kind);
        if !path.is_dir() {
            eprintln!("{kind} is skipped: {} is not there", path.display());
            return None;
        }
        let model = ModelFolder::open(&path.join("model"), &[])
            .and_then(|folder| folder.load(Arithmetic::Exact));
        Some((kind, path, model.unwrap_or_else(|error| panic!("{kind}: {error}"))))
    };
    KINDS.into_iter().filter_map(there).collect()
}

/// Names of the cases, by their first channel.
fn cases(path: &Path) -> Vec<String> {
    let files = std::fs::read_dir(path.join("input")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut cases: Vec<String> =
        names.filter_map(|name| Some(name.split_once("_0000.")?.0.to_owned())).collect();
    cases.sort();
    cases
}

fn images(path: &Path, case: &str, model: &Model) -> Vec<Volume> {
    let endings = model.data.endings();
    let read =
        |ending: &String| udas_volume::read(&path.join(format!("input/{case}{ending}"))).unwrap();
    endings.iter().map(read).collect()
}

/// The tensors of a case's steps.
struct Steps(Vec<u8>);

impl Steps {
    fn read(path: &Path, case: &str) -> Self {
        let own = path.join(format!("stages_{case}.safetensors"));
        let first = path.join("stages.safetensors");
        Self(std::fs::read(if own.is_file() { own } else { first }).unwrap())
    }

    fn get(&self, name: &str) -> Option<Tensor> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).ok()?;
        let dtype = match view.dtype() {
            safetensors::Dtype::F16 => DType::F16,
            _ => DType::F32,
        };
        let tensor =
            Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu).unwrap();
        Some(tensor.to_dtype(DType::F32).unwrap())
    }

    fn values(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensor = self.get(name).unwrap();
        (tensor.dims().to_vec(), tensor.flatten_all().unwrap().to_vec1().unwrap())
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn images_are_prepared_as_the_original_does() {
    for (kind, path, model) in kinds() {
        for case in cases(&path) {
            let (shape, expected) = Steps::read(&path, &case).values("preprocessed");
            let images = images(&path, &case, &model);
            let made = prepare(images, &model.plans, &model.configuration, &case).unwrap();
            assert_eq!(made.shape, shape[1..], "{kind} {case}");
            let difference = largest_difference(&made.data, &expected);
            eprintln!("{kind} {case}: prepared within {difference:e}");
            assert!(difference < 5e-7, "{kind} {case}: {difference:e}");
        }
    }
}

#[test]
fn networks_give_the_original_s_logits_for_a_patch() {
    for (kind, path, model) in kinds() {
        let steps = Steps::read(&path, &cases(&path)[0]);
        let patch = steps.get("patch_input").unwrap();
        let network = &model.networks[0];
        let logits = network.forward(&patch, NormMode::Running).unwrap();
        let (shape, expected) = steps.values("patch_logits");
        assert_eq!(logits.dims(), shape, "{kind}");
        let found: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
        let difference = largest_difference(&found, &expected);
        eprintln!("{kind}: logits within {difference:e}");
        assert!(difference < 1e-4, "{kind}: {difference:e}");
        check_stages(kind, &steps, &**network, &patch);
    }
}

/// The outputs of encoder stages, where the original's are there.
fn check_stages(kind: &str, steps: &Steps, network: &dyn Network, patch: &Tensor) {
    let features = network.encode(patch, network.spec().deepest(), NormMode::Running).unwrap();
    for (stage, map) in features.stages().iter().enumerate() {
        let Some(expected) = steps.get(&format!("patch_skip_{stage}")) else { continue };
        let last = map.rank() - 1;
        let order: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
        let map = map.permute(order).unwrap();
        assert_eq!(map.dims(), expected.dims(), "{kind} stage {stage}");
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let difference = largest_difference(&flat(&map), &flat(&expected));
        assert!(difference < 1e-4, "{kind} stage {stage}: {difference:e}");
    }
}

fn predict(model: &Model, path: &Path, case: &str, options: Options) -> Prediction {
    model.predict(images(path, case, model), case, options, &mut go_on).unwrap()
}

#[test]
fn windows_add_up_to_the_original_s_logits() {
    for (kind, path, model) in kinds() {
        let case = &cases(&path)[0];
        let steps = Steps::read(&path, case);
        let images = images(&path, case, &model);
        let prepared = prepare(images, &model.plans, &model.configuration, case).unwrap();
        for (name, mirroring) in [("logits", Mirroring::Allowed), ("logits_plain", Mirroring::Off)]
        {
            // The smaller models have the one with mirroring alone.
            if steps.get(name).is_none() {
                continue;
            }
            let logits = model.logits::<f16>(&prepared, mirroring, &mut go_on).unwrap();
            let logits: Vec<f32> = logits.into_iter().map(f16::to_f32).collect();
            let (_, expected) = steps.values(name);
            let unequal = logits.iter().zip(&expected).filter(|(a, b)| a != b).count();
            let difference = largest_difference(&logits, &expected);
            let most = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
            eprintln!(
                "{kind} {name}: within {difference:e} of at most {most:.1}, {unequal} of {} differ",
                logits.len()
            );
            // Two roundings to 16 bits of the largest value.
            assert!(difference <= most / 512.0, "{kind} {name}: {difference:e}");
        }
    }
}

#[test]
fn masks_are_those_of_the_original() {
    for (kind, path, model) in kinds() {
        for case in cases(&path) {
            for (expected, mirroring) in
                [("expected", Mirroring::Allowed), ("expected_plain", Mirroring::Off)]
            {
                let options = Options { mirroring, ..Options::default() };
                let made = predict(&model, &path, &case, options).labels;
                let mask = path.join(format!("{expected}/{case}{}", model.data.file_ending));
                let mask = udas_volume::read_labels(&mask).unwrap();
                assert_eq!(made.grid().difference(mask.grid()), None, "{kind} {case}");
                let unequal = made.data().iter().zip(mask.data()).filter(|(a, b)| a != b).count();
                eprintln!(
                    "{kind} {case} {expected}: {unequal} of {} voxels differ",
                    mask.data().len()
                );
                assert!(unequal <= 1, "{kind} {case} {expected}: {unequal} voxels");
            }
        }
    }
}

#[test]
fn probabilities_are_those_of_the_original() {
    for (kind, path, model) in kinds() {
        let case = &cases(&path)[0];
        let (_, expected) = Steps::read(&path, case).values("probabilities");
        let options = Options { probabilities: Probabilities::Wanted, ..Options::default() };
        let made = predict(&model, &path, case, options).probabilities;
        // The original saves them as it saw the image.
        let seen = |volume: Volume| match model.plans.reader {
            Reader::Stored => volume,
            Reader::ToRas => volume.to_ras().0,
        };
        let made: Vec<f32> = made.into_iter().flat_map(|volume| seen(volume).into_data()).collect();
        let difference = largest_difference(&made, &expected);
        // A sum that falls on the other side of a rounding to 16 bits moves its voxel's probability by more.
        let beyond = made.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() >= 1e-3).count();
        eprintln!(
            "{kind}: probabilities within {difference:e}, {beyond} of {} beyond 1e-3",
            made.len()
        );
        assert!(
            difference < 3e-3 && beyond * 1000 <= made.len(),
            "{kind}: {difference:e}, {beyond}"
        );
    }
}
