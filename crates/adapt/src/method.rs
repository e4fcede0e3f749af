//! What a method is, and how every one of them is carried out.
use crate::methods::METHODS;
use crate::re_estimate::blend_statistics;
use crate::step_batch::Steps;
use crate::{
    Adaptation, Adapted, Aids, Error, Model, Moves, NormChoice, Options, Output, Recipe, Result,
    Run, Supervision,
};
use udas_network::{EarlyHead, Network, NormKind, Spec};
use udas_nn::AdamConfig;
use udas_record::Phase;
use udas_train::{Fit, FitConfig, fit};

/// What a method needs beside a model and unlabelled target images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// An early head, trained on the source.
    EarlyHead,
    /// Labelled source data.
    SourceData,
    /// The ratio of classes in the source, which a model file carries.
    ClassRatio,
    /// The histogram of the source's intensities, which a model file carries. Whoever reads the target's volumes
    /// applies it: batches come with it applied.
    SourceHistogram,
    /// Other trainings of the source model, which see the same slices.
    OtherTrainings,
    /// A network with batch norm, whose statistics are part of the model.
    BatchNorm,
    /// Labels of target subjects: the method is an oracle.
    TargetLabels,
}

impl Requirement {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::EarlyHead => "an early head trained on the source",
            Self::SourceData => "labelled source data",
            Self::ClassRatio => "the source's class ratio",
            Self::SourceHistogram => "the source's histogram",
            Self::OtherTrainings => "other trainings of the source model",
            Self::BatchNorm => "a network with batch norm",
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

    /// Its options for such a network: without batch norm, a network that learns from its own prediction has its logits held, or
    /// classes vanish.
    fn options_for(&self, network: &Spec) -> Options {
        let options = self.options();
        let holds = network.norm != NormKind::Batch && self.recipe().uses("hold", options.norm);
        Options { hold: if holds { 1.0 } else { options.hold }, ..options }
    }

    /// The encoder stage that its early head sits on, unless told otherwise; none: that of whatever head there is.
    fn level(&self, _network: &Spec) -> Option<usize> {
        None
    }

    /// Refuses a network on which the method would do nothing.
    ///
    /// # Errors
    /// [`Error::NoBatchNorm`] or [`Error::NothingMoves`].
    fn check(&self, network: &dyn Network) -> Result<()> {
        let (method, moves) = (self.name(), self.recipe().moves);
        let needs_norm = self.about().needs.contains(&Requirement::BatchNorm);
        if needs_norm && network.spec().norm != NormKind::Batch {
            return Err(Error::NoBatchNorm { method });
        }
        if moves != Moves::Nothing && !moves.any(network, self.options().level) {
            return Err(Error::NothingMoves { method, moves: moves.words() });
        }
        Ok(())
    }

    /// Adapts a copy of `model`.
    ///
    /// # Errors
    /// When something the method needs is missing, data cannot be read, or the training fails.
    fn adapt(&self, model: &Model, options: &Options, run: Run) -> Result<Adapted> {
        self.check(&*model.network)?;
        adapt_by_recipe(self.name(), self.recipe(), model, options, run)
    }
}

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
    let source = &*model.network;
    options.check(source.spec())?;
    let has_statistics = source.spec().norm == NormKind::Batch;
    let network = source.with_state(&source.parameters().state()?, &run.device)?;
    let given = given(method, recipe, source, model, options, &run)?;
    if options.norm == NormChoice::ReEstimated && has_statistics && run.resume.is_none() {
        blend_statistics(&*network, run.check, options.target_share)?;
    }
    let mut adaptation = Adaptation::new(network, given, recipe, options.clone())?;
    let moved = adaptation.moved();
    if moved.is_empty() {
        return Ok(Adapted { state: adaptation.adapted()?, summary: None, moved });
    }
    let config = FitConfig {
        phase: Phase::Adapt,
        adam: AdamConfig::new(options.learning_rate),
        epochs: options.epochs,
        stop: options.stop,
        keep: options.keep,
        average: None,
    };
    let source = run.source.filter(|_| recipe.supervision.needs_source());
    let surroundings = Fit {
        train: &Steps { target: run.target, source },
        check: Some(&Steps { target: run.check, source: None }),
        config: &config,
        observer: run.observer,
        interrupt: run.interrupt,
        resume: run.resume,
    };
    let summary = fit(&mut adaptation, surroundings)?;
    Ok(Adapted { state: adaptation.adapted()?, summary: Some(summary), moved })
}

/// What the recipe needs beside the network, or what is missing.
fn given(
    method: &'static str,
    recipe: Recipe,
    network: &dyn Network,
    model: &Model,
    options: &Options,
    run: &Run,
) -> Result<Aids> {
    let head = match recipe.output {
        Output::EarlyHead => Some(head_for(method, network, model, options, run)?),
        Output::Final => None,
    };
    if recipe.supervision.needs_source() && run.source.is_none() {
        return Err(Error::Missing { method, what: "labelled source data" });
    }
    let class_ratio = match (recipe.supervision, &run.class_ratio) {
        (Supervision::EntropyWithClassRatio, None) => {
            return Err(Error::Missing { method, what: "the source's class ratio" });
        }
        (_, ratio) => ratio.clone().unwrap_or_default(),
    };
    let learns = recipe.supervision.needs_teachers();
    let teachers = if learns { run.teachers.to_vec() } else { Vec::new() };
    if learns && teachers.is_empty() {
        return Err(Error::Missing { method, what: "other trainings of the source model" });
    }
    let outputs = network.spec().outputs;
    if let Some(other) = teachers.iter().find(|teacher| teacher.spec().outputs != outputs) {
        return Err(Error::TeacherOutputs { found: other.spec().outputs, expected: outputs });
    }
    Ok(Aids { head, class_ratio, teachers, seed: run.seed })
}

fn head_for(
    method: &'static str,
    network: &dyn Network,
    model: &Model,
    options: &Options,
    run: &Run,
) -> Result<EarlyHead> {
    let level = options.level;
    let state = model.head.as_ref().ok_or(Error::NoHead { method, level })?;
    let found = EarlyHead::level_of(state, network.spec())?;
    // Deep stages may have the same channels: the head's file says which of them it is for.
    let channels = |level: usize| network.spec().stages.get(level).map(|stage| stage.channels);
    if channels(found) != channels(level) {
        return Err(Error::HeadLevel { found, asked: level });
    }
    Ok(EarlyHead::from_state(state, network.spec(), level, &run.device)?)
}
