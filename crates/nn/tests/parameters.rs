//! The named entries of a network: what fits, what is copied, what is tracked.
use candle_core::{DType, Device, Tensor};
use udas_nn::{Chain, Error, Layer, NormMode, Parameters, RunningUpdate, StateDict, UnitSpec};

fn chain() -> Chain {
    Chain::new(vec![Layer::Unit(UnitSpec::conv1x1("conv", 2, 3).after_norm("norm").with_bias())])
}

fn state() -> StateDict {
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let mut state: StateDict =
        chain().entries().iter().map(|entry| (entry.name.clone(), ones(&entry.shape))).collect();
    state.insert("norm.num_batches_tracked".into(), Tensor::new(0i64, &Device::Cpu).unwrap());
    state
}

fn parameters() -> Parameters {
    Parameters::new(&chain().entries(), &state(), &Device::Cpu).unwrap()
}

#[test]
fn all_that_does_not_fit_is_named_at_once() {
    let mut state = state();
    state.remove("conv.bias");
    state.insert(
        "conv.weight".into(),
        Tensor::ones((3, 3, 1, 1), DType::F32, &Device::Cpu).unwrap(),
    );
    state.insert("other".into(), Tensor::new(0i64, &Device::Cpu).unwrap());
    let Err(Error::Mismatch(mismatch)) = Parameters::new(&chain().entries(), &state, &Device::Cpu)
    else {
        panic!("accepted");
    };
    assert_eq!(mismatch.missing, ["conv.bias"]);
    assert_eq!(mismatch.unexpected, ["other"]);
    assert_eq!(mismatch.misshapen.len(), 1);
    let text = mismatch.to_string();
    for name in ["conv.bias", "other", "conv.weight"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn the_checkpoint_it_came_from_does_not_change() {
    let state = state();
    let parameters = Parameters::new(&chain().entries(), &state, &Device::Cpu).unwrap();
    let var = parameters.var("conv.bias").unwrap();
    var.set(&Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert_eq!(state["conv.bias"].to_vec1::<f32>().unwrap(), [1.0; 3]);
    let saved = parameters.state().unwrap();
    parameters.set_state(&state).unwrap();
    assert_eq!(saved["conv.bias"].to_vec1::<f32>().unwrap(), [0.0; 3]);
    assert_eq!(var.to_vec1::<f32>().unwrap(), [1.0; 3]);
    assert!(matches!(parameters.set_state(&StateDict::new()), Err(Error::Mismatch(_))));
}

#[test]
fn statistics_are_never_trainable() {
    let mut parameters = parameters();
    parameters.set_trainable(|_| true);
    let names: Vec<_> = parameters.trainable().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["conv.bias", "conv.weight", "norm.bias", "norm.weight"]);
    assert!(parameters.value("conv.bias").unwrap().track_op());
    parameters.set_trainable(|name| name == "norm.bias");
    assert!(!parameters.value("conv.bias").unwrap().track_op());
    assert!(matches!(parameters.value("none"), Err(Error::NoParameter(_))));
}

#[test]
fn a_replacement_stands_until_it_ends() {
    let mut parameters = parameters();
    let tensor = Tensor::new(&[7f32, 8.0, 9.0], &Device::Cpu).unwrap();
    parameters.replace("conv.bias", tensor).unwrap();
    let value = || parameters.state().unwrap()["conv.bias"].to_vec1::<f32>().unwrap();
    assert_eq!(value(), [7.0, 8.0, 9.0]);
    parameters.restore();
    assert_eq!(parameters.state().unwrap()["conv.bias"].to_vec1::<f32>().unwrap(), [1.0; 3]);
    let zero = Tensor::new(0f32, &Device::Cpu).unwrap();
    assert!(parameters.replace("none", zero).is_err());
}

/// Running statistics after a pass, by hand: a map of 0 and 4 has mean 2, unbiased variance 16 / 3.
#[test]
fn running_statistics_move_as_asked() {
    let map = Tensor::new(&[0f32, 0.0, 4.0, 4.0, 0.0, 0.0, 4.0, 4.0], &Device::Cpu).unwrap();
    let map = map.reshape((1, 2, 2, 2)).unwrap();
    for (update, weight, batches) in [
        (RunningUpdate::Keep, 0.0, 0),
        (RunningUpdate::Steps(1), 0.1, 1),
        (RunningUpdate::Steps(2), 0.19, 2),
        (RunningUpdate::Average { seen: 0 }, 1.0, 1),
        (RunningUpdate::Average { seen: 3 }, 0.25, 1),
    ] {
        let parameters = parameters();
        chain().forward(&parameters, &map, NormMode::Batch(update)).unwrap();
        let state = parameters.state().unwrap();
        for (name, batch) in [("norm.running_mean", 2.0), ("norm.running_var", 16.0 / 3.0)] {
            let expected = 1.0 + weight * (batch - 1.0);
            for found in state[name].to_vec1::<f32>().unwrap() {
                assert!((found - expected).abs() < 1e-5, "{update:?} {name}: {found} {expected}");
            }
        }
        let tracked = state["norm.num_batches_tracked"].to_scalar::<i64>().unwrap();
        assert_eq!(tracked, batches, "{update:?}");
    }
}
