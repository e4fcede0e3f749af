//! An adaptation of a model folder of nnU-Net v2 as its command has it: everything that flags name opened and checked.
use super::source::Fold;
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use udas_adapt::{Method, Options, Requirement};
use udas_data::Subject;
use udas_model::HeadFile;
use udas_network::NormKind;
use udas_nnunet::{Configuration, Patches};
use udas_record::Phase;
use udas_run::readiness::{self, Unready};
use udas_run::training::{self, OrderName, Purpose, Use, model_path};
use udas_run::{AdaptSettings, Beginning, Begun, MethodSettings, Start, selection};

/// Volumes a step, as nnU-Net plans them at least.
const VOLUMES: usize = 2;
/// At most so many slices a step, and at most so many pixels of them: plans are made for graphics cards.
const MOST_SLICES: usize = 20;
const MOST_PIXELS: usize = 1 << 20;

/// An adaptation with all it needs at hand.
pub struct Job {
    pub method: &'static dyn Method,
    pub options: Options,
    pub source: Fold,
    pub head: Option<HeadFile>,
    pub teachers: Vec<(PathBuf, Fold)>,
    /// A subject an image file, without labels.
    pub subjects: Vec<Subject>,
    pub patches: Arc<Patches>,
    /// Labelled source cases, for methods that need them.
    pub source_subjects: Vec<Subject>,
    pub source_patches: Option<Arc<Patches>>,
    pub steps: usize,
    pub seed: u64,
    pub unready: Unready,
    pub warnings: Vec<String>,
}

/// Refuses flags that say what plans say, or what is not there yet.
pub fn refuse_others_flags(args: &AdaptSettings) -> Result<()> {
    let of_plans = "the plans of an nnU-Net folder say how images are seen; leave it out";
    let given = [
        (args.plane.is_some(), "--plane", of_plans),
        (args.intensity.is_some(), "--intensity", of_plans),
        (args.order != OrderName::Shuffled, "--order", "patches are drawn; leave it out"),
    ];
    match given.into_iter().find(|(given, ..)| *given) {
        Some((_, flag, why)) => Err(failure::usage(&format!("{flag}: {why}")).into()),
        None => Ok(()),
    }
}

/// The method that is named, or the one that suits the folder.
fn method(
    args: &mut AdaptSettings,
    source: &Fold,
    console: &Console,
) -> Result<&'static dyn Method> {
    let network = source.network()?;
    let name = match (&args.method, args.options.preset) {
        (Some(name), _) => name.clone(),
        (None, Some(preset)) => preset.method().to_owned(),
        (None, None) => {
            let (name, why) = if !args.teachers.is_empty() || !source.others().is_empty() {
                ("ensemble-distillation", "there are other folds to learn from")
            } else if network.spec().norm == NormKind::Batch {
                ("adabn", "the network has batch norm")
            } else {
                ("augmented-consistency", "there are no other folds and no batch norm")
            };
            console.say(format!("{name} is run: {why}"));
            name.to_owned()
        }
    };
    let method = udas_adapt::find(&name).ok_or_else(|| {
        let names: Vec<_> = udas_adapt::METHODS.iter().map(|method| method.name()).collect();
        failure::usage(&format!("there is no method {name:?}; there are {}", names.join(", ")))
    })?;
    args.method = Some(name);
    method.check(&*network)?;
    let by_classes = [Requirement::EarlyHead, Requirement::SourceData];
    if by_classes.iter().any(|need| method.about().needs.contains(need)) {
        source.refuse_regions("early heads and source labels are", "choose another method")?;
    }
    refuse_what_no_folder_has(method)?;
    Ok(method)
}

fn refuse_what_no_folder_has(method: &dyn Method) -> Result<()> {
    let what = |need: &Requirement| match need {
        Requirement::SourceHistogram => Some(
            "the source's histogram, which an nnU-Net folder does not hold: choose another method",
        ),
        Requirement::ClassRatio => Some(
            "the source's class ratio, which an nnU-Net folder does not hold: choose another method",
        ),
        Requirement::TargetLabels => Some(
            "labels of the target, which nnU-Net folders are not adapted by: choose another method",
        ),
        _ => None,
    };
    match method.about().needs.iter().find_map(what) {
        Some(what) => Err(udas_adapt::Error::Missing { method: method.name(), what }.into()),
        None => Ok(()),
    }
}

/// Patches a step where nobody says how many.
fn batch_size(configuration: &Configuration) -> usize {
    if configuration.patch.len() == 3 {
        return VOLUMES;
    }
    let pixels: usize = configuration.patch.iter().product();
    let most = (MOST_PIXELS / pixels.max(1)).clamp(2, MOST_SLICES);
    configuration.batch_size.unwrap_or(most).clamp(1, most)
}

impl Job {
    /// Opens everything, and writes into `args` what was found out, so that the settings are complete.
    pub fn prepare(args: &mut AdaptSettings, console: &Console) -> Result<Self> {
        args.target.check()?;
        super::warn_of_device(console);
        let model = udas_run::settings::needed(args.model.as_ref(), "--model")?;
        let source = Fold::open(model)?;
        super::warn_of_checkpoint(&source.folder, console);
        if source.folder.folds().len() > 1 {
            let text = "is adapted; name another fold's folder to adapt that one";
            console.say(format!("fold_{} {text}", source.name));
        }
        let method = method(args, &source, console)?;
        let head = head(method, args, &source, console)?;
        let teachers = teachers(method, args, &source)?;
        let options = options(method, args, &source)?;
        let steps = super::batches::steps(args.steps)?;
        args.steps = Some(steps);
        let Target { subjects, patches, mut warnings } = target(args, &source, console)?;
        let measured = head.as_ref().and_then(|head| head.info.convergence);
        let unready = measured.as_ref().and_then(readiness::of_head);
        unready.iter().for_each(|text| console.warn(text));
        warnings.extend(unready);
        let (source_subjects, source_patches) = labelled(method, args, &source, console)?;
        let (seed, unready) = (args.seed, args.unready);
        Ok(Self {
            method,
            options,
            source,
            head,
            teachers,
            subjects,
            patches,
            source_subjects,
            source_patches,
            steps,
            seed,
            unready,
            warnings,
        })
    }

    pub fn describe(&self, console: &Console) {
        let about = self.method.about();
        console.say(format!("{}: {}", self.method.name(), about.idea));
        let sizes: Vec<_> =
            self.source.model.configuration.patch.iter().map(ToString::to_string).collect();
        console.say(format!(
            "target: {} cases; patches of {} voxels, batches of {}, {} steps an epoch, seed {}",
            self.patches.cases().len(),
            sizes.join(" x "),
            self.options.batch_size,
            self.steps,
            self.seed
        ));
        for (path, _) in &self.teachers {
            console.say(format!("teacher: {}", path.display()));
        }
        console.say(format!("known failure: {}", about.failure));
        if let Ok(options) = serde_json::to_string(&self.options) {
            console.detail(format!("options: {options}"));
        }
    }

    /// Opens the run's folder, and records what is read.
    pub fn begin(&self, args: &AdaptSettings, start: Start, console: &Console) -> Result<Begun> {
        let mut files = vec![("model", self.source.checkpoint())];
        files.extend(args.head.as_deref().map(|head| ("head", model_path(head))));
        files.extend(self.teachers.iter().map(|(_, fold)| ("teacher", fold.checkpoint())));
        let files: Vec<_> = files.iter().map(|(role, path)| (*role, path.as_path())).collect();
        let (source, target) = (self.source_name(), args.target.name());
        let what = Purpose {
            command: "adapt",
            method: Some(self.method.name()),
            source: Some(&source),
            target: Some(&target),
        };
        let read = [self.subjects.as_slice(), self.source_subjects.as_slice()];
        let beginning = Beginning {
            settings: args,
            out: &args.out,
            start,
            phase: Phase::Adapt,
            purpose: what,
            seed: self.seed,
            files: &files,
            subjects: &read.map(|subjects| (Use::Learned, subjects)),
            warnings: &self.warnings,
        };
        Ok(beginning.begin(console)?)
    }

    /// What the source is called in records: its configuration and fold.
    pub fn source_name(&self) -> String {
        format!("{} fold_{}", self.source.model.configuration.name, self.source.name)
    }
}

/// What the method runs with; written into `args` whole.
fn options(method: &dyn Method, args: &mut AdaptSettings, source: &Fold) -> Result<Options> {
    let network = source.network()?;
    let own = args.options.base(method, network.spec())?;
    let slices = source.model.configuration.patch.len() == 2;
    let batch_size = match args.options.preset {
        // The published batch is one of slices.
        Some(_) if slices => own.batch_size,
        _ => batch_size(&source.model.configuration),
    };
    let options = args.options.resolve(Options { batch_size, ..own });
    options.check(network.spec())?;
    if options.epochs == 0 {
        return Err(failure::usage("--epochs 0: give at least 1").into());
    }
    args.options = MethodSettings::of(&options);
    Ok(options)
}

/// The new scanner's images.
struct Target {
    pub subjects: Vec<Subject>,
    pub patches: Arc<Patches>,
    pub warnings: Vec<String>,
}

fn target(args: &AdaptSettings, source: &Fold, console: &Console) -> Result<Target> {
    let found = args.target.subjects(console)?;
    let found = found.iter().map(Subject::without_labels).collect();
    let subjects = super::channels(found, &source.folder, args.target.set.data.is_some());
    let warnings = selection::warn_of_headers(&subjects, console);
    let cases = super::cases(&subjects, &source.folder, console)?;
    let cache = training::cache_bytes(args.cache_gib)?;
    let patches = Arc::new(Patches::new(cases, &source.model, cache)?);
    Ok(Target { subjects, patches, warnings })
}

/// The early head of a method that looks at one; it must be named.
fn head(
    method: &dyn Method,
    args: &mut AdaptSettings,
    source: &Fold,
    console: &Console,
) -> Result<Option<HeadFile>> {
    if !method.about().needs.contains(&Requirement::EarlyHead) {
        return Ok(None);
    }
    let network = source.network()?;
    let level = args.options.level.or_else(|| method.level(network.spec()));
    let Some(path) = &args.head else {
        let level = level.unwrap_or(0);
        return Err(udas_adapt::Error::NoHead { method: method.name(), level }.into());
    };
    let head = HeadFile::load(path, network.spec())?;
    if !head.info.base.is_empty() && head.info.base != source.hash {
        console.warn(format!("{}: was trained on another network", path.display()));
    }
    if let Some(text) =
        readiness::refusal_by_head(&head).filter(|_| args.unready == Unready::Refuse)
    {
        return Err(failure::rejected(text).into());
    }
    let found = head.info.level;
    if let Some(asked) = level.filter(|level| *level != found) {
        return Err(udas_adapt::Error::HeadLevel { found, asked }.into());
    }
    args.options.level.get_or_insert(found);
    Ok(Some(head))
}

/// The other trainings that a method learns from: those that are named, else the folder's other folds.
fn teachers(
    method: &dyn Method,
    args: &mut AdaptSettings,
    source: &Fold,
) -> Result<Vec<(PathBuf, Fold)>> {
    if !method.about().needs.contains(&Requirement::OtherTrainings) {
        if args.teachers.is_empty() {
            return Ok(Vec::new());
        }
        let text = format!("--method {} learns from no --teachers: leave them out", method.name());
        return Err(failure::usage(&text).into());
    }
    if args.teachers.is_empty() {
        args.teachers = source.others();
    }
    if args.teachers.is_empty() {
        let what = "other trainings, and the folder has no other folds: give --teachers FOLDER ...";
        return Err(udas_adapt::Error::Missing { method: method.name(), what }.into());
    }
    source.other_trainings("--teachers", &args.teachers)
}

/// The labelled source cases of a method that needs some.
fn labelled(
    method: &dyn Method,
    args: &AdaptSettings,
    source: &Fold,
    console: &Console,
) -> Result<(Vec<Subject>, Option<Arc<Patches>>)> {
    if !method.about().needs.contains(&Requirement::SourceData) {
        return Ok((Vec::new(), None));
    }
    let Some(root) = &args.source_data else {
        let what = "labelled source data: give --source-data DIR --source-domain NAME";
        return Err(udas_adapt::Error::Missing { method: method.name(), what }.into());
    };
    let subjects = selection::domains(root, &args.source_domain, console)?;
    let subjects = selection::choose(subjects, args.source_subjects.as_deref(), console)?;
    let subjects = super::channels(super::with_labels(subjects)?, &source.folder, true);
    let cases = super::cases(&subjects, &source.folder, console)?;
    let cache = training::cache_bytes(args.cache_gib)?;
    Ok((subjects, Some(Arc::new(Patches::new(cases, &source.model, cache)?))))
}
