//! What the settings of an adaptation name, opened and checked; what they leave open, chosen.
use crate::adapt_settings::AdaptSettings;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::readiness::{self, Unready};
use crate::settings::needed;
use crate::{head_search, intensity, other_trainings, selection, spacing};
use std::path::{Path, PathBuf};
use udas_adapt::{Method, Options, Requirement};
use udas_data::Subject;
use udas_model::{HeadFile, ModelFile};
use udas_network::NormKind;

/// What is run where nothing is asked for: of what needs images alone, the method that gained on every data set measured
/// (docs/results/mnms.md has the rule).
const DEFAULT_METHOD: &str = "adabn";
/// Where a network has no batch norm, and the model's file keeps its source's histogram.
const DEFAULT_WITHOUT_BATCH_NORM: &str = "match-source";
/// Where neither is there, or intensities are chosen otherwise.
const DEFAULT_WITHOUT_HISTOGRAM: &str = "augmented-consistency";
/// Where other trainings are named.
const DEFAULT_WITH_TEACHERS: &str = "ensemble-distillation";

/// An early head and where it was found.
pub struct Head {
    pub path: PathBuf,
    pub file: HeadFile,
}

/// The source model, with its preprocessing as the settings say where its file does not.
pub fn source(asked: &AdaptSettings, path: &Path, host: &dyn Host) -> Result<ModelFile> {
    let suggestion = selection::in_plane(asked.target.preprocessing()?, asked.plane);
    let intensity = asked.intensity.as_ref().map(|_| "--intensity");
    selection::load_model(path, suggestion, &[asked.plane.map(|_| "--plane"), intensity], host)
}

/// The method that is named, or the one that suits what is given.
pub fn method(
    asked: &AdaptSettings,
    source: &ModelFile,
    host: &dyn Host,
) -> Result<&'static dyn Method> {
    let name = match &asked.method {
        Some(name) => name,
        None => default_method(asked, source, host)?,
    };
    udas_adapt::find(name).ok_or_else(|| {
        let names: Vec<_> = udas_adapt::METHODS.iter().map(|method| method.name()).collect();
        Error::usage(format!("there is no method {name:?}; there are {}", names.join(", ")))
    })
}

fn default_method(
    asked: &AdaptSettings,
    source: &ModelFile,
    host: &dyn Host,
) -> Result<&'static str> {
    if let Some(preset) = asked.options.preset {
        return Ok(preset.method());
    }
    if !asked.teachers.is_empty() {
        return Ok(DEFAULT_WITH_TEACHERS);
    }
    if source.info.network.norm == NormKind::Batch {
        return Ok(DEFAULT_METHOD);
    }
    let matches = source.info.source_histogram.is_some() && asked.intensity.is_none();
    let name = if matches { DEFAULT_WITHOUT_BATCH_NORM } else { DEFAULT_WITHOUT_HISTOGRAM };
    host.say(&format!(
        "{}: has no batch norm, so that {DEFAULT_METHOD} is not to be had: {name} is run",
        needed(asked.model.as_ref(), "--model")?.display()
    ));
    Ok(name)
}

/// The labelled source subjects of a method that needs some.
pub fn source_subjects(
    method: &dyn Method,
    asked: &AdaptSettings,
    host: &dyn Host,
) -> Result<Vec<Subject>> {
    if !method.about().needs.contains(&Requirement::SourceData) {
        return Ok(Vec::new());
    }
    let Some(root) = &asked.source_data else {
        let what = "labelled source data: give --source-data DIR --source-domain NAME";
        return Err(missing(method, what));
    };
    let subjects = selection::domains(root, &asked.source_domain, host)?;
    selection::choose(subjects, asked.source_subjects.as_deref(), host)
}

/// The source model as it is adapted: it sees the target's volumes with the intensities that are asked for, or that the
/// method sets.
pub fn model(method: &dyn Method, asked: &AdaptSettings, source: &ModelFile) -> Result<ModelFile> {
    let needs = method.about().needs;
    if needs.contains(&Requirement::TargetLabels) && asked.target.set.data.is_none() {
        let what =
            "labels of the target, which --images has none of: give --data DIR --domain NAME";
        return Err(missing(method, what));
    }
    if needs.contains(&Requirement::ClassRatio) && source.info.class_ratio.is_empty() {
        let what = "the source's class ratio, which the model's file does not say: give a model of `udas train`";
        return Err(missing(method, what));
    }
    let matched = needs.contains(&Requirement::SourceHistogram);
    if matched && asked.intensity.is_some() {
        let text =
            format!("--method {} sets the intensities: leave out --intensity", method.name());
        return Err(Error::usage(text));
    }
    let chosen = if matched { Some("match-source") } else { asked.intensity.as_deref() };
    let mut model = source.clone();
    intensity::replace(&mut model, chosen, needed(asked.model.as_ref(), "--model")?)?;
    Ok(model)
}

/// The early head of a method that needs one.
pub fn head(
    method: &dyn Method,
    asked: &AdaptSettings,
    model: &ModelFile,
    host: &dyn Host,
) -> Result<Option<Head>> {
    if !method.about().needs.contains(&Requirement::EarlyHead) {
        return Ok(None);
    }
    let level = asked.options.level.or_else(|| method.level(&model.info.network));
    let beside = needed(asked.model.as_ref(), "--model")?;
    let found = head_search::find(asked.head.as_deref(), beside, level, model)?;
    let none = udas_adapt::Error::NoHead { method: method.name(), level: level.unwrap_or(0) };
    let (path, file) = found.ok_or(none)?;
    host.say(&format!("early head: {}", path.display()));
    if !file.info.base.is_empty() && file.info.base != model.hash()? {
        host.warn(&format!("{}: was trained on another network", path.display()));
    }
    Ok(Some(Head { path, file }))
}

/// The other trainings that a method learns from: a batch is shown to all of them as the model sees it.
pub fn teachers(
    method: &dyn Method,
    asked: &AdaptSettings,
    source: &ModelFile,
) -> Result<Vec<ModelFile>> {
    if !method.about().needs.contains(&Requirement::OtherTrainings) {
        if asked.teachers.is_empty() {
            return Ok(Vec::new());
        }
        let text = format!("--method {} learns from no --teachers: leave them out", method.name());
        return Err(Error::usage(text));
    }
    if asked.teachers.is_empty() {
        let what = "other trainings of the source model (other seeds): give --teachers MODEL ...";
        return Err(missing(method, what));
    }
    other_trainings::with_the_same_preprocessing("--teachers", &asked.teachers, source)
}

/// The method's options: what is asked for over `base`, at the head's level where none is asked for.
pub fn options(
    asked: &AdaptSettings,
    base: Options,
    head: Option<&Head>,
    source: &ModelFile,
) -> Result<Options> {
    let level = asked.options.level.or(head.map(|head| head.file.info.level));
    let mut options = asked.options.resolve(base);
    options.level = level.unwrap_or(options.level);
    options.check(&source.info.network)?;
    if options.epochs == 0 {
        return Err(Error::usage("--epochs 0: give at least 1"));
    }
    Ok(options)
}

/// What is odd about the headers of the target's files; it is said.
pub fn warnings(model: &ModelFile, subjects: &[Subject], host: &dyn Host) -> Vec<String> {
    let mut warnings = selection::warn_of_headers(subjects, host);
    warnings.extend(selection::warn_of_orientations(&model.info, subjects, host));
    warnings.extend(spacing::warn(&model.info, subjects, host));
    warnings.extend(selection::warn_of_masks(subjects, host));
    warnings
}

/// What is to be said before an adaptation, which is said; an error where it should not begin.
pub fn readiness(
    source: &ModelFile,
    head: Option<&Head>,
    unready: Unready,
    host: &dyn Host,
) -> Result<Vec<String>> {
    let reason = head.and_then(|head| readiness::refusal(source, &head.file));
    if let Some(text) = reason.filter(|_| unready == Unready::Refuse) {
        return Err(Error::rejected(text));
    }
    let measured = head.and_then(|head| head.file.info.convergence);
    let of_head = measured.as_ref().and_then(readiness::of_head);
    let said: Vec<_> = readiness::of_source(source).into_iter().chain(of_head).collect();
    said.iter().for_each(|text| host.warn(text));
    Ok(said)
}

fn missing(method: &dyn Method, what: &'static str) -> Error {
    udas_adapt::Error::Missing { method: method.name(), what }.into()
}
