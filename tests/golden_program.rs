//! The published implementation's figures, reached through the program alone.
mod common;

use candle_core::{DType, Tensor};
use common::{Bench, golden};
use udas_nn::{Checkpoint, StateDict};
use udas_volume::{Affine, Volume, read, write_volume};

/// Largest difference relative to the golden tensor's largest value.
const TOLERANCE: f64 = 1e-4;

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn with_prefix(tensors: &StateDict, prefix: &str) -> StateDict {
    let named = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())));
    named.collect()
}

/// The golden input `[4, 1, 48, 64]` as a volume whose upright sagittal slices it is. Its values span 0 to 1,
/// so that min-max leaves them alone.
fn volume_of(input: &Tensor) -> Volume {
    let (slices, _, height, width) = input.dims4().unwrap();
    let input = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut voxels = Vec::with_capacity(input.len());
    for z in 0..height {
        for y in 0..width {
            for x in 0..slices {
                voxels.push(input[(x * height + height - 1 - z) * width + y]);
            }
        }
    }
    Volume::new(voxels, [slices, width, height], Affine::from_spacing([1.0; 3])).unwrap()
}

/// The values of a volume in the order of the golden slices.
fn slices_of(volume: &Volume) -> Vec<f64> {
    let [slices, width, height] = volume.shape();
    let mut values = Vec::new();
    for x in 0..slices {
        for row in 0..height {
            for y in 0..width {
                values.push(f64::from(volume.get([x, y, height - 1 - row]).unwrap()));
            }
        }
    }
    values
}

#[track_caller]
fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1e-6, |max: f64, value| max.max(value.abs()));
    let error =
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
    assert!(error < TOLERANCE, "{name}: relative error {error:.2e}");
}

#[test]
fn predict_gives_the_published_probabilities_from_a_pth_file() {
    let tensors =
        Checkpoint::load(golden("unet_binary_forward_backward.safetensors")).unwrap().tensors;
    let bench = Bench::new();
    write_volume(&bench.path("vol.nii.gz"), &volume_of(&tensors["input"])).unwrap();
    std::fs::copy(golden("unet_binary.pth"), bench.path("unet.pth")).unwrap();
    bench.succeed(
        "predict --model unet.pth --images vol.nii.gz --plane sagittal --probabilities --out out",
    );
    let found = slices_of(&read(&bench.path("out/vol_prob.nii.gz")).unwrap());
    let sigmoid = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    let expected: Vec<f64> = values(&tensors["eval.logits"]).into_iter().map(sigmoid).collect();
    assert_close("probabilities", &found, &expected);
}

#[test]
fn adapt_moves_the_weights_as_the_published_refinement_does() {
    for (level, graph) in [(0, "attached"), (0, "detached"), (1, "attached"), (1, "detached")] {
        let start =
            Checkpoint::load(golden("unet_binary_forward_backward.safetensors")).unwrap().tensors;
        let file = format!("unet_binary_refine_level{level}_{graph}.safetensors");
        let expected = with_prefix(&Checkpoint::load(golden(&file)).unwrap().tensors, "model.");
        let bench = Bench::new();
        write_volume(&bench.path("vol.nii.gz"), &volume_of(&start["input"])).unwrap();
        std::fs::copy(golden("unet_binary.pth"), bench.path("unet.pth")).unwrap();
        let head = with_prefix(&start, &format!("head{level}."));
        Checkpoint { tensors: head, metadata: None }.save(bench.path("head.safetensors")).unwrap();
        let output = bench.run(&format!(
            "adapt --model unet.pth --head head.safetensors --images vol.nii.gz --method early-features --unready warn \
             --preset paper --pseudo-label {graph} --level {level} --order sequential --epochs 2 \
             --batch-size 2 --stop-change 0 --out run"
        ));
        // The golden network's weights are random: that it comes to predict foreground alone is noticed (4).
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(4), "{}", String::from_utf8_lossy(&output.stderr));
        let adapted = Checkpoint::load(bench.path("run/model.safetensors")).unwrap().tensors;
        assert_eq!(adapted.len(), 319);
        let start = with_prefix(&start, "model.");
        let twin = if graph == "attached" { "detached" } else { "attached" };
        let twin = format!("unet_binary_refine_level{level}_{twin}.safetensors");
        let twin = with_prefix(&Checkpoint::load(golden(&twin)).unwrap().tensors, "model.");
        // Adam's first steps are signs: a weight whose gradient is near 0 can go either way by rounding alone
        // (`udas-adapt`'s golden test measures how far). So the whole state is compared, by what it moved.
        let moved = distance(&start, &expected);
        let missed = distance(&adapted, &expected);
        assert!(missed < 0.02 * moved, "{file}: {missed:.2e} off after moving {moved:.2e}");
        assert!(missed < 0.2 * distance(&twin, &expected), "{file}: {missed:.2e} off");
    }
}

/// Root of the summed squares of the differences of all entries.
fn distance(a: &StateDict, b: &StateDict) -> f64 {
    let square = |name: &String| -> f64 {
        values(&a[name]).iter().zip(values(&b[name])).map(|(a, b)| (a - b).powi(2)).sum()
    };
    b.keys().filter(|name| !name.ends_with("num_batches_tracked")).map(square).sum::<f64>().sqrt()
}

#[test]
fn convert_keeps_names_and_values_both_ways() {
    let bench = Bench::new();
    std::fs::copy(golden("unet_multiclass.pth"), bench.path("a.pth")).unwrap();
    bench.succeed("convert a.pth b.safetensors");
    bench.succeed("convert b.safetensors c.pth");
    let [a, b, c] =
        ["a.pth", "b.safetensors", "c.pth"].map(|name| Checkpoint::load(bench.path(name)).unwrap());
    assert_eq!(a.tensors.len(), 319);
    assert_eq!(a.hash().unwrap(), b.hash().unwrap());
    assert_eq!(a.hash().unwrap(), c.hash().unwrap());
}
