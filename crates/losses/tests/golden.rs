//! The losses against golden values of the published implementation, extreme logits included.
use candle_core::{DType, Device, Tensor, Var, safetensors::load};
use udas_losses::{
    binary_cross_entropy, binary_cross_entropy_elements, cross_entropy, sigmoid,
    soft_cross_entropy, softmax,
};

fn golden() -> Option<std::collections::HashMap<String, Tensor>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/losses_and_upsampling.safetensors"
    );
    if !std::path::Path::new(path).exists() {
        eprintln!("skipped: {path} is absent (golden values are not part of the packaged crate)");
        return None;
    }
    Some(load(path, &Device::Cpu).unwrap())
}

#[track_caller]
fn assert_close(name: &str, found: &Tensor, golden: &Tensor) {
    let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let golden = golden.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(found.len(), golden.len(), "{name}");
    for (index, (a, b)) in found.iter().zip(&golden).enumerate() {
        let error = (a - b).abs() / b.abs().max(1e-3);
        assert!(error < 1e-4, "{name}[{index}]: {a} instead of {b}");
    }
}

#[test]
fn binary_cross_entropy_and_both_gradients() {
    let Some(golden) = golden() else { return };
    let logits = Var::from_tensor(&golden["bce.logits"]).unwrap();
    let target = Var::from_tensor(&golden["bce.soft_target"]).unwrap();
    let loss = binary_cross_entropy_elements(&logits, &target).unwrap();
    assert_close("loss", &loss, &golden["bce.loss"]);
    let gradients = loss.sum_all().unwrap().backward().unwrap();
    assert_close("logits", gradients.get(&logits).unwrap(), &golden["bce.grad_logits"]);
    assert_close("target", gradients.get(&target).unwrap(), &golden["bce.grad_target"]);

    // The mean in one operation.
    let mean = binary_cross_entropy(&logits, &target).unwrap();
    assert_close("mean", &mean, &golden["bce.loss"].mean_all().unwrap());
    let sum = (mean * logits.elem_count() as f64).unwrap();
    let gradients = sum.backward().unwrap();
    assert_close("logits of the mean", gradients.get(&logits).unwrap(), &golden["bce.grad_logits"]);
    assert_close("target of the mean", gradients.get(&target).unwrap(), &golden["bce.grad_target"]);
}

/// In f64 the same formulas run on candle's own operations.
#[test]
fn one_operation_is_what_its_formula_is() {
    let values: Vec<f32> = (0..48).map(|i| ((i * 37 % 48) as f32 - 20.0) / 5.0).collect();
    let logits = Tensor::from_slice(&values, (2, 3, 2, 4), &Device::Cpu).unwrap();
    let targets = (logits.affine(0.1, 0.5).unwrap().abs().unwrap() * 0.3).unwrap();
    type Loss = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;
    let losses: [(&str, Loss); 4] = [
        ("binary", binary_cross_entropy),
        ("classes", cross_entropy),
        ("soft", soft_cross_entropy),
        ("sigmoid", |logits, targets| (sigmoid(logits)? * targets)?.mean_all()),
    ];
    for (name, loss) in losses {
        let found = [DType::F32, DType::F64].map(|dtype| {
            let [z, t] = [&logits, &targets].map(|x| Var::from_tensor(&x.to_dtype(dtype).unwrap()));
            let (z, t) = (z.unwrap(), t.unwrap());
            let loss = loss(&z, &t).unwrap();
            let gradients = loss.backward().unwrap();
            [loss, gradients.get(&z).unwrap().clone(), gradients.get(&t).unwrap().clone()]
                .map(|x| x.to_dtype(DType::F32).unwrap())
        });
        let [fused, formula] = found;
        for (fused, formula) in fused.iter().zip(&formula) {
            assert_close(name, fused, formula);
        }
    }
}

#[test]
fn soft_cross_entropy_and_both_gradients() {
    let Some(golden) = golden() else { return };
    let logits = Var::from_tensor(&golden["soft_ce.logits"]).unwrap();
    let teacher = Var::from_tensor(&golden["soft_ce.teacher_logits"]).unwrap();
    let loss = soft_cross_entropy(&logits, &softmax(&teacher).unwrap()).unwrap();
    assert_close("loss", &loss, &golden["soft_ce.loss"]);
    let gradients = loss.backward().unwrap();
    assert_close("logits", gradients.get(&logits).unwrap(), &golden["soft_ce.grad_logits"]);
    assert_close(
        "teacher",
        gradients.get(&teacher).unwrap(),
        &golden["soft_ce.grad_teacher_logits"],
    );
}

#[test]
fn entropy_s_gradient_is_its_finite_difference() {
    let values = [-3.0f32, -0.4, 0.0, 0.7, 2.5, 6.0];
    let of = |values: &[f32], classes: usize| {
        Tensor::from_slice(values, (1, classes, 1, values.len() / classes), &Device::Cpu).unwrap()
    };
    for classes in [1, 2, 3] {
        let logits = Var::from_tensor(&of(&values, classes)).unwrap();
        let gradients = udas_losses::entropy(&logits).unwrap().backward().unwrap();
        let gradient =
            gradients.get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for index in 0..values.len() {
            let step = 1e-2;
            let at = |delta: f32| {
                let mut moved = values;
                moved[index] += delta;
                udas_losses::entropy(&of(&moved, classes)).unwrap().to_scalar::<f32>().unwrap()
            };
            let numeric = (at(step) - at(-step)) / (2.0 * step);
            assert!((gradient[index] - numeric).abs() < 1e-3, "{classes} classes, logit {index}");
        }
    }
}

#[test]
fn class_ratio_divergence_is_zero_at_the_prior_and_positive_elsewhere() {
    let logits = Tensor::new(&[[[[0f32, 0.0]]]], &Device::Cpu).unwrap();
    let at = |prior: f64| {
        let tensor = udas_losses::class_ratio_divergence(&logits, &[prior]).unwrap();
        tensor.to_scalar::<f32>().unwrap()
    };
    assert!(at(0.5).abs() < 1e-6);
    // KL of (1/2, 1/2) from (1/4, 3/4) in nats.
    let expected = 0.5 * (2.0f32).ln() + 0.5 * (2.0f32 / 3.0).ln();
    assert!((at(0.25) - expected).abs() < 1e-6);
}
