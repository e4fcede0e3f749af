//! How long and in what steps a training on labels runs, and the run itself: what `train` and `head` share.
use crate::console::Console;
use crate::held_out::{HoldOut, HoldOutFlags, SplitSlices};
use crate::options::word;
use crate::{failure, interrupt};
use anyhow::Result;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use udas_data::Augment;
use udas_nn::AdamConfig;
use udas_record::{Convergence, Event, Phase, StopReason};
use udas_run::Watch;
use udas_run::training::{self, OrderName};
use udas_run::{Balance, Begun, RunFolder, Start};
use udas_train::{
    Batches, Ema, Fit, FitConfig, FitSummary, Keep, LabelledBatch, Plateau, Snapshot, StopRule,
    Supervised, fit, measure,
};

/// How many epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrWord", into = "NumberOrWord")]
pub enum Epochs {
    /// Until held-out slices are predicted no better.
    Auto,
    /// So many.
    Number(usize),
}

/// As a settings file has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NumberOrWord {
    Number(usize),
    Word(String),
}

impl FromStr for Epochs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(number)) => Ok(Self::Number(number)),
            _ => Err("give a number, or auto".into()),
        }
    }
}

impl TryFrom<NumberOrWord> for Epochs {
    type Error = String;

    fn try_from(value: NumberOrWord) -> Result<Self, String> {
        match value {
            NumberOrWord::Number(number) => Ok(Self::Number(number)),
            NumberOrWord::Word(word) if word == "auto" => Ok(Self::Auto),
            NumberOrWord::Word(word) => Err(format!("{word:?} is no number, and not \"auto\"")),
        }
    }
}

impl Epochs {
    /// How many, where that is known before.
    pub fn number(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Number(number) => Some(number),
        }
    }
}

impl From<Epochs> for NumberOrWord {
    fn from(epochs: Epochs) -> Self {
        match epochs {
            Epochs::Auto => Self::Word(epochs.to_string()),
            Epochs::Number(number) => Self::Number(number),
        }
    }
}

impl fmt::Display for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Whether a training ends with an average of its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Average {
    /// With those of its last step.
    #[default]
    None,
    /// With an exponential moving average.
    Ema(Ema),
}

/// About a thousand steps count.
const DECAY: f64 = 0.999;

impl FromStr for Average {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let decay = match text {
            "none" => return Ok(Self::None),
            "ema" => Some(DECAY),
            _ => text.strip_prefix("ema:").and_then(|decay| decay.parse().ok()),
        };
        match decay {
            Some(decay) if decay > 0.0 && decay < 1.0 => Ok(Self::Ema(Ema { decay })),
            _ => Err("give none, ema, or ema:DECAY with a decay above 0 and below 1".into()),
        }
    }
}

impl TryFrom<String> for Average {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Average> for String {
    fn from(average: Average) -> Self {
        average.to_string()
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ema(Ema { decay: DECAY }) => f.write_str("ema"),
            Self::Ema(Ema { decay }) => write!(f, "ema:{decay}"),
        }
    }
}

/// When `--epochs auto` ends. Chosen on source data alone: docs/results/convergence.md.
const UNTIL_CONVERGED: Plateau =
    Plateau { steps: 1000, rise: 0.002, doubt: Convergence::DOUBT, decay: 0.2 };

/// What the options stand under in `--help`. Each names it: a heading of the struct would go on to the options after it.
const HEADING: &str = "Schedule";

/// Flags of the trainings on labels.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScheduleFlags {
    /// Epochs: a number, or auto: until held-out slices are predicted no better over 1000 steps and the network is about
    /// as sure as it is right; then a fifth as many, over which the step size falls to 0
    #[arg(help_heading = HEADING, long, default_value_t = Epochs::Auto)]
    pub epochs: Epochs,
    /// Steps, up to whole epochs, after which --epochs auto ends all the same; a number of epochs is a bound by itself
    #[arg(help_heading = HEADING, long, value_name = "N", default_value_t = 20_000)]
    #[serde(default = "max_steps")]
    pub max_steps: usize,
    /// Slices a step
    #[arg(help_heading = HEADING, long, default_value_t = 4)]
    pub batch_size: usize,
    /// Step size of Adam
    #[arg(help_heading = HEADING, long, default_value_t = 1e-3)]
    pub lr: f64,
    /// Order of slices: shuffled or sequential
    #[arg(help_heading = HEADING, long, default_value = "shuffled", value_parser = word::<OrderName>())]
    pub order: OrderName,
    /// What an epoch shows equally often: none (each slice once), domains, classes (of slices that show something, as many
    /// for each structure), or both [default: domains where there are several, else none]
    #[arg(help_heading = HEADING, long, value_parser = word::<Balance>())]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Weights to end with: none, those of the last step, or ema, their exponential moving average, in which ema:DECAY says
    /// what share stays with a step (ema: 0.999)
    #[arg(help_heading = HEADING, long, value_name = "AVERAGE", default_value_t = Average::None)]
    #[serde(default)]
    pub average: Average,
}

fn max_steps() -> usize {
    20_000
}

/// Named sets of options of the trainings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The published code's.
    Paper,
}

impl Preset {
    /// Lets the preset stand for what the command line does not say.
    pub fn apply(
        self,
        flags: &ArgMatches,
        schedule: &mut ScheduleFlags,
        holding_out: &mut HoldOutFlags,
    ) {
        match self {
            Self::Paper => {
                schedule.take(ScheduleFlags::paper(), |name| is_free(flags, name));
                if is_free(flags, "hold_out") {
                    holding_out.hold_out = HoldOut::None;
                }
            }
        }
    }
}

/// Whether the command line does not say an option.
pub fn is_free(flags: &ArgMatches, name: &str) -> bool {
    flags.value_source(name) != Some(ValueSource::CommandLine)
}

/// What a training is run with beside its flags.
pub struct Training<'a> {
    pub phase: Phase,
    pub slices: &'a SplitSlices,
    pub augment: Augment,
    pub keep: Keep,
    pub seed: u64,
    /// What the score is called.
    pub score: &'static str,
}

/// What a training learns from, and what it is measured on.
#[derive(Clone, Copy)]
pub struct TrainingBatches<'a> {
    pub train: &'a dyn Batches<LabelledBatch>,
    pub check: &'a dyn Batches<LabelledBatch>,
    /// Whether what is measured on has not been seen in training.
    pub is_held_out: bool,
}

/// Trains what has begun; of a run that was done before, that is said.
pub fn unless_done(
    begun: Begun,
    out: &Path,
    console: &Console,
    train: impl FnOnce((RunFolder, Option<Snapshot>)) -> Result<()>,
) -> Result<()> {
    match begun {
        Begun::Before(_) => {
            console.say(format!("{} is done already", out.display()));
            Ok(())
        }
        Begun::Now { folder, resume } => train((folder, resume)),
    }
}

impl ScheduleFlags {
    /// The published schedule (method, stages 1 and 2).
    pub fn paper() -> Self {
        Self {
            epochs: Epochs::Number(50),
            max_steps: max_steps(),
            batch_size: 20,
            lr: 1e-3,
            order: OrderName::Shuffled,
            balance: None,
            average: Average::None,
        }
    }

    /// Decides, where a training begins, what nobody has said: several domains are balanced. A run that goes on without a
    /// word of it is of a build that knew none.
    pub fn settle(&mut self, domains: &[String], start: Start) {
        let several = domains.iter().collect::<BTreeSet<_>>().len() > 1;
        if self.balance.is_none() && start == Start::Fresh {
            let balanced = several && self.order == OrderName::Shuffled;
            self.balance = Some(if balanced { Balance::Domains } else { Balance::None });
        }
    }

    /// Takes from `other` what `is_free` says is not given.
    pub fn take(&mut self, other: Self, is_free: impl Fn(&str) -> bool) {
        // The published training had one domain, and kept its last weights.
        let Self { epochs, max_steps, batch_size, lr, order, balance: _, average: _ } = other;
        let mut set = |name: &str, take: &mut dyn FnMut(&mut Self)| {
            if is_free(name) {
                take(self);
            }
        };
        set("epochs", &mut |own| own.epochs = epochs);
        set("max_steps", &mut |own| own.max_steps = max_steps);
        set("batch_size", &mut |own| own.batch_size = batch_size);
        set("lr", &mut |own| own.lr = lr);
        set("order", &mut |own| own.order = order);
    }

    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        let refuse = |text: &str| Err(failure::usage(text).into());
        if self.epochs == Epochs::Number(0) {
            return refuse("--epochs 0: give at least 1, or auto");
        }
        if self.max_steps == 0 {
            return refuse("--max-steps 0: give at least 1");
        }
        if self.batch_size == 0 {
            return refuse("--batch-size 0: give at least 1");
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return refuse(&format!("--lr {}: give a positive number", self.lr));
        }
        let balanced = self.balance.is_some_and(|balance| balance != Balance::None);
        if balanced && self.order == OrderName::Sequential {
            return refuse("--order sequential: --balance draws slices; leave one of them out");
        }
        Ok(())
    }

    fn config(&self, phase: Phase, keep: Keep, steps: usize) -> FitConfig {
        let (epochs, stop) = match self.epochs {
            Epochs::Auto => {
                (self.max_steps.div_ceil(steps.max(1)), StopRule::UntilConverged(UNTIL_CONVERGED))
            }
            Epochs::Number(number) => (number, StopRule::Never),
        };
        let average = match self.average {
            Average::None => None,
            Average::Ema(ema) => Some(ema),
        };
        FitConfig { phase, adam: AdamConfig::new(self.lr), epochs, stop, keep, average }
    }

    /// Trains, then measures where the training stands; both are said and recorded.
    pub fn run<O: Supervised>(
        &self,
        objective: &mut O,
        training: &Training,
        (folder, resume): (&mut RunFolder, Option<Snapshot>),
        console: &Console,
    ) -> Result<(FitSummary, Convergence)> {
        let Training { phase, slices, augment, keep, seed, score } = *training;
        let plan = self.order.plan(seed, self.batch_size);
        let groups = slices.train.groups(self.balance.unwrap_or_default())?;
        if !groups.is_empty() {
            let count = slices.train.slices.len();
            console.say(format!("an epoch of {count} slices shows: {}", groups.describe(count)));
        }
        let train = slices.train.drawn(plan, augment, groups, console)?;
        let check = slices.check(seed, self.batch_size, console)?;
        let is_held_out = slices.is_held_out();
        let batches = TrainingBatches { train: &train, check: &check, is_held_out };
        self.run_on(objective, batches, (phase, keep, score), (folder, resume), console)
    }

    /// The same on batches that somebody else has made.
    pub fn run_on<O: Supervised>(
        &self,
        objective: &mut O,
        TrainingBatches { train, check, is_held_out }: TrainingBatches,
        (phase, keep, score): (Phase, Keep, &'static str),
        (folder, resume): (&mut RunFolder, Option<Snapshot>),
        console: &Console,
    ) -> Result<(FitSummary, Convergence)> {
        let config = self.config(phase, keep, train.steps());
        // What is learned from is looked at again only where a rule has to go by it.
        let needed = config.stop != StopRule::Never || keep == Keep::BestScore;
        let watched = is_held_out || needed;
        let mut watch = Watch::new(folder, console, phase, score, config.epochs);
        let run = Fit {
            train,
            check: watched.then_some(check),
            config: &config,
            observer: &mut watch,
            interrupt: interrupt::flag(),
            resume,
        };
        let summary = fit(objective, run)?;
        drop(watch);
        training::report_stop(&summary, folder, console)?;
        let ran_out = summary.reason == StopReason::EpochsDone;
        if self.epochs == Epochs::Auto && ran_out {
            let bound = self.max_steps;
            console.say(format!("it ended at --max-steps {bound}: it might have gained from more"));
        }
        let steps = summary.epochs.iter().map(|epoch| epoch.steps).sum();
        let measured = measure(objective, check, steps, is_held_out)?;
        console.say(measured.sentence());
        folder.record(Event::Convergence { phase, measured })?;
        if measured.foreground_probability.is_none() {
            folder.warn(NO_FOREGROUND, console)?;
        } else if ran_out && !measured.is_sure() {
            folder.warn(&unfinished_text(&measured, self), console)?;
        }
        Ok((summary, measured))
    }
}

/// Masks may be empty, or of other values than the training was told to learn.
const NO_FOREGROUND: &str = "no pixel of the slices that were measured is labelled, so that neither the scores nor the network \
                             say anything; look at the masks (udas doctor)";

fn unfinished_text(measured: &Convergence, schedule: &ScheduleFlags) -> String {
    let remedy = match schedule.epochs {
        Epochs::Auto => format!("more than --max-steps {}", schedule.max_steps),
        Epochs::Number(_) => "--epochs auto, or more epochs".to_owned(),
    };
    format!(
        "the training has not converged: it is right on {:.1} % of the pixels and only {:.1} % sure. What learns from its \
         probabilities learns a blur; give {remedy}",
        100.0 * measured.accuracy,
        100.0 * measured.confidence
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_a_number_or_auto() {
        assert_eq!("auto".parse(), Ok(Epochs::Auto));
        assert_eq!("12".parse(), Ok(Epochs::Number(12)));
        assert!("often".parse::<Epochs>().is_err());
        for epochs in [Epochs::Auto, Epochs::Number(7)] {
            let flags = ScheduleFlags { epochs, ..ScheduleFlags::paper() };
            let text = toml::to_string(&flags).unwrap();
            assert_eq!(toml::from_str::<ScheduleFlags>(&text).unwrap().epochs, epochs, "{text}");
        }
        let wrong = toml::to_string(&ScheduleFlags::paper()).unwrap().replace("50", "\"often\"");
        assert!(toml::from_str::<ScheduleFlags>(&wrong).is_err());
    }

    #[test]
    fn an_average_is_none_or_ema_of_a_decay() {
        for text in ["none", "ema", "ema:0.9"] {
            let average: Average = text.parse().unwrap();
            assert_eq!(average.to_string(), text);
            let flags = ScheduleFlags { average, ..ScheduleFlags::paper() };
            let written = toml::to_string(&flags).unwrap();
            assert_eq!(toml::from_str::<ScheduleFlags>(&written).unwrap().average, average);
        }
        assert_eq!("ema:0.999".parse(), Ok(Average::Ema(Ema { decay: DECAY })));
        for wrong in ["", "swa", "ema:", "ema:0", "ema:1", "ema:nan", "ema:-0.5", "0.9"] {
            let error = wrong.parse::<Average>().unwrap_err();
            assert!(error.contains("ema:DECAY"), "{wrong}: {error}");
        }
    }

    #[test]
    fn several_domains_are_balanced_where_nobody_says_otherwise() {
        let settled = |domains: &[&str], start, asked: ScheduleFlags| {
            let (mut flags, domains) =
                (asked, domains.iter().map(|d| (*d).to_owned()).collect::<Vec<_>>());
            flags.settle(&domains, start);
            flags.balance
        };
        let free = ScheduleFlags::paper;
        assert_eq!(settled(&["a", "b"], Start::Fresh, free()), Some(Balance::Domains));
        assert_eq!(settled(&["a", "a"], Start::Fresh, free()), Some(Balance::None));
        assert_eq!(settled(&["a", "b"], Start::Resume, free()), None, "as it began");
        let asked = ScheduleFlags { balance: Some(Balance::None), ..free() };
        assert_eq!(settled(&["a", "b"], Start::Fresh, asked), Some(Balance::None));
        let in_order = ScheduleFlags { order: OrderName::Sequential, ..free() };
        assert_eq!(settled(&["a", "b"], Start::Fresh, in_order.clone()), Some(Balance::None));
        let both = ScheduleFlags { balance: Some(Balance::Both), ..in_order };
        assert!(both.check().unwrap_err().to_string().contains("--balance"));
    }

    #[test]
    fn auto_is_bounded_in_steps() {
        let flags =
            ScheduleFlags { epochs: Epochs::Auto, max_steps: 100, ..ScheduleFlags::paper() };
        assert_eq!(flags.config(Phase::Source, Keep::Last, 30).epochs, 4);
        let paper = ScheduleFlags::paper().config(Phase::Source, Keep::Last, 30);
        assert_eq!((paper.epochs, paper.stop), (50, StopRule::Never));
    }
}
