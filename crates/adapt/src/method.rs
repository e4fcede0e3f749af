//! What a method is, and the list of all methods.
use crate::{Adaptation, Adapted, Error, Model, NormChoice, Options, Output, Recipe, Result, Run};
use crate::{Supervision, methods, re_estimate};
use udas_nn::AdamConfig;
use udas_record::Phase;
use udas_train::{Fit, FitConfig, fit};
use udas_unet::{EarlyHead, UNet};

/// What a method needs beside a model and unlabelled target images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// An early head, trained on the source.
    EarlyHead,
    /// Labelled source data.
    SourceData,
    /// The ratio of classes in the source, which a model file carries.
    ClassRatio,
    /// Labels of target subjects: the method is an oracle.
    TargetLabels,
}

impl Requirement {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::EarlyHead => "an early head",
            Self::SourceData => "labelled source data",
            Self::ClassRatio => "the source's class ratio",
            Self::TargetLabels => "labels of target subjects (an oracle)",
        }
    }
}

/// A method in words.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The idea, in two sentences.
    pub idea: &'static str,
    /// What is minimised.
    pub equation: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What it needs.
    pub needs: &'static [Requirement],
    /// How it is known to fail.
    pub failure: &'static str,
}

/// A way to adapt a network to a target without labels.
pub trait Method: Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// The method in words.
    fn about(&self) -> About;

    /// Where it stands in the space of methods.
    fn recipe(&self) -> Recipe;

    /// Options it runs with unless told otherwise.
    fn options(&self) -> Options;

    /// Adapts a copy of `model`.
    ///
    /// # Errors
    /// When something the method needs is missing, data cannot be read, or the training fails.
    fn adapt(&self, model: &Model, options: &Options, run: Run) -> Result<Adapted> {
        adapt_by_recipe(self.name(), self.recipe(), model, options, run)
    }
}

/// All methods. A new one is a file in `methods/` and a line here.
pub const METHODS: &[&dyn Method] = &[
    &methods::SourceOnly,
    &methods::AdaBn,
    &methods::EarlyFeatures,
    &methods::SelfTraining,
    &methods::Tent,
];

/// The method of that name.
pub fn find(name: &str) -> Option<&'static dyn Method> {
    METHODS.iter().copied().find(|method| method.name() == name)
}

/// Carries out a recipe by the one loop.
pub(crate) fn adapt_by_recipe(
    method: &'static str,
    recipe: Recipe,
    model: &Model,
    options: &Options,
    run: Run,
) -> Result<Adapted> {
    options.check()?;
    let unet = UNet::from_state(&model.unet, &run.device)?;
    let head = match recipe.output {
        Output::EarlyHead => Some(head_for(method, &unet, model, options, &run)?),
        Output::Final => None,
    };
    let class_ratio = match (recipe.supervision, &run.class_ratio) {
        (Supervision::EntropyWithClassRatio, None) => {
            return Err(Error::Missing { method, what: "the source's class ratio" });
        }
        (_, ratio) => ratio.clone().unwrap_or_default(),
    };
    if options.norm == NormChoice::ReEstimated && run.resume.is_none() {
        re_estimate(&unet, run.check)?;
    }
    let mut adaptation = Adaptation::new(unet, head, recipe, options.clone(), class_ratio);
    let moved = adaptation.unet().parameters().trainable().into_iter().map(|(name, _)| name);
    let moved: Vec<_> = moved.collect();
    if moved.is_empty() {
        let unet = adaptation.unet().parameters().state()?;
        return Ok(Adapted { unet, summary: None, moved });
    }
    let config = FitConfig {
        phase: Phase::Adapt,
        adam: AdamConfig::new(options.learning_rate),
        epochs: options.epochs,
        stop: options.stop,
        keep: options.keep,
    };
    let surroundings = Fit {
        train: run.target,
        check: Some(run.check),
        config: &config,
        observer: run.observer,
        interrupt: run.interrupt,
        resume: run.resume,
    };
    let summary = fit(&mut adaptation, surroundings)?;
    let unet = adaptation.unet().parameters().state()?;
    Ok(Adapted { unet, summary: Some(summary), moved })
}

fn head_for(
    method: &'static str,
    unet: &UNet,
    model: &Model,
    options: &Options,
    run: &Run,
) -> Result<EarlyHead> {
    let level = options.level;
    let state = model.head.as_ref().ok_or(Error::NoHead { method, level })?;
    let found = EarlyHead::level_of(state, unet.architecture())?;
    if found != level {
        return Err(Error::HeadLevel { found, asked: level });
    }
    Ok(EarlyHead::from_state(state, unet.architecture(), level, &run.device)?)
}
