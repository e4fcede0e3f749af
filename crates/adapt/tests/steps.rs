//! Each method's step against an independent calculation: finite differences, direct means, closed forms.
mod common;

use candle_core::{DType, Tensor, Var};
use common::small::*;
use common::*;
use std::collections::BTreeMap;
use udas_adapt::methods::{
    AlphaBn, ConvLora, EarlyFeatures, EnsembleDistillation, EntropyPrior, FineTuneFirst,
    MeanTeacher, Tent,
};
use udas_adapt::{
    Adaptation, Aids, Method, Moves, Options, Output, Recipe, StepBatch, Supervision,
};
use udas_adapt::{NormChoice, PseudoLabel, View, methods::AdaBn};
use udas_network::{EarlyHead, Network, Task};
use udas_nn::{Adam, AdamConfig, NormMode, RunningUpdate, StateDict, layout};
use udas_train::Objective;
use udas_unet::UNet;

fn unet(outputs: usize) -> Box<dyn Network> {
    network_of(&state_of(&model(outputs, 0)))
}

fn network_of(state: &StateDict) -> Box<dyn Network> {
    Box::new(UNet::from_state(state, &CPU).unwrap())
}

fn given(outputs: usize) -> Aids {
    let model = model(outputs, 0);
    let (state, spec) = (model.head.as_ref().unwrap(), model.network.spec());
    let head = EarlyHead::from_state(state, spec, 0, &CPU).unwrap();
    let class_ratio = vec![0.2; outputs];
    Aids { head: Some(head), class_ratio, seed: SEED, ..Aids::default() }
}

fn step_batch() -> StepBatch {
    StepBatch::from(target().0.swap_remove(0))
}

/// The gradient of a method's loss with respect to its most sensitive parameters is the slope of the same
/// loss, worked out in f64 from the logits of a network that runs in f64 on candle's own operations: nothing
/// of it goes through the method's code or the kernels.
fn check_slopes(method: &dyn Method, outputs: usize, slope: &dyn Fn(&[Vec<f64>]) -> f64) {
    let batches = target().0.into_iter().map(StepBatch::from);
    let medians = batches.map(|batch| median_error(method, outputs, batch, slope));
    let medians: Vec<f64> = medians.collect();
    // Where an f32 value and its f64 twin lie on two sides of a ReLU's kink, slopes differ, in some batches by a
    // few hundredths. A wrong term would show in all.
    let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 5e-3, "{outputs} outputs: {medians:?}");
}

/// The median of the relative errors of a batch's twelve steepest slopes.
fn median_error(
    method: &dyn Method,
    outputs: usize,
    batch: StepBatch,
    slope: &dyn Fn(&[Vec<f64>]) -> f64,
) -> f64 {
    let mut adaptation =
        Adaptation::new(unet(outputs), given(outputs), method.recipe(), method.options()).unwrap();
    let images = batch.target.images.to_dtype(DType::F64).unwrap();
    let weights = state_of(&model(outputs, 0)).into_iter();
    let weights: StateDict =
        weights.map(|(name, tensor)| (name, tensor.to_dtype(DType::F64).unwrap())).collect();
    let direct = |name: &str, index: usize, change: f64| {
        let mut weights = weights.clone();
        let tensor = &weights[name];
        let mut moved = values(tensor);
        moved[index] += change;
        let moved = Tensor::from_vec(moved, tensor.shape(), &CPU).unwrap();
        weights.insert(name.to_owned(), moved);
        let mode = NormMode::Batch(RunningUpdate::Keep);
        let logits = UNet::from_state(&weights, &CPU).unwrap().forward(&images, mode).unwrap();
        let channels = (0..outputs).map(|c| values(&logits.narrow(1, c, 1).unwrap()));
        slope(&channels.collect::<Vec<_>>())
    };
    let loss = adaptation.loss(&batch).unwrap();
    let value = f64::from(loss.to_scalar::<f32>().unwrap());
    let expected = direct("out_path.2.bias", 0, 0.0);
    assert!((value - expected).abs() < 1e-5, "{value} and {expected}");

    let gradients = loss.backward().unwrap();
    let mut entries: Vec<(f64, String, usize)> = Vec::new();
    for (name, var) in adaptation.trainable() {
        let gradient = values(gradients.get(var.as_tensor()).unwrap());
        entries.extend(gradient.iter().enumerate().map(|(i, g)| (*g, name.clone(), i)));
    }
    entries.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    assert!(entries[0].0.abs() > 1e-3);
    let mut errors = Vec::new();
    for (gradient, name, index) in entries.into_iter().take(12) {
        // So small that hardly any ReLU turns over in between.
        let h = 1e-6;
        let numeric = (direct(&name, index, h) - direct(&name, index, -h)) / (2.0 * h);
        let error = (gradient - numeric).abs() / gradient.abs();
        assert!(error < 0.1, "{outputs} outputs, {name}[{index}]: {gradient} and {numeric}");
        errors.push(error);
    }
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

/// Class probabilities of every pixel.
fn probabilities(logits: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let pixel = |i: usize| {
        if let [logits] = logits {
            let p = 1.0 / (1.0 + (-logits[i]).exp());
            return vec![1.0 - p, p];
        }
        let exps: Vec<_> = logits.iter().map(|channel| channel[i].exp()).collect();
        exps.iter().map(|e| e / exps.iter().sum::<f64>()).collect()
    };
    (0..logits[0].len()).map(pixel).collect()
}

/// Loss and gradient against what the three networks' logits say by hand. At the biases of the last batch norm, which
/// are added to the logits, the gradient is the mean difference of prediction and what is taught.
#[test]
fn an_ensemble_teaches_the_mean_of_its_predictions() {
    for outputs in TASKS {
        let states =
            [13, 14].map(|seed| network_of_seed(outputs, seed).parameters().state().unwrap());
        let networks = states.each_ref().map(network_of);
        let teachers = states.iter().map(|state| network_of(state).into()).collect();
        let recipe = EnsembleDistillation.recipe();
        let given = Aids { teachers, ..given(outputs) };
        let mut adaptation =
            Adaptation::new(unet(outputs), given, recipe, EnsembleDistillation.options()).unwrap();
        let batch = step_batch();
        let predict = |unet: &dyn Network| {
            let logits = unet.forward(&batch.target.images, NormMode::Running).unwrap();
            let channels = (0..outputs).map(|c| values(&logits.narrow(1, c, 1).unwrap()));
            probabilities(&channels.collect::<Vec<_>>())
        };
        let own = predict(adaptation.network());
        let others = networks.each_ref().map(|network| predict(&**network));
        let taught = |pixel: usize, class: usize| {
            (own[pixel][class] + others[0][pixel][class] + others[1][pixel][class]) / 3.0
        };
        let elements = (own.len() * outputs) as f64;
        let (mut expected, mut slopes) = (0.0, vec![0.0; own[0].len()]);
        for (pixel, p) in own.iter().enumerate() {
            for (class, p) in p.iter().enumerate() {
                expected -= taught(pixel, class) * p.ln() / elements;
                slopes[class] += (p - taught(pixel, class)) / elements;
            }
        }
        let loss = adaptation.loss(&batch).unwrap();
        let value = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((value - expected).abs() < 1e-5, "{value} and {expected}");
        let gradients = loss.backward().unwrap();
        let bias = adaptation.network().parameters().var("out_path.2.bias").unwrap();
        let found = values(gradients.get(bias.as_tensor()).unwrap());
        // A binary network's one output is that of the foreground, the second of the two classes.
        let slopes = if outputs == 1 { &slopes[1..] } else { &slopes[..] };
        for (found, slope) in found.iter().zip(slopes) {
            assert!((found - slope).abs() < 1e-5 && slope.abs() > 1e-4, "{found} and {slope}");
        }
    }
}

fn mean_entropy(logits: &[Vec<f64>]) -> f64 {
    let pixels = probabilities(logits);
    let entropy = |p: &Vec<f64>| p.iter().map(|p| -p * p.ln()).sum::<f64>();
    pixels.iter().map(entropy).sum::<f64>() / pixels.len() as f64
}

#[test]
fn tent_s_gradient_is_the_slope_of_the_entropy() {
    for outputs in TASKS {
        check_slopes(&Tent, outputs, &mean_entropy);
    }
}

#[test]
fn the_gradient_with_a_class_ratio_is_the_slope_of_entropy_and_divergence() {
    for outputs in TASKS {
        let prior = if outputs == 1 { vec![0.8, 0.2] } else { vec![0.2; outputs] };
        check_slopes(&EntropyPrior, outputs, &|logits| {
            let pixels = probabilities(logits);
            let ratio =
                |class: usize| pixels.iter().map(|p| p[class]).sum::<f64>() / pixels.len() as f64;
            let divergence =
                prior.iter().enumerate().map(|(class, q)| ratio(class) * (ratio(class) / q).ln());
            mean_entropy(logits) + divergence.sum::<f64>()
        });
    }
}

/// Mean and variance of every channel of channels-last maps.
fn moments(maps: &[Tensor]) -> Vec<(f64, f64)> {
    let channels = maps[0].dim(3).unwrap();
    let of = |channel: usize| {
        let values: Vec<f64> =
            maps.iter().flat_map(|map| values(&map.narrow(3, channel, 1).unwrap())).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
    };
    (0..channels).map(of).collect()
}

/// The output of the stem's convolution, worked out pixel by pixel.
fn stem(state: &StateDict, images: &Tensor) -> Tensor {
    let weight = &state["init_path.0.weight"];
    let images = images.pad_with_zeros(2, 1, 1).unwrap().pad_with_zeros(3, 1, 1).unwrap();
    let (n, _, h, w) = images.dims4().unwrap();
    let (pixels, weight) = (values(&images), values(weight));
    let mut out = Vec::new();
    for (slice, y, x) in
        (0..n).flat_map(|s| (0..h - 2).flat_map(move |y| (0..w - 2).map(move |x| (s, y, x))))
    {
        for kernel in weight.chunks(9) {
            let sum = kernel
                .iter()
                .enumerate()
                .map(|(k, weight)| weight * pixels[(slice * h + y + k / 3) * w + x + k % 3]);
            out.push(sum.sum::<f64>().max(0.0) as f32);
        }
    }
    Tensor::from_vec(out, (n, h - 2, w - 2, weight.len() / 9), &CPU).unwrap()
}

#[test]
fn adabn_s_statistics_are_the_direct_means_over_the_target() {
    let model = model(1, 0);
    let batches = target();
    let adapted = adapt(&AdaBn, &model, &AdaBn.options()).unwrap().state;
    let maps: Vec<_> =
        batches.0.iter().map(|batch| stem(&state_of(&model), &batch.images)).collect();
    let norm = "init_path.2.conv_path.0.bn";
    let found = |part: &str| values(&adapted[&format!("{norm}.{part}")]);
    let (means, variances) = (found("running_mean"), found("running_var"));
    for (channel, (mean, variance)) in moments(&maps).into_iter().enumerate() {
        assert!((means[channel] - mean).abs() < 1e-5 * mean.abs().max(0.1));
        // Unbiased within each batch: 1 in 768 pixels more.
        let error = (variances[channel] - variance).abs() / variance.max(1e-6);
        assert!(error < 2.0 / 768.0, "{} and {variance}", variances[channel]);
    }
}

#[test]
fn re_estimated_deep_statistics_are_direct_means_of_what_training_mode_shows() {
    // Behind other batch norms: the inputs of `down1.0` are the stem's output, normalised batch by batch.
    let (unet, batches) = (unet(1), target());
    let mode = NormMode::Batch(RunningUpdate::Keep);
    let maps = batches
        .0
        .iter()
        .map(|batch| unet.encode(&batch.images, 0, mode).unwrap().deepest().unwrap().clone());
    let maps: Vec<_> = maps.collect();
    udas_adapt::re_estimate(&*unet, &batches).unwrap();
    let means = values(unet.parameters().var("down1.0.running_mean").unwrap());
    let variances = values(unet.parameters().var("down1.0.running_var").unwrap());
    for (channel, (mean, variance)) in moments(&maps).into_iter().enumerate() {
        assert!((means[channel] - mean).abs() < 1e-4 * variance.sqrt());
        assert!((variances[channel] - variance).abs() / variance < 2.0 / 768.0);
    }
    assert!(layout::to_channels_first(&maps[0]).is_ok());
}

#[test]
fn alpha_bn_lies_between_source_and_target() {
    let model = model(1, 0);
    let target = adapt(&AdaBn, &model, &AdaBn.options()).unwrap().state;
    let options = Options { target_share: 0.25, ..AlphaBn.options() };
    let blend = adapt(&AlphaBn, &model, &options).unwrap().state;
    for (name, blend) in blend.iter().filter(|(name, _)| name.contains(".running_")) {
        let (source, target) = (values(&state_of(&model)[name]), values(&target[name]));
        let expected = source.iter().zip(&target).map(|(s, t)| 0.75 * s + 0.25 * t);
        for (found, expected) in values(blend).into_iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{name}");
        }
    }
}

/// Plain fine-tuning of the early convolutions by the loss of `method`.
fn plain(method: &dyn Method) -> Recipe {
    Recipe { moves: Moves::EarlyStages, ..method.recipe() }
}

/// Network, target batch, and the gradient of the loss with respect to every early weight.
fn plain_gradients(start: &StateDict) -> BTreeMap<String, Tensor> {
    let unet = network_of(start);
    let mut adaptation =
        Adaptation::new(unet, given(1), plain(&ConvLora), ConvLora.options()).unwrap();
    let gradients = adaptation.loss(&step_batch()).unwrap().backward().unwrap();
    let of = |(name, var): (String, Var)| (name, gradients.get(var.as_tensor()).unwrap().clone());
    adaptation.trainable().into_iter().map(of).collect()
}

fn matrix(tensor: &Tensor, rows: usize) -> Tensor {
    tensor.flatten_all().unwrap().reshape((rows, tensor.elem_count() / rows)).unwrap()
}

#[test]
fn conv_lora_s_gradients_are_those_of_plain_fine_tuning_through_its_matrices() {
    let unet = unet(1);
    let mut adaptation =
        Adaptation::new(unet, given(1), ConvLora.recipe(), ConvLora.options()).unwrap();
    // Away from the start, where `up` is zero and `down` has no gradient.
    let mut state = adaptation.state().unwrap();
    for (name, tensor) in state.iter_mut().filter(|(name, _)| name.ends_with(".up")) {
        let fill =
            (0..tensor.elem_count()).map(|i| ((i * 7 + name.len()) % 11) as f32 / 50.0 - 0.1);
        *tensor = Tensor::from_vec(fill.collect::<Vec<_>>(), tensor.shape(), &CPU).unwrap();
    }
    adaptation.restore(&state).unwrap();
    let gradients = adaptation.loss(&step_batch()).unwrap().backward().unwrap();
    let plain = plain_gradients(&adaptation.adapted().unwrap());
    let mut compared = 0;
    for (name, var) in adaptation.trainable() {
        let found = gradients.get(var.as_tensor()).unwrap();
        let expected = match name.strip_prefix("adapter.").and_then(|n| n.rsplit_once('.')) {
            None => plain[&name].clone(),
            Some((weight, part)) => {
                let (up, down) = (
                    &state[&format!("adapter.{weight}.up")],
                    &state[&format!("adapter.{weight}.down")],
                );
                let gradient = matrix(&plain[weight], up.dim(0).unwrap());
                match part {
                    "up" => gradient.matmul(&down.t().unwrap()).unwrap(),
                    _ => up.t().unwrap().matmul(&gradient).unwrap(),
                }
            }
        };
        assert!(relative_error(found, &expected) < 1e-3, "{name}");
        compared += 1;
    }
    assert!(compared > 14);
}

#[test]
fn conv_lora_of_full_rank_steps_as_plain_fine_tuning() {
    // `down` the identity: up * down is any matrix, and the gradient of `up` is the weight's own. `down`
    // has no gradient while `up` is zero, so Adam's first step is plain fine-tuning's.
    let options = Options { rank: 2, ..ConvLora.options() };
    let step = |adaptation: &mut Adaptation| {
        let gradients = adaptation.loss(&step_batch()).unwrap().backward().unwrap();
        let mut adam = Adam::new(adaptation.trainable(), AdamConfig::new(1e-3)).unwrap();
        adam.step(&gradients).unwrap();
        adaptation.after_step().unwrap();
        adaptation.adapted().unwrap()
    };
    let mut tuned = Adaptation::new(unet(1), given(1), plain(&ConvLora), options.clone()).unwrap();
    let network = unet(1);
    let tuned = step(&mut tuned);

    let mut low_rank = Adaptation::new(unet(1), given(1), ConvLora.recipe(), options).unwrap();
    let mut state = low_rank.state().unwrap();
    // The stem has one input channel: its full rank is 1, and of six rows three are enough.
    for (_, tensor) in state.iter_mut().filter(|(name, _)| name.ends_with(".down")) {
        let (rows, columns) = tensor.dims2().unwrap();
        let identity = (0..rows * columns).map(|i| f32::from(u8::from(i / columns == i % columns)));
        *tensor = Tensor::from_vec(identity.collect::<Vec<_>>(), (rows, columns), &CPU).unwrap();
    }
    low_rank.restore(&state).unwrap();
    let low_rank = step(&mut low_rank);
    let mut moved = 0;
    for (name, tuned) in tuned.iter().filter(|(name, _)| network.is_early(name, 0)) {
        let difference = (tuned - &low_rank[name]).unwrap();
        let furthest = values(&difference).into_iter().map(f64::abs).fold(0.0, f64::max);
        assert!(furthest < 1e-6, "{name}: {furthest:.1e} of a step of 1e-3");
        moved += usize::from(values(tuned) != values(&state_of(&model(1, 0))[name]));
    }
    assert!(moved > 14, "{moved}");
}

#[test]
fn the_averaged_teacher_is_the_closed_form() {
    let options = Options { teacher_decay: 0.7, ..MeanTeacher.options() };
    let mut adaptation = Adaptation::new(unet(1), given(1), MeanTeacher.recipe(), options).unwrap();
    let mut adam = Adam::new(adaptation.trainable(), AdamConfig::new(1e-2)).unwrap();
    let (target, source) = (target(), source(1));
    let students = |adaptation: &Adaptation| adaptation.network().parameters().state().unwrap();
    let mut course = vec![students(&adaptation)];
    for (target, source) in target.0.iter().zip(&source.0).cycle().take(5) {
        let batch = StepBatch { target: target.clone(), source: Some(source.clone()) };
        let gradients = adaptation.loss(&batch).unwrap().backward().unwrap();
        adam.step(&gradients).unwrap();
        adaptation.after_step().unwrap();
        course.push(students(&adaptation));
    }
    let teacher = adaptation.adapted().unwrap();
    for (name, found) in teacher.iter().filter(|(name, _)| !name.ends_with("tracked")) {
        // teacher_T = d^T student_0 + (1 - d) sum_t d^(T - t) student_t
        let mut expected = vec![0.0; found.elem_count()];
        for (t, student) in course.iter().enumerate() {
            let share = 0.7f64.powi((5 - t) as i32) * if t == 0 { 1.0 } else { 0.3 };
            let student = values(&student[name]);
            expected.iter_mut().zip(student).for_each(|(sum, value)| *sum += share * value);
        }
        for (found, expected) in values(found).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * expected.abs().max(0.1), "{name}");
        }
    }
    assert_ne!(values(&course[0]["up1.4.weight"]), values(&course[5]["up1.4.weight"]));
}

#[test]
fn mean_teacher_s_loss_is_cross_entropy_and_squared_difference() {
    let options = Options { norm: NormChoice::Running, weight: 3.0, ..MeanTeacher.options() };
    let recipe = Recipe { view: View::Plain, ..MeanTeacher.recipe() };
    let mut adaptation = Adaptation::new(unet(1), given(1), recipe, options.clone()).unwrap();
    let batch = StepBatch { source: Some(source(1).0.swap_remove(1)), ..step_batch() };
    let logits = |images: &Tensor| unet(1).forward(images, NormMode::Running).unwrap();
    let source = batch.source.as_ref().unwrap();
    let supervised = Task::Binary.loss(&logits(&source.images), &source.target).unwrap();
    let supervised = supervised.to_scalar::<f32>().unwrap();
    let loss = |a: &mut Adaptation| a.loss(&batch).unwrap().to_scalar::<f32>().unwrap();
    // The teacher begins as its student: on the plain view they agree.
    assert!((loss(&mut adaptation) - supervised).abs() < 1e-6);
    // On an altered one they do not, and the weight counts.
    let with = |weight: f64| {
        let options = Options { weight, ..options.clone() };
        let recipe = MeanTeacher.recipe();
        loss(&mut Adaptation::new(unet(1), given(1), recipe, options).unwrap())
    };
    assert!((with(0.0) - supervised).abs() < 1e-6);
    let (once, twice) = (with(1.0) - with(0.0), with(2.0) - with(0.0));
    assert!(once > 0.0 && (twice - 2.0 * once).abs() < 1e-5, "{once} and {twice}");
}

#[test]
fn a_detached_pseudo_label_is_a_constant() {
    // At the final output an attached soft label makes the loss the entropy.
    let recipe = Recipe {
        moves: Moves::Everything,
        supervision: Supervision::OwnPrediction,
        output: Output::Final,
        view: View::Plain,
    };
    let loss = |supervision, pseudo_label| {
        let options = Options { pseudo_label, ..Options::paper() };
        let recipe = Recipe { supervision, ..recipe };
        let mut adaptation = Adaptation::new(unet(1), given(1), recipe, options).unwrap();
        let loss = adaptation.loss(&step_batch()).unwrap();
        let gradients = loss.backward().unwrap();
        let of = |(_, var): (String, Var)| values(gradients.get(var.as_tensor()).unwrap());
        let gradients: Vec<_> = adaptation.trainable().into_iter().flat_map(of).collect();
        (f64::from(loss.to_scalar::<f32>().unwrap()), gradients)
    };
    let (entropy, slopes) = loss(Supervision::Entropy, PseudoLabel::Detached);
    let (attached, own) = loss(Supervision::OwnPrediction, PseudoLabel::Attached);
    let (detached, none) = loss(Supervision::OwnPrediction, PseudoLabel::Detached);
    assert!((entropy - attached).abs() < 1e-6 && (entropy - detached).abs() < 1e-6);
    let size = slopes.iter().fold(0.0f64, |max, slope| max.max(slope.abs()));
    assert!(slopes.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-5 * size));
    // A soft label that is one's own prediction and does not move has no slope: p - p.
    assert!(none.iter().all(|slope| slope.abs() < 1e-5 * size));
}

#[test]
fn an_oracle_learns_its_labels() {
    let options = Options { epochs: 30, learning_rate: 1e-2, ..FineTuneFirst.options() };
    let adapted = adapt(&FineTuneFirst, &model(1, 0), &options).unwrap();
    let epochs = adapted.summary.unwrap().epochs;
    let (first, last) = (epochs[0].loss, epochs[29].loss);
    assert!(last < 0.6 * first, "loss {first} to {last}");
}

/// Where logits are held, moving them costs, by how far they go; at the start nothing does.
#[test]
fn held_logits_cost_what_they_move() {
    let loss = |hold: f64, factor: f64| {
        let options = Options { hold, ..EarlyFeatures.options() };
        let mut adaptation =
            Adaptation::new(unet(1), given(1), EarlyFeatures.recipe(), options).unwrap();
        // The last layer is a batch norm: its weight is the logits' deviation.
        let weight = adaptation.network().parameters().var("out_path.2.weight").unwrap();
        weight.set(&(weight.as_detached_tensor() * factor).unwrap()).unwrap();
        f64::from(adaptation.loss(&step_batch()).unwrap().to_scalar::<f32>().unwrap())
    };
    assert!((loss(0.0, 1.0) - loss(1.0, 1.0)).abs() < 1e-6, "nothing has moved yet");
    let drift = loss(1.0, 2.0) - loss(0.0, 2.0);
    let expected = 2f64.ln().powi(2);
    assert!((drift - expected).abs() < 1e-3, "{drift}, expected {expected}");
    assert!((loss(3.0, 2.0) - loss(0.0, 2.0) - 3.0 * drift).abs() < 1e-3);
}
