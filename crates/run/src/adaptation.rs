//! An adaptation: everything that its settings name opened and checked, then the method run and its result judged.
use crate::adapt_settings::AdaptSettings;
use crate::beginning::{Beginning, Begun};
use crate::error::Result;
use crate::host::Host;
use crate::judging::{self, Judged, JudgingAids, Settlement};
use crate::method_settings::MethodSettings;
use crate::observer::Watch;
use crate::outcome::{self, EpochLimit, Outcome, PATCH_FILE, REJECTED_PATCH};
use crate::prepare::{self, Head};
use crate::readiness;
use crate::run_folder::{RunFolder, Start};
use crate::settings::needed;
use crate::training::{self, LabelledSet, OrderName, Purpose, Use, model_path};
use std::path::PathBuf;
use udas_adapt::{
    Adaptation, Adapted, Aids, Method, Model, NormChoice, Options, OracleBatches, Patch,
    Requirement, Run, TargetBatch, TargetBatches,
};
use udas_data::{Augment, LastBatch, Subject, Unlabelled};
use udas_model::{ModelFile, Provenance};
use udas_network::Task;
use udas_record::{Phase, StopRecord};
use udas_train::{Batches, LabelledBatch, Objective, Snapshot, SourceBatches};

/// The weights of the last good epoch of a training that failed.
const LAST_GOOD_FILE: &str = "last-good.safetensors";

/// An adaptation with all it needs at hand.
///
/// ```no_run
/// use std::path::PathBuf;
/// use udas_run::{AdaptSettings, Images, Job, Ran, Silent, Start};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let target = Images { images: vec![PathBuf::from("new_scanner")], ..Images::default() };
/// let settings = AdaptSettings::new("runs/source", target, "runs/adapted");
/// let host = Silent::new();
/// match Job::prepare(settings, &host)?.run(Start::Fresh, &host)? {
///     Ran::Now(outcome) => println!("{}: {:?}", outcome.model.display(), outcome.verdict),
///     Ran::Before(stop) => println!("done already, in {} epochs", stop.epochs),
/// }
/// # Ok(())
/// # }
/// ```
pub struct Job {
    settings: AdaptSettings,
    method: &'static dyn Method,
    options: Options,
    epochs: EpochLimit,
    /// The source model's path.
    path: PathBuf,
    /// The model as its file has it: what an adaptation is judged against, and rolled back to.
    source: ModelFile,
    /// The same with the target's normalisation: what is adapted.
    model: ModelFile,
    head: Option<Head>,
    /// Other trainings of the source model, for methods that learn from them.
    teachers: Vec<ModelFile>,
    subjects: Vec<Subject>,
    /// Labelled source subjects, for methods that need them.
    source_subjects: Vec<Subject>,
    target: Unlabelled,
    /// What is odd about the headers of its files, or not ready to teach.
    warnings: Vec<String>,
}

/// What a call of [`Job::run`] has found or done.
#[derive(Debug)]
pub enum Ran {
    /// The adaptation is done now.
    Now(Box<Outcome>),
    /// It was done before, and had ended so.
    Before(StopRecord),
}

impl Job {
    /// Opens and checks everything that the settings name, and fills their gaps.
    ///
    /// # Errors
    /// `Error::Usage` for settings that are missing or exclude each other, `Error::Rejected` for a source model that is
    /// not ready to teach, those of the crates below for files that are not as they should be.
    pub fn prepare(asked: AdaptSettings, host: &dyn Host) -> Result<Self> {
        asked.target.check()?;
        let path = needed(asked.model.as_ref(), "--model")?.clone();
        let source = prepare::source(&asked, &path, host)?;
        let method = prepare::method(&asked, &source, host)?;
        method.check(&*source.network(host.device())?)?;
        let base = asked.options.base(method, &source.info.network)?;
        let source_subjects = prepare::source_subjects(method, &asked, host)?;
        let model = prepare::model(method, &asked, &source)?;
        let head = prepare::head(method, &asked, &model, host)?;
        let teachers = prepare::teachers(method, &asked, &source)?;
        let options = prepare::options(&asked, base, head.as_ref(), &source)?;
        let subjects = asked.target.subjects(host)?;
        let warnings = prepare::warnings(&model, &subjects, host);
        let unready = prepare::readiness(&source, head.as_ref(), asked.unready, host)?;
        let warnings = [warnings, unready].concat();
        let cache = training::cache_bytes(asked.cache_gib)?;
        let target = training::unlabelled(&subjects, &model.info.preprocessing, cache)?;
        // A run's own file has the method's epochs written out: in a file, only others were asked for.
        let is_bound = options.epochs == method.options().epochs;
        let epochs = if is_bound { EpochLimit::Bound } else { EpochLimit::Asked };
        let settings = AdaptSettings {
            method: Some(method.name().into()),
            head: head.as_ref().map(|head| head.path.clone()).or(asked.head),
            options: MethodSettings::of(&options),
            ..asked
        };
        Ok(Self {
            settings,
            method,
            options,
            epochs,
            path,
            source,
            model,
            head,
            teachers,
            subjects,
            source_subjects,
            target,
            warnings,
        })
    }

    /// Takes the number of epochs for one that was asked for, even where it is the method's own: a run that comes to it is
    /// accepted without having converged.
    pub fn with_epochs_asked_for(self) -> Self {
        Self { epochs: EpochLimit::Asked, ..self }
    }

    /// The settings without gaps, as the run's folder keeps them.
    pub fn settings(&self) -> &AdaptSettings {
        &self.settings
    }

    /// The method that is run.
    pub fn method(&self) -> &'static dyn Method {
        self.method
    }

    /// The method's options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Says what will be done.
    pub fn describe(&self, host: &dyn Host) {
        let about = self.method.about();
        host.say(&format!("{}: {}", self.method.name(), about.idea));
        let [height, width] = self.target.size();
        host.say(&format!(
            "target: {} subjects, {} slices of {height}x{width}; batches of {}, seed {}",
            self.subjects.len(),
            self.target.len(),
            self.options.batch_size,
            self.settings.seed
        ));
        host.say(&format!("known failure: {}", about.failure));
        if let Ok(options) = serde_json::to_string(&self.options) {
            host.detail(&format!("options: {options}"));
        }
    }

    /// What the settings name to judge the result with.
    ///
    /// # Errors
    /// Those of a calibration or of peers that do not fit the source model.
    pub fn judging_aids(&self, host: &dyn Host) -> Result<JudgingAids> {
        let judging = &self.settings.judging;
        let named = (judging.calibration.as_deref(), judging.peers.as_slice());
        let teachers = self.teacher_hashes()?;
        JudgingAids::find(named, (&self.path, &self.source), Judged::TaughtBy(&teachers), host)
    }

    /// Runs the method in the settings' folder, judges its result, and writes it there.
    ///
    /// # Errors
    /// `Error::Usage` for a folder that holds another run, `Error::Interrupted` where the host asked for an end (the same
    /// settings with [`Start::Resume`] go on), those of the training.
    pub fn run(&self, start: Start, host: &dyn Host) -> Result<Ran> {
        let aids = self.judging_aids(host)?;
        let (mut folder, resume) = match self.begin(start, host)? {
            Begun::Now { folder, resume } => (folder, resume),
            Begun::Before(stop) => return Ok(Ran::Before(stop)),
        };
        let adapted = self.adapt(&mut folder, resume, host);
        let adapted = adapted.inspect_err(|_| self.keep_last_good(&folder, host))?;
        let outcome = self.finish(&adapted, &aids, &mut folder, host)?;
        Ok(Ran::Now(Box::new(outcome)))
    }

    fn begin(&self, start: Start, host: &dyn Host) -> Result<Begun> {
        let mut files = vec![("model", model_path(&self.path))];
        files.extend(self.settings.head.as_deref().map(|head| ("head", model_path(head))));
        files.extend(self.settings.teachers.iter().map(|path| ("teacher", model_path(path))));
        let files: Vec<_> = files.iter().map(|(role, path)| (*role, path.as_path())).collect();
        let (source, target) = (self.source_name(), self.settings.target.name());
        let purpose = Purpose {
            command: "adapt",
            method: Some(self.method.name()),
            source: Some(&source),
            target: Some(&target),
        };
        let read = [self.seen(), self.source_subjects.clone()];
        let read = read.each_ref().map(|subjects| (Use::Learned, subjects.as_slice()));
        let beginning = Beginning {
            settings: &self.settings,
            out: &self.settings.out,
            start,
            phase: Phase::Adapt,
            purpose,
            seed: self.settings.seed,
            files: &files,
            subjects: &read,
            warnings: &self.warnings,
        };
        beginning.begin(host)
    }

    /// Runs the method alone, from a saved state where there is one. The folder must have begun.
    ///
    /// # Errors
    /// Those of the training.
    pub fn adapt(
        &self,
        folder: &mut RunFolder,
        resume: Option<Snapshot>,
        host: &dyn Host,
    ) -> Result<Adapted> {
        let device = host.device();
        let seed = self.settings.seed;
        let model = Model {
            network: self.model.network(device)?.into(),
            head: self.head.as_ref().map(|head| head.file.state.clone()),
        };
        let class_ratio = self.model.info.class_ratio.clone();
        let (check, target) = (self.check_batches(host)?, self.target_batches(host)?);
        let source = self.source_batches(host)?;
        let mut teachers = Vec::new();
        for teacher in &self.teachers {
            teachers.push(teacher.network(device)?.into());
        }
        let score = if self.head.is_some() { "agreement" } else { "confidence" };
        let unready = self.settings.unready;
        let judge = move |agreement| readiness::of_agreement(agreement).map(|text| (unready, text));
        let mut watch = Watch::new(folder, host, Phase::Adapt, score, self.options.epochs);
        if self.head.is_some() {
            watch = watch.judging(&judge);
        }
        let run = Run {
            target: &*target,
            check: &check,
            source: source.as_ref().map(|source| source as &dyn Batches<LabelledBatch>),
            class_ratio: (!class_ratio.is_empty()).then_some(class_ratio),
            teachers: &teachers,
            device: device.clone(),
            seed,
            observer: &mut watch,
            interrupt: host.interrupt(),
            resume,
        };
        Ok(self.method.adapt(&model, &self.options, run)?)
    }

    fn check_batches(&self, host: &dyn Host) -> Result<TargetBatches> {
        let mut plan = OrderName::Sequential.plan(self.settings.seed, self.options.batch_size);
        if self.options.norm == NormChoice::ReEstimated {
            // Statistics are of all slices, whatever the batch size.
            plan.last = LastBatch::Keep;
        }
        let batches = training::unlabelled_batches(&self.target, plan)?;
        Ok(TargetBatches::new(batches, host.device().clone()))
    }

    fn target_batches(&self, host: &dyn Host) -> Result<Box<dyn Batches<TargetBatch>>> {
        if self.needs(Requirement::TargetLabels) {
            return Ok(Box::new(OracleBatches(self.labelled_batches(self.seen(), host)?)));
        }
        let plan = self.settings.order.plan(self.settings.seed, self.options.batch_size);
        let batches = training::unlabelled_batches(&self.target, plan)?;
        Ok(Box::new(TargetBatches::new(batches, host.device().clone())))
    }

    fn source_batches(&self, host: &dyn Host) -> Result<Option<SourceBatches>> {
        let needed = self.needs(Requirement::SourceData);
        needed.then(|| self.labelled_batches(self.source_subjects.clone(), host)).transpose()
    }

    fn labelled_batches(&self, subjects: Vec<Subject>, host: &dyn Host) -> Result<SourceBatches> {
        let task = Task::of(self.model.info.network.outputs);
        let cache = training::cache_bytes(self.settings.cache_gib)?;
        let set = LabelledSet::open(subjects, &self.model.info.preprocessing, task, cache)?;
        let plan = self.settings.order.plan(self.settings.seed, self.options.batch_size);
        set.batches(plan, Augment::OFF, host)
    }

    /// A training that failed leaves the weights of its last good epoch behind.
    fn keep_last_good(&self, folder: &RunFolder, host: &dyn Host) {
        let Some(state) = folder.last_state() else { return };
        let path = folder.path().join(LAST_GOOD_FILE);
        let saved = self
            .result_of(&state, host)
            .and_then(|network| self.model_file(network, state.history.epochs.len()))
            .and_then(|model| Ok(model.save(&path)?));
        match saved {
            Ok(()) => host.say(&format!("the last good epoch is kept in {}", path.display())),
            Err(error) => host
                .warn(&format!("the last good epoch could not be kept: {}", error.with_causes())),
        }
    }

    /// The network that a saved state stands for: with its adapters added in, or its averaged teacher.
    fn result_of(&self, state: &Snapshot, host: &dyn Host) -> Result<udas_nn::StateDict> {
        let network = self.model.network(host.device())?;
        let (recipe, options) = (self.method.recipe(), self.options.clone());
        let mut adaptation = Adaptation::new(network, Aids::default(), recipe, options)?;
        adaptation.restore(&state.objective)?;
        Ok(adaptation.adapted()?)
    }

    /// Judges what has come of the method, and writes it.
    fn finish(
        &self,
        adapted: &Adapted,
        aids: &JudgingAids,
        folder: &mut RunFolder,
        host: &dyn Host,
    ) -> Result<Outcome> {
        outcome::report_stop(adapted, folder, host)?;
        outcome::say_moved(self.method, self.options.norm, adapted, host);
        let epochs = adapted.summary.as_ref().map_or(0, |summary| summary.epochs.len());
        let model = self.model_file(adapted.state.clone(), epochs)?;
        let case = aids.case(&self.source, &model);
        let on_harm = self.settings.judging.on_harm;
        let steps = adapted.summary.iter().flat_map(|summary| &summary.epochs);
        let slices = self.options.batch_size * steps.map(|epoch| epoch.steps).sum::<usize>();
        let judged = (self.subjects.as_slice(), slices);
        let (settlement, judgement) = judging::settle(on_harm, &case, judged, folder, host)?;
        let is_kept = settlement == Settlement::Kept;
        let patch = folder.path().join(if is_kept { PATCH_FILE } else { REJECTED_PATCH });
        let mut outcome = Outcome::of(self.method, adapted, [folder.model(), patch]);
        outcome.verdict = Some(judgement.verdict());
        outcome.rejected_model = (!is_kept).then(|| folder.path().join(judging::REJECTED_FILE));
        let mut patch = Patch::between(&self.model.state, &model.state)?;
        patch.notes = Some(serde_json::to_string(&model.info)?);
        patch.save(&outcome.patch)?;
        let mut stop = outcome::stop_record(adapted);
        stop.rejected = if !is_kept && adapted.collapse().is_none() {
            Some(judging::rolled_back(folder))
        } else {
            outcome::unaccepted(self.options.stop, adapted, self.epochs, host)
        };
        outcome.rejected = stop.rejected.clone();
        folder.finish(stop)?;
        Ok(outcome)
    }

    /// The adapted network as a model file.
    ///
    /// # Errors
    /// Those of hashing the models that it was made of.
    pub fn model_file(&self, state: udas_nn::StateDict, epochs: usize) -> Result<ModelFile> {
        let mut info = self.model.info.clone();
        let mut domains = info.provenance.domains.clone();
        domains.push(self.settings.target.name());
        info.provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            command: "adapt".into(),
            domains,
            subjects: self.subjects.len(),
            seed: self.settings.seed,
            epochs,
            method: Some(self.method.name().into()),
            base: Some(self.model.hash()?),
            teachers: self.teacher_hashes()?,
        };
        Ok(ModelFile { state, info })
    }

    /// The subjects as the method sees them: with labels for oracles alone.
    fn seen(&self) -> Vec<Subject> {
        if self.needs(Requirement::TargetLabels) {
            return self.subjects.clone();
        }
        self.subjects.iter().map(Subject::without_labels).collect()
    }

    fn needs(&self, what: Requirement) -> bool {
        self.method.about().needs.contains(&what)
    }

    /// Hashes of the models that teach.
    fn teacher_hashes(&self) -> Result<Vec<String>> {
        Ok(self.teachers.iter().map(ModelFile::hash).collect::<Result<_, _>>()?)
    }

    /// The domains that the model was trained on.
    fn source_name(&self) -> String {
        match self.model.info.provenance.domains.as_slice() {
            [] => "source".into(),
            domains => domains.join("+"),
        }
    }
}
