//! Adam: a step by hand, a state that goes on to the same bits, variables without gradient.
use candle_core::{Device, Tensor, Var};
use udas_nn::{Adam, AdamConfig, Error, StateDict};

fn variables() -> Vec<(String, Var)> {
    let var =
        |values: &[f32]| Var::from_tensor(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
    vec![("a".into(), var(&[1.0, -2.0, 3.0])), ("b".into(), var(&[0.5]))]
}

fn values(variables: &[(String, Var)]) -> Vec<Vec<f32>> {
    variables.iter().map(|(_, var)| var.to_vec1().unwrap()).collect()
}

/// One step on sum(a^3) + b.
fn step(adam: &mut Adam, variables: &[(String, Var)]) {
    let a = variables[0].1.as_tensor();
    let cube = (a.sqr().unwrap() * a).unwrap().sum_all().unwrap();
    let loss = (cube + variables[1].1.as_tensor().sum_all().unwrap()).unwrap();
    adam.step(&loss.backward().unwrap()).unwrap();
}

#[test]
fn the_first_step_is_the_step_size_against_the_gradient() {
    let variables = variables();
    let mut adam = Adam::new(variables.clone(), AdamConfig::new(0.1)).unwrap();
    step(&mut adam, &variables);
    let found = values(&variables);
    for (found, expected) in found.concat().iter().zip([0.9, -2.1, 2.9, 0.4]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(adam.steps(), 1);
}

#[test]
fn a_restored_state_goes_on_to_the_same_bits() {
    let (first, second) = (variables(), variables());
    let config = AdamConfig::new(0.01);
    let mut adam = Adam::new(first.clone(), config).unwrap();
    (0..5).for_each(|_| step(&mut adam, &first));
    let state = adam.state().unwrap();
    for ((_, from), (_, to)) in first.iter().zip(&second) {
        to.set(&from.as_tensor().copy().unwrap()).unwrap();
    }
    let mut resumed = Adam::new(second.clone(), config).unwrap();
    resumed.restore(&state).unwrap();
    for _ in 0..5 {
        step(&mut adam, &first);
        step(&mut resumed, &second);
    }
    assert_eq!(values(&first), values(&second));
    assert_eq!(resumed.steps(), 10);
}

#[test]
fn a_variable_without_gradient_stays() {
    let variables = variables();
    let mut adam = Adam::new(variables.clone(), AdamConfig::new(0.1)).unwrap();
    let loss = variables[0].1.as_tensor().sum_all().unwrap();
    adam.step(&loss.backward().unwrap()).unwrap();
    assert_eq!(values(&variables)[1], [0.5]);
}

#[test]
fn a_state_of_another_network_is_refused() {
    let mut adam = Adam::new(variables(), AdamConfig::new(0.1)).unwrap();
    let mut state = adam.state().unwrap();
    state.insert("first.a".into(), Tensor::new(&[1f32], &Device::Cpu).unwrap());
    for state in [state, StateDict::new()] {
        assert!(matches!(adam.restore(&state), Err(Error::Mismatch(_))));
    }
}
