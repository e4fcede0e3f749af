//! Gradients of the custom operations against finite differences of the same chain in f64.
use candle_core::{DType, Device, Tensor, Var};
use udas_nn::{
    Chain, Entry, Layer, NormMode, Parameters, Role, RunningUpdate, StateDict, UnitSpec,
    upsample_bilinear,
};

/// Values in [-1, 1), the same for the same seed.
fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn state(entries: &[Entry]) -> StateDict {
    let tensor = |(seed, entry): (usize, &Entry)| {
        let value = match entry.role {
            Role::Statistic if entry.shape.is_empty() => Tensor::new(0i64, &Device::Cpu).unwrap(),
            Role::Statistic if entry.name.ends_with("var") => {
                (noise(&entry.shape, seed as u64).abs().unwrap() + 0.5).unwrap()
            }
            _ => noise(&entry.shape, seed as u64),
        };
        (entry.name.clone(), value)
    };
    entries.iter().enumerate().map(tensor).collect()
}

fn double(tensor: &Tensor) -> Tensor {
    let dtype = if tensor.dtype() == DType::F32 { DType::F64 } else { tensor.dtype() };
    tensor.to_dtype(dtype).unwrap()
}

/// `sum(chain(map) * direction)` in f64, by candle's own operations.
fn exact(chain: &Chain, state: &StateDict, map: &Tensor, mode: NormMode, r: &Tensor) -> f64 {
    let state = state.iter().map(|(name, tensor)| (name.clone(), double(tensor))).collect();
    let parameters = Parameters::new(&chain.entries(), &state, &Device::Cpu).unwrap();
    let y = chain.forward_composed(&parameters, &double(map), mode).unwrap();
    (y * double(r)).unwrap().sum_all().unwrap().to_scalar().unwrap()
}

/// Asserts that the derivative along a random direction is that of finite differences.
fn assert_derivative(name: &str, gradient: &Tensor, at: &Tensor, value: impl Fn(&Tensor) -> f64) {
    const STEP: f64 = 1e-6;
    for seed in [11, 12, 13] {
        let direction = double(&noise(at.dims(), seed));
        let shifted = |by: f64| (double(at) + (&direction * by).unwrap()).unwrap();
        let numeric = (value(&shifted(STEP)) - value(&shifted(-STEP))) / (2.0 * STEP);
        let analytic = (double(gradient) * &direction).unwrap().sum_all().unwrap();
        let analytic: f64 = analytic.to_scalar().unwrap();
        let length = double(gradient).sqr().unwrap().sum_all().unwrap();
        let scale = length.to_scalar::<f64>().unwrap().sqrt().max(1.0);
        assert!(
            (numeric - analytic).abs() < 2e-4 * scale,
            "{name}: {analytic} by backward, {numeric} by differences (scale {scale})"
        );
    }
}

/// Where chains are tested: the CPU, and a GPU in builds for one, if one is there.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Cpu];
    if cfg!(feature = "cuda") {
        match Device::new_cuda(0) {
            Ok(device) => devices.push(device),
            Err(error) => println!("skipped on the GPU: {error}"),
        }
    }
    devices
}

/// Every parameter's and the map's gradient, with what `trainable` names and the map tracked or not.
fn check(layers: Vec<Layer>, inputs: usize, mode: NormMode) {
    let chain = Chain::new(layers);
    let state = state(&chain.entries());
    let map = noise(&[2, 6, 10, inputs], 99);
    for device in devices() {
        check_on(&device, &chain, &state, &map, mode);
    }
}

fn check_on(device: &Device, chain: &Chain, state: &StateDict, map: &Tensor, mode: NormMode) {
    let mut parameters = Parameters::new(&chain.entries(), state, device).unwrap();
    parameters.set_trainable(|_| true);
    let var = Var::from_tensor(&map.to_device(device).unwrap()).unwrap();
    let y = chain.forward(&parameters, var.as_tensor(), mode).unwrap();
    let r = noise(y.dims(), 98);
    let product = (y * r.to_device(device).unwrap()).unwrap();
    let gradients = product.sum_all().unwrap().backward().unwrap();
    let of = |var: &Var| gradients.get(var).unwrap().to_device(&Device::Cpu).unwrap();
    assert_derivative("map", &of(&var), map, |map| exact(chain, state, map, mode, &r));
    for (name, var) in parameters.trainable() {
        assert_derivative(&name, &of(&var), &state[&name], |value| {
            let mut state = state.clone();
            state.insert(name.clone(), value.clone());
            exact(chain, &state, map, mode, &r)
        });
    }
    frozen_parts(device, chain, state, map, mode, &r);
}

/// Gradients of what is tracked must not depend on what is frozen beside it; what is frozen has none.
fn frozen_parts(
    device: &Device,
    chain: &Chain,
    state: &StateDict,
    map: &Tensor,
    mode: NormMode,
    r: &Tensor,
) {
    let (map, r) = (&map.to_device(device).unwrap(), &r.to_device(device).unwrap());
    let gradients = |trainable: &dyn Fn(&str) -> bool, attached: bool| {
        let mut parameters = Parameters::new(&chain.entries(), state, device).unwrap();
        parameters.set_trainable(trainable);
        let var = Var::from_tensor(map).unwrap();
        let input = if attached { var.as_tensor().clone() } else { map.clone() };
        let y = chain.forward(&parameters, &input, mode).unwrap();
        let store = (y * r).unwrap().sum_all().unwrap().backward().unwrap();
        let names = parameters.names().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let of = |name: &String| {
            let gradient = store.get(parameters.var(name).unwrap().as_tensor());
            gradient.map(|gradient| gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let found: Vec<_> = names.iter().map(|name| (name.clone(), of(name))).collect();
        let dx = store
            .get(var.as_tensor())
            .map(|dx| dx.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        (found, dx)
    };
    let (all, dx) = gradients(&|_| true, true);
    let (none, attached) = gradients(&|_| false, true);
    assert_eq!(dx, attached, "the map's gradient through frozen layers");
    assert!(none.iter().all(|(_, gradient)| gradient.is_none()));
    let last =
        chain.entries().iter().rfind(|entry| entry.role.is_trainable()).unwrap().name.clone();
    let (only_last, detached) = gradients(&|name| name == last, false);
    assert_eq!(detached, None);
    for ((name, all), (_, found)) in all.iter().zip(only_last) {
        assert_eq!(found.is_some(), *name == last, "{name}");
        assert!(found.is_none() || found == *all, "{name} alone has another gradient");
    }
}

/// A map that is added while a chain stores its result changes nothing but the time.
#[test]
fn a_map_that_is_added_has_the_sums_values_and_gradients() {
    let unit = || UnitSpec::conv1x1("conv", 3, 3);
    let second = || UnitSpec::conv3x3("second", 3, 3).after_norm_relu("norm2");
    let chains = [
        vec![Layer::Unit(unit().with_bias())],
        vec![Layer::Unit(unit().after_norm_relu("norm").with_bias())],
        vec![Layer::Unit(unit()), Layer::Unit(second())],
        // These cannot add while they store.
        vec![Layer::Unit(unit().then_relu())],
        vec![Layer::Residual(unit().after_norm_relu("norm"), second())],
    ];
    for (layers, mode) in chains.into_iter().flat_map(|layers| MODES.map(|m| (layers.clone(), m))) {
        let chain = Chain::new(layers);
        let mut parameters =
            Parameters::new(&chain.entries(), &state(&chain.entries()), &Device::Cpu).unwrap();
        for trainable in [true, false] {
            parameters.set_trainable(|_| trainable);
            let results = [true, false].map(|fused| {
                let [map, other] =
                    [99, 97].map(|seed| Var::from_tensor(&noise(&[2, 6, 10, 3], seed)).unwrap());
                let x = if trainable { map.as_tensor().clone() } else { map.as_detached_tensor() };
                let y = if fused {
                    chain.forward_plus(&parameters, &x, other.as_tensor(), mode).unwrap()
                } else {
                    (chain.forward(&parameters, &x, mode).unwrap() + other.as_tensor()).unwrap()
                };
                let r = noise(y.dims(), 98);
                let store = (&y * &r).unwrap().sum_all().unwrap().backward().unwrap();
                let weights = parameters.trainable().into_iter().map(|(_, var)| var);
                let vars = [map, other].into_iter().chain(weights);
                let gradients = vars.map(|var| store.get(var.as_tensor()).map(values));
                (values(&y), gradients.collect::<Vec<_>>())
            });
            let [(fused, gradients), (summed, expected)] = results;
            assert_eq!((&fused, &gradients), (&summed, &expected));
            assert_eq!(gradients[0].is_some(), trainable);
            assert!(gradients[1].is_some());
        }
        let (map, other) = (noise(&[2, 6, 10, 3], 1), noise(&[2, 6, 5, 3], 1));
        assert!(chain.forward_plus(&parameters, &map, &other, mode).is_err(), "another shape");
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

const MODES: [NormMode; 2] = [NormMode::Running, NormMode::Batch(RunningUpdate::Keep)];

#[test]
fn convolutions() {
    for mode in MODES {
        for spec in [
            UnitSpec::conv3x3("conv", 3, 5),
            UnitSpec::conv1x1("conv", 3, 5),
            UnitSpec::down2x2("conv", 3, 5),
            UnitSpec::up2x2("conv", 3, 5),
        ] {
            check(vec![Layer::Unit(spec.clone().with_bias())], 3, mode);
            check(vec![Layer::Unit(spec.clone().after_norm("norm").then_relu())], 3, mode);
            check(vec![Layer::Unit(spec.after_norm_relu("norm").with_bias())], 3, mode);
        }
    }
}

#[test]
fn residual_blocks_between_other_layers() {
    for mode in MODES {
        let unit =
            |name: &str| UnitSpec::conv3x3(name, 4, 4).after_norm_relu(&format!("{name}.norm"));
        check(
            vec![
                Layer::Unit(UnitSpec::conv3x3("stem", 1, 4).then_relu()),
                Layer::Residual(unit("a"), unit("b")),
                Layer::Residual(unit("c"), unit("d")),
                Layer::Unit(UnitSpec::down2x2("down", 4, 8).after_norm("down.norm").then_relu()),
            ],
            1,
            mode,
        );
        check(vec![Layer::Residual(unit("a"), unit("b"))], 4, mode);
    }
}

#[test]
fn norms_alone() {
    for mode in MODES {
        check(vec![Layer::Norm { name: "norm".into(), channels: 3 }], 3, mode);
        let last = UnitSpec::conv1x1("last", 4, 1).after_norm_relu("last.norm").with_bias();
        check(vec![Layer::Unit(last), Layer::Norm { name: "norm".into(), channels: 1 }], 4, mode);
    }
}

#[test]
fn up_sampling() {
    for (channels, factor) in [(1, 2), (3, 2), (4, 4), (2, 8)] {
        let map = noise(&[2, 3, 5, channels], 1);
        let var = Var::from_tensor(&map).unwrap();
        let y = upsample_bilinear(var.as_tensor(), factor).unwrap();
        let r = noise(y.dims(), 2);
        let gradients = (y * &r).unwrap().sum_all().unwrap().backward().unwrap();
        // Linear, so that differences of any step are exact; f32 all the way.
        let value = |map: &Tensor| {
            let map = map.to_dtype(DType::F32).unwrap();
            let y = upsample_bilinear(&map, factor).unwrap();
            (double(&y) * double(&r)).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
        };
        let gradient = double(gradients.get(var.as_tensor()).unwrap());
        // By candle's own operations, as on other devices: the same.
        let other = Var::from_tensor(&double(&map)).unwrap();
        let z = upsample_bilinear(other.as_tensor(), factor).unwrap();
        let others = (&z * double(&r)).unwrap().sum_all().unwrap().backward().unwrap();
        let far = |a: &Tensor, b: &Tensor| {
            (double(a) - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap()
        };
        assert!(far(&upsample_bilinear(&map, factor).unwrap(), &z) < 1e-6);
        assert!(far(&gradient, others.get(other.as_tensor()).unwrap()) < 1e-5);
        let direction = noise(map.dims(), 3);
        let numeric = value(&(&map + &direction).unwrap()) - value(&map);
        let analytic = (gradient * double(&direction)).unwrap().sum_all().unwrap();
        let analytic: f64 = analytic.to_scalar().unwrap();
        assert!(
            (numeric - analytic).abs() < 1e-4 * analytic.abs().max(1.0),
            "{numeric} {analytic}"
        );
    }
}
