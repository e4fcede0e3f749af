//! The loop: it learns, stops by its rule, keeps what it is told to, and stays among numbers.
mod common;

use candle_core::{Tensor, Var};
use common::*;
use udas_nn::StateDict;
use udas_record::StopReason;
use udas_train::{
    Collapse, Ema, Error, Fit, FitConfig, FitSummary, Keep, LabelledBatch, Objective, Result,
    Score, Silent, SourceTraining, StopRule, fit,
};

fn run<O: Objective<Batch = LabelledBatch>>(
    objective: &mut O,
    batches: &Turning,
    config: &FitConfig,
) -> Result<FitSummary> {
    let (train, check) = (batches, Some(batches as _));
    let (observer, interrupt) = (&mut Silent, &GO_ON);
    fit(objective, Fit { train, check, config, observer, interrupt, resume: None })
}

#[test]
fn it_learns_to_find_discs() {
    let mut objective = training(1);
    let summary = run(&mut objective, &Turning::discs(), &config(30, Keep::BestScore)).unwrap();
    assert_eq!(summary.reason, StopReason::EpochsDone);
    assert_eq!(summary.epochs.len(), 30);
    assert_eq!(summary.collapse, None);
    let best = summary.epochs.iter().filter_map(|record| record.score).fold(0.0, f64::max);
    assert!(best > 0.9, "Dice {best}");
    let batches = Turning::discs();
    let scores = batches.0.iter().map(|batch| objective.score(batch).unwrap().value);
    assert_eq!(scores.sum::<f64>() / 3.0, best, "the best epoch's weights are kept");
}

#[test]
fn it_stops_when_the_score_stands_still() {
    let stop = StopRule::ScoreChangeBelow(0.005);
    let config = FitConfig { stop, ..config(60, Keep::Last) };
    let summary = run(&mut training(1), &Turning::discs(), &config).unwrap();
    assert_eq!(summary.reason, StopReason::Converged);
    let changes: Vec<_> = summary.epochs.iter().map(|r| r.score_change.unwrap().abs()).collect();
    let (last, before) = changes.split_last().unwrap();
    assert!(*last < 0.005 && before.iter().all(|change| *change >= 0.005), "{changes:?}");
}

#[test]
fn too_few_slices_are_refused() {
    let error = run(&mut training(1), &Turning(Vec::new()), &config(1, Keep::Last)).unwrap_err();
    assert!(matches!(error, Error::NoBatches { slices: 0, batch_size: 2 }), "{error}");
}

#[test]
fn the_best_score_needs_a_score() {
    let (batches, config) = (Turning::discs(), config(1, Keep::BestScore));
    let (train, observer, interrupt) = (&batches as _, &mut Silent as _, &GO_ON);
    let fit_without =
        Fit { train, check: None, config: &config, observer, interrupt, resume: None };
    assert!(matches!(fit(&mut training(1), fit_without), Err(Error::NoScore)));
}

/// What goes wrong in the second batch of the second epoch.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Loss,
    Gradient,
    Statistic,
}

/// A training in which something goes wrong in the fifth step.
struct Faulty {
    training: SourceTraining,
    fault: Fault,
    steps: usize,
}

impl Objective for Faulty {
    type Batch = LabelledBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.training.trainable()
    }

    fn loss(&mut self, batch: &LabelledBatch) -> Result<Tensor> {
        self.steps += 1;
        let loss = self.training.loss(batch)?;
        if self.steps < 5 {
            return Ok(loss);
        }
        let parameters = self.training.network().parameters();
        Ok(match self.fault {
            Fault::Loss => (loss * f64::INFINITY)?,
            Fault::Gradient => {
                // The root's value at 0 is 0, its slope is infinite.
                let weight = parameters.var("init_path.0.weight")?.as_tensor();
                let same = weight.clone();
                (loss + (weight - same)?.sqr()?.sum_all()?.sqrt()?)?
            }
            Fault::Statistic => {
                let var = parameters.var("up1.3.running_var")?;
                var.set(&(var.as_tensor() * f64::NAN)?)?;
                loss
            }
        })
    }

    fn score(&self, batch: &LabelledBatch) -> Result<Score> {
        self.training.score(batch)
    }

    fn statistics(&self) -> Vec<(String, Var)> {
        self.training.statistics()
    }

    fn state(&self) -> Result<StateDict> {
        self.training.state()
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        self.training.restore(state)
    }
}

#[test]
fn what_is_no_number_ends_it_at_that_step_and_the_last_good_state_stays() {
    let batches = Turning::discs();
    let mut one_epoch = training(1);
    run(&mut one_epoch, &batches, &config(1, Keep::Last)).unwrap();
    let good = bits(&one_epoch.state().unwrap());
    for (fault, culprit) in [
        (Fault::Loss, "the loss"),
        (Fault::Gradient, "the gradient of `init_path.0.weight`"),
        (Fault::Statistic, "the statistic `up1.3.running_var`"),
    ] {
        let mut objective = Faulty { training: training(1), fault, steps: 0 };
        let error = run(&mut objective, &batches, &config(4, Keep::Last)).unwrap_err();
        let text = error.to_string();
        let Error::Diverged { what, epoch, step, value, batch } = error else { panic!("{text}") };
        assert_eq!(what, culprit);
        assert!(!value.is_finite());
        // The second epoch begins with the third batch; its second one is the first.
        assert_eq!((epoch, step, batch.as_str()), (2, 2, "slices [0, 1]"));
        assert!(text.contains("slices [0, 1]") && text.contains("udas doctor"), "{text}");
        let kept = objective.state().unwrap();
        assert!(is_finite(&kept));
        assert_eq!(bits(&kept), good, "{culprit}");
    }
}

#[test]
fn a_slice_that_is_no_number_ends_it() {
    let mut batches = Turning::discs();
    let broken = (&batches.0[2].images * f64::NAN).unwrap();
    batches.0[2].images = broken;
    let mut objective = training(1);
    let start = bits(&objective.state().unwrap());
    let (train, config) = (&batches, config(2, Keep::Last));
    let (observer, interrupt) = (&mut Silent, &GO_ON);
    let fitting = Fit { train, check: None, config: &config, observer, interrupt, resume: None };
    let error = fit(&mut objective, fitting).unwrap_err().to_string();
    assert!(error.contains("slices [4, 5]"), "{error}");
    assert_eq!(bits(&objective.state().unwrap()), start);
}

/// A training towards one answer everywhere, by the last bias alone.
struct Towards {
    training: SourceTraining,
    label: f64,
}

impl Objective for Towards {
    type Batch = LabelledBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        let mut last = self.training.trainable();
        last.retain(|(name, _)| name == "out_path.2.bias");
        last
    }

    fn loss(&mut self, batch: &LabelledBatch) -> Result<Tensor> {
        let target = (batch.target.zeros_like()? + self.label)?;
        self.training.loss(&LabelledBatch { target, ..batch.clone() })
    }

    fn score(&self, batch: &LabelledBatch) -> Result<Score> {
        self.training.score(batch)
    }

    fn state(&self) -> Result<StateDict> {
        self.training.state()
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        self.training.restore(state)
    }
}

#[test]
fn a_collapse_is_named() {
    for (label, collapse) in [(0.0, Collapse::AllBackground), (1.0, Collapse::AllForeground)] {
        let mut objective = Towards { training: training(1), label };
        let mut config = config(20, Keep::Last);
        config.adam.learning_rate = 0.5;
        let summary = run(&mut objective, &Turning::discs(), &config).unwrap();
        assert_eq!(summary.collapse, Some(collapse));
        assert!(collapse.to_string().contains("collapsed"));
    }
}

/// Beside the plain training, which is not disturbed by being averaged.
#[test]
fn an_average_is_scored_and_ended_with() {
    let decay = 0.8;
    let averaging = FitConfig { average: Some(Ema { decay }), ..config(3, Keep::Last) };
    let batches = Turning::discs();
    let (mut plain, mut mean) = (training(1), training(1));
    let (mut noted, mut watched) = (Noted::default(), Noted::default());
    for (objective, config, observer) in
        [(&mut plain, config(3, Keep::Last), &mut noted), (&mut mean, averaging, &mut watched)]
    {
        let check = Some(&batches as _);
        let surroundings = Fit {
            train: &batches,
            check,
            config: &config,
            observer,
            interrupt: &GO_ON,
            resume: None,
        };
        fit(objective, surroundings).unwrap();
    }
    assert_eq!(noted.losses, watched.losses, "steps are taken by the weights themselves");
    assert_ne!(bits(&plain.state().unwrap()), bits(&mean.state().unwrap()));
    let scores = batches.0.iter().map(|batch| mean.score(batch).unwrap().value);
    assert_eq!(Some(scores.sum::<f64>() / 3.0), watched.records[2].score);
    assert_ne!(noted.records[2].score, watched.records[2].score);
}

/// A number that a step moves by 1.
struct Counting(Var);

impl Objective for Counting {
    type Batch = LabelledBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        Vec::new()
    }

    fn loss(&mut self, _: &LabelledBatch) -> Result<Tensor> {
        Ok((self.0.as_tensor() * 1.0)?)
    }

    fn score(&self, _: &LabelledBatch) -> Result<Score> {
        Ok(Score { value: f64::from(self.0.to_scalar::<f32>()?), ..Score::default() })
    }

    fn after_step(&mut self) -> Result<()> {
        Ok(self.0.set(&(self.0.as_tensor() + 1.0)?.detach())?)
    }

    fn state(&self) -> Result<StateDict> {
        Ok(StateDict::from([("number".to_owned(), self.0.as_detached_tensor().copy()?)]))
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        Ok(self.0.set(&state["number"])?)
    }
}

#[test]
fn an_average_is_exponential_and_soon_forgets_its_beginning() {
    let mut counting = Counting(Var::from_tensor(&Tensor::new(0f32, &CPU).unwrap()).unwrap());
    let config = FitConfig { average: Some(Ema { decay: 0.3 }), ..config(2, Keep::Last) };
    let summary = run(&mut counting, &Turning::discs(), &config).unwrap();
    // Two epochs of three steps: 1 to 6, with shares of 2/11, 3/12 and then 0.3 that stay.
    let mut expected = 0.0;
    for (step, decay) in [2.0 / 11.0, 0.25, 0.3, 0.3, 0.3, 0.3].into_iter().enumerate() {
        expected += (1.0 - decay) * ((step + 1) as f64 - expected);
        if step == 2 {
            assert!((summary.epochs[0].score.unwrap() - expected).abs() < 1e-6);
        }
    }
    assert!((counting.score(&Turning::discs().0[0]).unwrap().value - expected).abs() < 1e-6);
}
