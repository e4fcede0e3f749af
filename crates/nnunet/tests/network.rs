//! The networks' gradients, both forms of arithmetic, and weights written back.
use candle_core::{Device, Tensor};
use std::path::{Path, PathBuf};
use udas_network::{Family, Network, NormKind, Part, Shape};
use udas_nn::{NormMode, RunningUpdate};
use udas_nnunet::{
    Arithmetic, Checkpoint, NnUNet, PlainConvUNet, RegionsApart, ResidualEncoderUNet,
};

fn checkpoint(kind: &str) -> Option<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/nnunet");
    let path = golden.join(kind).join("model/fold_0/checkpoint_final.pth");
    if !path.is_file() {
        eprintln!("{kind} is skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn network(kind: &str) -> Option<NnUNet> {
    let state = Checkpoint::read(&checkpoint(kind)?).unwrap().state;
    Some(NnUNet::from_state(&state, &Device::Cpu).unwrap())
}

/// Images whose sizes the network's strides divide.
fn images(network: &dyn Network) -> Tensor {
    let stride = network.spec().stages.last().unwrap().stride;
    let sizes = stride.map(|stride| 2 * stride);
    let shape = [&[2, network.spec().inputs], &sizes[3 - network.spec().axes..]].concat();
    let count: usize = shape.iter().product();
    let values = (0..count).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A loss that weights each logit differently.
fn loss(network: &dyn Network, images: &Tensor, mode: NormMode) -> Tensor {
    let logits = network.forward(images, mode).unwrap();
    let count = logits.elem_count();
    let weights = (0..count).map(|i| ((i * 31) % 23) as f32 / 23.0 - 0.4).collect();
    let weights = Tensor::from_vec(weights, logits.shape(), &Device::Cpu).unwrap();
    (logits * weights).unwrap().sum_all().unwrap()
}

/// The loss with one value of a parameter moved.
fn moved(
    network: &dyn Network,
    (images, mode): (&Tensor, NormMode),
    name: &str,
    at: usize,
    by: f32,
) -> f64 {
    let var = network.parameters().var(name).unwrap();
    let before = var.as_tensor().copy().unwrap();
    let mut values: Vec<f32> = before.flatten_all().unwrap().to_vec1().unwrap();
    values[at] += by;
    var.set(&Tensor::from_vec(values, before.shape(), &Device::Cpu).unwrap()).unwrap();
    let loss = f64::from(loss(network, images, mode).to_scalar::<f32>().unwrap());
    var.set(&before).unwrap();
    loss
}

#[test]
fn gradients_are_finite_differences() {
    let running = ["plain2d", "resenc2d", "resenc3d", "plain3d", "batchnorm"];
    let cases = running.map(|kind| (kind, NormMode::Running)).into_iter();
    let of_batch = ("batchnorm", NormMode::Batch(RunningUpdate::Keep));
    for (kind, mode) in cases.chain([of_batch]) {
        let Some(mut network) = network(kind) else { continue };
        network.parameters_mut().set_trainable(|_| true);
        let images = images(&network);
        let grads = loss(&network, &images, mode).backward().unwrap();
        let deepest = network.spec().deepest();
        let mut checked = 0;
        for (name, var) in network.parameters().trainable() {
            // Heads of lower sizes take no part in the logits; a bias before a norm by the images' own statistics moves nothing.
            let is_unused = name.contains("seg_layers") && network.part(&name) != Part::Output;
            let own = network.spec().norm == NormKind::Instance || mode != NormMode::Running;
            let is_lost = name.ends_with("conv.bias") && own;
            if is_unused || is_lost {
                continue;
            }
            let gradient = grads.get(&var).unwrap_or_else(|| panic!("{kind} {name}: no gradient"));
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            let at = (0..gradient.len())
                .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
                .unwrap();
            let step = 1e-3;
            let [high, low] =
                [step, -step].map(|by| moved(&network, (&images, mode), &name, at, by));
            let (expected, found) = ((high - low) / f64::from(2.0 * step), f64::from(gradient[at]));
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(error < 0.05, "{kind} {name}[{at}]: {found} and {expected}");
            checked += 1;
        }
        assert!(checked > 3 * deepest, "{kind}: {checked} parameters");
    }
}

#[test]
fn both_forms_of_arithmetic_agree() {
    for kind in ["plain3d", "resenc2d", "resenc3d"] {
        let Some(exact) = network(kind) else { continue };
        let images = images(&exact);
        let values = |network: &NnUNet| -> Vec<f32> {
            let logits = network.forward(&images, NormMode::Running).unwrap();
            logits.flatten_all().unwrap().to_vec1().unwrap()
        };
        let found = values(&exact);
        let fast = values(&network(kind).unwrap().with_arithmetic(Arithmetic::Fast));
        let difference = found.iter().zip(&fast).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 2e-4, "{kind}: {difference}");
        // From the features of any stage on, logits are the same.
        for stage in 0..=exact.spec().deepest() {
            let features = exact.encode(&images, stage, NormMode::Running).unwrap();
            let logits = exact.decode(&features, NormMode::Running).unwrap();
            assert_eq!(logits.flatten_all().unwrap().to_vec1::<f32>().unwrap(), found);
        }
    }
}

#[test]
fn regions_are_asked_about_one_by_one() {
    let Some(whole) = network("regions") else { return };
    let images = images(&whole);
    let logits = whole.forward(&images, NormMode::Running).unwrap();
    let regions = whole.spec().outputs;
    assert!(regions > 1);
    let state = whole.parameters().state().unwrap();
    let apart = RegionsApart::new(Box::new(network("regions").unwrap()));
    let apart = apart.with_state(&state, &Device::Cpu).unwrap();
    let found = apart.forward(&images, NormMode::Running).unwrap();
    let sizes = [&[2 * regions, 1], &logits.dims()[2..]].concat();
    assert_eq!((found.dims(), apart.spec().outputs), (sizes.as_slice(), 1));
    let values = |logits: &Tensor| logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(&found), values(&logits));
    let last = found.narrow(0, 2 * regions - 1, 1).unwrap();
    let of_image = logits.narrow(0, 1, 1).unwrap().narrow(1, regions - 1, 1).unwrap();
    assert_eq!(values(&last), values(&of_image));
}

#[test]
fn batch_statistics_move_the_running_ones() {
    let Some(network) = network("batchnorm") else { return };
    assert_eq!(network.spec().norm, NormKind::Batch);
    let before = network.parameters().state().unwrap();
    let images = images(&network);
    network.forward(&images, NormMode::Batch(RunningUpdate::Steps(1))).unwrap();
    let name = "encoder.stages.0.0.convs.0.norm";
    let count = |state: &udas_nn::StateDict| -> i64 {
        state[&format!("{name}.num_batches_tracked")].to_scalar().unwrap()
    };
    assert_eq!(count(&network.parameters().state().unwrap()), count(&before) + 1);
}

#[test]
fn weights_written_back_are_read_under_all_names() {
    for kind in ["plain3d", "resenc3d", "batchnorm"] {
        let Some(from) = checkpoint(kind) else { continue };
        let mut state = Checkpoint::read(&from).unwrap().state;
        for (name, tensor) in &mut state {
            if !name.ends_with("num_batches_tracked") {
                *tensor = tensor.affine(1.5, 0.25).unwrap();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("checkpoint_final.pth");
        Checkpoint::write_with(&from, &state, &to).unwrap();
        let back = Checkpoint::read(&to).unwrap();
        let hash = |tensors| udas_nn::Checkpoint { tensors, metadata: None }.hash().unwrap();
        assert_eq!(hash(back.state), hash(state.clone()));
        // Each of the names that a parameter has leads to the new numbers.
        let all = udas_nn::PthFile::open(&to).unwrap().names(&["network_weights"]);
        assert!(all.len() > 2 * state.len(), "{} names", all.len());
        let mut file = udas_nn::PthFile::open(&to).unwrap();
        let last = "decoder.seg_layers.0.bias";
        let one: Vec<f32> = file.tensor(&["network_weights"], last).unwrap().to_vec1().unwrap();
        assert_eq!(one, state[last].to_vec1::<f32>().unwrap());
        state.remove(last);
        let error = Checkpoint::write_with(&from, &state, &to).unwrap_err().to_string();
        assert!(error.contains("other parameters"), "{error}");
    }
}

#[test]
fn families_make_networks_and_know_them() {
    let families: [&dyn Family; 2] = [&PlainConvUNet, &ResidualEncoderUNet];
    for family in families {
        let shape = Shape { filters: 2, outputs: 3 };
        let network = family.random(shape, 1, &Device::Cpu).unwrap();
        assert_eq!(network.spec(), &family.spec(shape));
        let state = network.parameters().state().unwrap();
        let known = families.into_iter().filter(|family| family.recognises(&state)).count();
        assert!(family.recognises(&state) && known == 1);
        let images = Tensor::zeros((1, 1, 16, 24), candle_core::DType::F32, &Device::Cpu).unwrap();
        let logits = network.forward(&images, NormMode::Running).unwrap();
        assert_eq!(logits.dims(), [1, 3, 16, 24]);
        let last = network.last_layer();
        assert_eq!(network.part(&last.weight), Part::Output);
        assert!(family.random(Shape { filters: 0, outputs: 1 }, 1, &Device::Cpu).is_err());
    }
}
