//! The methods' options as settings; what is not given is the method's own default.
use crate::error::{Error, Result};
#[cfg(feature = "clap")]
use crate::flags::word;
use serde::{Deserialize, Serialize};
use toml::Table;
use udas_adapt::{Labels, Method, NormChoice, Options, PseudoLabel};
use udas_network::Spec;
use udas_train::{Keep, StopRule};

/// Named sets of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The published code's.
    Paper,
}

/// What the options stand under in `--help`. Each names it: a heading of the struct would go on to the options after it.
#[cfg(feature = "clap")]
const HEADING: &str = "Options of the method";

/// Options of the methods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(rename_all = "kebab-case", default)]
pub struct MethodSettings {
    /// Options as published: paper [default: the method's own]
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_parser = word::<Preset>()))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Deepest early stage that moves; 0 is at full size [default: the head's]
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub level: Option<usize>,
    /// Gradient through the pseudo-label: attached or detached
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_parser = word::<PseudoLabel>()))]
    pub pseudo_label: Option<PseudoLabel>,
    /// Pseudo-labels: soft or hard
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_parser = word::<Labels>()))]
    pub labels: Option<Labels>,
    /// Least probability of a pixel's class for the pixel to count
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub confidence: Option<f64>,
    /// Batch norm: batch, running or re-estimated
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_parser = word::<NormChoice>()))]
    pub norm: Option<NormChoice>,
    /// Step size of Adam
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub lr: Option<f64>,
    /// At most this many epochs
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub epochs: Option<usize>,
    /// Slices a step
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub batch_size: Option<usize>,
    /// Stop when the score changes by less; 0 never stops
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub stop_change: Option<f64>,
    /// Weights to end with: last or best-score
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_parser = word::<Keep>()))]
    pub keep: Option<Keep>,
    /// Rank of low-rank adapters
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub rank: Option<usize>,
    /// Decay of an averaged teacher, a step
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub teacher_decay: Option<f64>,
    /// Weight of a consistency or prior term
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub weight: Option<f64>,
    /// Weight of what holds the final logits where the model's are before adaptation, so that no class vanishes [default: 1 for
    /// networks without batch norm, else 0]
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub hold: Option<f64>,
    /// Share of the target in re-estimated statistics, above 0 to 1
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long))]
    pub target_share: Option<f64>,
}

impl Preset {
    /// The method that the preset is of.
    pub fn method(self) -> &'static str {
        match self {
            // Of the methods only the paper's has published code; the others' defaults are their papers'.
            Self::Paper => "early-features",
        }
    }

    fn options(self) -> Options {
        match self {
            Self::Paper => Options::paper(),
        }
    }
}

impl MethodSettings {
    /// The options before any setting: the preset's, which must be of the method, or the method's own for such a network.
    ///
    /// # Errors
    /// [`Error::Usage`] for a preset of another method.
    pub fn base(&self, method: &dyn Method, network: &Spec) -> Result<Options> {
        let Some(preset) = self.preset else { return Ok(method.options_for(network)) };
        if method.name() == preset.method() {
            return Ok(preset.options());
        }
        let (name, owner) = (method.name(), preset.method());
        let text = format!("--preset paper: is of --method {owner}; --method {name} has none");
        Err(Error::usage(text))
    }

    /// Takes all such options out of a settings file. Returns the names of those that were there.
    ///
    /// # Errors
    /// [`Error::Settings`], which options of this crate are no reason for.
    pub fn take_out(file: &mut Table) -> Result<Vec<String>> {
        let all = Self { preset: Some(Preset::Paper), ..Self::of(&Options::paper()) };
        let all = Table::try_from(all)?;
        let names: Vec<_> = file.keys().filter(|name| all.contains_key(*name)).cloned().collect();
        file.retain(|name, _| !all.contains_key(name));
        Ok(names)
    }

    /// The options a method runs with: what is set over `base`.
    pub fn resolve(&self, base: Options) -> Options {
        let stop = match self.stop_change {
            None => base.stop,
            Some(change) if change > 0.0 => StopRule::ScoreChangeBelow(change),
            Some(_) => StopRule::Never,
        };
        Options {
            level: self.level.unwrap_or(base.level),
            pseudo_label: self.pseudo_label.unwrap_or(base.pseudo_label),
            labels: self.labels.unwrap_or(base.labels),
            confidence: self.confidence.unwrap_or(base.confidence),
            norm: self.norm.unwrap_or(base.norm),
            learning_rate: self.lr.unwrap_or(base.learning_rate),
            epochs: self.epochs.unwrap_or(base.epochs),
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            stop,
            keep: self.keep.unwrap_or(base.keep),
            rank: self.rank.unwrap_or(base.rank),
            teacher_decay: self.teacher_decay.unwrap_or(base.teacher_decay),
            weight: self.weight.unwrap_or(base.weight),
            hold: self.hold.unwrap_or(base.hold),
            target_share: self.target_share.unwrap_or(base.target_share),
        }
    }

    /// Settings that say all of some options.
    pub fn of(options: &Options) -> Self {
        Self {
            preset: None,
            level: Some(options.level),
            pseudo_label: Some(options.pseudo_label),
            labels: Some(options.labels),
            confidence: Some(options.confidence),
            norm: Some(options.norm),
            lr: Some(options.learning_rate),
            epochs: Some(options.epochs),
            batch_size: Some(options.batch_size),
            stop_change: match options.stop {
                StopRule::Never => Some(0.0),
                StopRule::ScoreChangeBelow(change) => Some(change),
                // `Options::check` has refused it: it needs labels.
                StopRule::UntilConverged(_) => None,
            },
            keep: Some(options.keep),
            rank: Some(options.rank),
            teacher_decay: Some(options.teacher_decay),
            weight: Some(options.weight),
            hold: Some(options.hold),
            target_share: Some(options.target_share),
        }
    }
}
