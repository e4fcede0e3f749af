//! Patches: the merged model is the adapted one to the bit, another base is refused, and files are small.
mod common;

use common::CPU;
use common::small::*;
use std::sync::Arc;
use udas_adapt::methods::{EarlyFeatures, SelfTraining};
use udas_adapt::{Error, METHODS, Method, Model, Options, Patch};
use udas_network::{EarlyHead, Network, Shape};
use udas_nn::{Checkpoint, StateDict};
use udas_train::StopRule;
use udas_unet::UNet;

fn bits(state: &StateDict) -> Vec<u8> {
    Checkpoint { tensors: state.clone(), metadata: None }.to_bytes().unwrap()
}

#[test]
fn every_method_s_patch_merges_to_the_bit() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model(3, 0));
    for method in METHODS {
        let options = Options { epochs: 1, stop: StopRule::Never, ..method.options() };
        let adapted = adapt(*method, &model, &options).unwrap().state;
        let path = folder.path().join(format!("{}.safetensors", method.name()));
        let notes = Some(format!("made by {}", method.name()));
        Patch { notes: notes.clone(), ..Patch::between(&state_of(&model), &adapted).unwrap() }
            .save(&path)
            .unwrap();
        let patch = Patch::load(&path).unwrap();
        assert_eq!(patch.notes, notes);
        assert_eq!(
            bits(&patch.apply(&state_of(&model)).unwrap()),
            bits(&adapted),
            "{}",
            method.name()
        );
    }
}

#[test]
fn another_base_is_refused_with_both_hashes() {
    let model = model(1, 0);
    let options = Options { epochs: 1, ..SelfTraining.options() };
    let adapted = adapt(&SelfTraining, &model, &options).unwrap().state;
    let patch = Patch::between(&state_of(&model), &adapted).unwrap();
    let error = patch.apply(&adapted).unwrap_err();
    let text = error.to_string();
    assert!(matches!(&error, Error::OtherBase { expected, found }
        if text.contains(expected.as_str()) && text.contains(found.as_str()) && expected != found));
}

#[test]
fn what_is_no_patch_is_refused() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model(1, 0));
    let path = folder.path().join("model.safetensors");
    Checkpoint { tensors: state_of(&model).clone(), metadata: Some("{}".into()) }
        .save(&path)
        .unwrap();
    let text = Patch::load(&path).unwrap_err().to_string();
    assert!(text.contains("model.safetensors") && text.contains("not a patch"), "{text}");
    let mut fewer = state_of(&model).clone();
    fewer.remove("out_path.2.weight");
    assert!(matches!(Patch::between(&state_of(&model), &fewer), Err(Error::Patch(_))));
    let mut damaged = Patch::between(&state_of(&model), &state_of(&model)).unwrap();
    damaged.entries.insert("out_path.2.weight".into(), state_of(&model)["out_path.2.bias"].clone());
    let text = damaged.apply(&state_of(&model)).unwrap_err().to_string();
    assert!(text.contains("damaged"), "{text}");
}

#[test]
fn a_patch_of_the_paper_s_network_is_small() {
    let shape = Shape { filters: 16, outputs: 1 };
    let network: Arc<dyn Network> = Arc::new(UNet::random(shape, 1, &CPU).unwrap());
    let head = EarlyHead::random(network.spec(), 0, 2, &CPU).unwrap();
    let model = Model { network, head: Some(head.parameters().state().unwrap()) };
    let options = Options { epochs: 1, ..EarlyFeatures.options() };
    let adapted = adapt(&EarlyFeatures, &model, &options).unwrap().state;
    let patch = Patch::between(&state_of(&model), &adapted).unwrap();
    let path = tempfile::tempdir().unwrap().keep().join("patch.safetensors");
    patch.save(&path).unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    let whole = bits(&state_of(&model)).len() as u64;
    let weights: usize = patch
        .entries
        .iter()
        .filter(|(name, _)| !is_statistic(name))
        .map(|(_, tensor)| tensor.elem_count())
        .sum();
    println!(
        "level 0: {size} bytes of {whole}; {weights} weights in {} entries",
        patch.entries.len()
    );
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    // The 14 160 weights of the stem, and the statistics of all layers.
    assert!(weights <= 14_160, "{weights}");
    assert!(size < 150_000, "{size} bytes");
    assert!(size * 50 < whole);
}
