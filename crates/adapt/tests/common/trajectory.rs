//! Four steps of a training as the golden files have them, and how far rounding alone can carry them apart.
//!
//! Adam's first steps have the size of the learning rate whatever the size of the gradient. Where a gradient
//! is zero but for rounding (exactly so for a bias that a batch norm follows: `shortcut*.bias`,
//! `out_path.1.layer.bias`), its sign is rounding's, and the entry moves by 1e-3 one way or the other; the
//! next steps start from there. So no float32 implementation reproduces another's weights to 1e-4. What
//! rounding can do is measured here, not assumed: the same training is run again from weights changed in
//! their last bit, and the published result must lie no further from ours than those runs lie.
use super::{InOrder, relative_error, values, with_prefix};
use candle_core::{Tensor, Var};
use udas_nn::{AdamConfig, StateDict};
use udas_record::Phase;
use udas_train::{Fit, FitConfig, Keep, Objective, Observer, Result, Score, StopRule, fit};

/// Asked for where rounding does not decide.
const TOLERANCE: f64 = 1e-4;
/// Runs from weights changed in the last bit. Most of them end near each other and a few far away (an entry of
/// Adam's that turns); of four, on some instruction sets none does.
const PERTURBED: u64 = 8;
/// How much further the published result may lie than the furthest of those runs.
const SLACK: f64 = 2.0;

/// What a golden file holds.
pub struct Trajectory {
    losses: Vec<f64>,
    dice: Vec<f64>,
    state: StateDict,
}

impl Trajectory {
    /// From a golden file whose state has `prefix`.
    pub fn golden(file: &StateDict, prefix: &str) -> Self {
        let of = |name: &str| values(&file[name]);
        Self { losses: of("losses"), dice: of("dice"), state: with_prefix(file, prefix) }
    }

    /// Four steps of `objective`; `dice` is asked before each.
    pub fn of<O: Objective>(
        objective: O,
        batches: &InOrder<O::Batch>,
        dice: impl Fn(&O, &O::Batch) -> f64,
    ) -> Self
    where
        O::Batch: Clone + std::fmt::Debug,
    {
        let mut watched = Watched { objective, figure: dice, noted: Vec::new() };
        let config = FitConfig {
            phase: Phase::Adapt,
            adam: AdamConfig::new(1e-3),
            epochs: 2,
            stop: StopRule::Never,
            keep: Keep::Last,
            average: None,
        };
        let mut losses = Losses::default();
        let fitting = Fit {
            train: batches,
            check: None,
            config: &config,
            observer: &mut losses,
            interrupt: &super::GO_ON,
            resume: None,
        };
        fit(&mut watched, fitting).unwrap();
        let mut state = watched.state().unwrap();
        // An adaptation counts its steps; the golden files do not.
        state.remove("steps");
        Self { losses: losses.0, dice: watched.noted, state }
    }

    /// Root mean square difference over all entries of a kind, relative to the kind's root mean square.
    fn distance(&self, other: &Self, kind: Kind) -> f64 {
        let (mut difference, mut size) = (0.0, 0.0);
        for (name, tensor) in self.state.iter().filter(|(name, _)| Kind::of(name) == kind) {
            for (a, b) in values(tensor).iter().zip(values(&other.state[name])) {
                difference += (a - b).powi(2);
                size += b * b;
            }
        }
        if size == 0.0 { 0.0 } else { (difference / size).sqrt() }
    }

    /// Asserts that `golden` is the same but for rounding, whose reach `again` shows: runs from the same
    /// start, changed in the last bit by the number that it is given.
    pub fn assert_equals(&self, golden: &Self, file: &str, again: impl Fn(u64) -> Self) {
        let runs: Vec<_> = (1..=PERTURBED).map(again).collect();
        let reach = |distance: &dyn Fn(&Self) -> f64| {
            SLACK * runs.iter().map(distance).fold(TOLERANCE / SLACK, f64::max)
        };
        let check = |what: &str, found: f64, bound: f64| {
            println!("{file}: {what}: {found:.1e} of {bound:.1e}");
            assert!(found <= bound, "{file}: {what}: {found:.2e}, rounding explains {bound:.2e}");
        };
        let apart = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f64::max)
        };
        // Before the first update nothing has been amplified.
        check("first loss", apart(&self.losses[..1], &golden.losses), 1e-6);
        let bound = reach(&|run| apart(&run.losses, &self.losses));
        check("losses", apart(&self.losses, &golden.losses), bound);
        let bound = reach(&|run| apart(&run.dice, &self.dice));
        check("Dice", apart(&self.dice, &golden.dice), bound);
        for kind in [Kind::Weight, Kind::Mean, Kind::Variance] {
            let bound = reach(&|run| self.distance(run, kind));
            check(&format!("{kind:?}"), self.distance(golden, kind), bound);
        }
        self.assert_each_entry(golden, file);
    }

    /// Asserts that the test above can fail: that it tells `golden` from `other`, the published result of
    /// a training that differs in one option.
    pub fn assert_differs(&self, golden: &Self, other: &Self, file: &str) {
        let (near, far) = (self.distance(golden, Kind::Weight), self.distance(other, Kind::Weight));
        println!("{file}: weights {near:.1e} from it, {far:.1e} from the other option");
        assert!(far > 3.0 * near, "{file}: {near:.2e} from it, {far:.2e} from the other option");
    }

    /// No entry may be further away than four steps in opposite directions, and counts are equal.
    fn assert_each_entry(&self, golden: &Self, file: &str) {
        let mut within = 0;
        for (name, golden) in &golden.state {
            let found = &self.state[name];
            assert_eq!(found.dims(), golden.dims(), "{file}: {name}");
            let error = relative_error(found, golden);
            within += usize::from(error < TOLERANCE);
            match Kind::of(name) {
                Kind::Count => assert_eq!(values(found), values(golden), "{file}: {name}"),
                Kind::Weight => {
                    let furthest = values(&(found - golden).unwrap()).into_iter().map(f64::abs);
                    let furthest = furthest.fold(0.0, f64::max);
                    assert!(furthest < 8.0 * 1e-3, "{file}: {name}: {furthest:.2e} apart");
                }
                Kind::Mean | Kind::Variance => {
                    assert!(error < 2e-2, "{file}: {name}: relative error {error:.2e}");
                }
            }
        }
        println!("{file}: {within} of {} entries within {TOLERANCE:.0e}", golden.state.len());
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Weight,
    Mean,
    Variance,
    Count,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("running_mean") => Self::Mean,
            Some("running_var") => Self::Variance,
            Some("num_batches_tracked") => Self::Count,
            _ => Self::Weight,
        }
    }
}

/// Weights changed in about their last bit; 0 changes none.
pub fn perturbed(state: &StateDict, seed: u64) -> StateDict {
    let mut random = seed;
    let entries = state.iter().map(|(name, tensor)| {
        if seed == 0 || Kind::of(name) != Kind::Weight {
            return (name.clone(), tensor.clone());
        }
        let changed =
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(|v| {
                // Knuth's linear congruential generator.
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                match random >> 62 {
                    0 => v * (1.0 + f32::EPSILON),
                    1 => v * (1.0 - f32::EPSILON),
                    _ => v,
                }
            });
        let changed: Vec<_> = changed.collect();
        (name.clone(), Tensor::from_vec(changed, tensor.shape(), tensor.device()).unwrap())
    });
    entries.collect()
}

/// Notes the loss of every step.
#[derive(Default)]
pub struct Losses(pub Vec<f64>);

impl Observer for Losses {
    fn step(&mut self, _: usize, _: usize, _: usize, loss: f32) {
        self.0.push(loss.into());
    }
}

/// An objective that notes a figure before every step.
struct Watched<O, F> {
    objective: O,
    figure: F,
    noted: Vec<f64>,
}

impl<O: Objective, F: Fn(&O, &O::Batch) -> f64> Objective for Watched<O, F> {
    type Batch = O::Batch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.objective.trainable()
    }

    fn loss(&mut self, batch: &O::Batch) -> Result<Tensor> {
        self.noted.push((self.figure)(&self.objective, batch));
        self.objective.loss(batch)
    }

    fn score(&self, batch: &O::Batch) -> Result<Score> {
        self.objective.score(batch)
    }

    fn after_step(&mut self) -> Result<()> {
        self.objective.after_step()
    }

    fn state(&self) -> Result<StateDict> {
        self.objective.state()
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        self.objective.restore(state)
    }
}
