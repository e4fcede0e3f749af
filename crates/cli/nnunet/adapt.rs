//! `udas adapt` with a model folder of nnU-Net v2: patches of the new scanner's cases, and a folder that it reads.
use super::batches::{LabelledPatches, PatchBatches};
use super::judge::{self, REJECTED_FOLDER};
use super::source::Fold;
use crate::adaptation::AdaptArgs;
use crate::commands::adapt::{
    Finished, PATCH_FILE, REJECTED_PATCH, refuse_idle, stop_record, unaccepted,
};
use crate::commands::head::model_path;
use crate::console::Console;
use crate::judging::{self, Settlement};
use crate::method_flags::MethodFlags;
use crate::observer::Watch;
use crate::readiness::{self, Unready};
use crate::run_folder::{RESULT_FOLDER, RunFolder, Start};
use crate::training::{self, OrderName, Purpose, Use};
use crate::{failure, interrupt, selection, settings};
use anyhow::Result;
use candle_core::Device;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use udas_adapt::{
    Adaptation, Adapted, Aids, Method, Model, NormChoice, Options, Patch, Requirement, Run,
};
use udas_data::Subject;
use udas_model::{HeadFile, Provenance};
use udas_network::{Network, NormKind, Task};
use udas_nnunet::{Configuration, Patches};
use udas_record::Phase;
use udas_train::{Batches, LabelledBatch, Snapshot};
use udas_verdict::Judgement;

/// Steps an epoch: patches are drawn, so that an epoch has no length of its own.
const STEPS: usize = 25;
/// Patches on which scores are measured.
pub const CHECKED: usize = 8;
/// Cases of volumes by which an adaptation is judged at its end; `udas judge` takes all.
const MOST_JUDGED: usize = 16;
/// Volumes a step, as nnU-Net plans them at least.
const VOLUMES: usize = 2;
/// At most so many slices a step, and at most so many pixels of them: plans are made for graphics cards.
const MOST_SLICES: usize = 20;
const MOST_PIXELS: usize = 1 << 20;

/// Flags that only models of nnU-Net know.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PatchFlags {
    /// nnU-Net: steps an epoch, each on a batch of patches [default: 25]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
}

impl PatchFlags {
    /// Refuses them for other models.
    pub fn refuse(&self) -> Result<()> {
        match self.steps {
            Some(_) => {
                let text = "--steps: is for nnU-Net folders alone, of which patches are drawn; leave it out";
                Err(failure::usage(text).into())
            }
            None => Ok(()),
        }
    }

    /// Steps an epoch.
    pub fn steps(&self) -> Result<usize> {
        match self.steps.unwrap_or(STEPS) {
            0 => Err(failure::usage("--steps 0: give at least 1").into()),
            steps => Ok(steps),
        }
    }
}

/// An adaptation with all it needs at hand.
struct Job {
    method: &'static dyn Method,
    options: Options,
    source: Fold,
    head: Option<HeadFile>,
    teachers: Vec<(PathBuf, Fold)>,
    /// A subject an image file, without labels.
    subjects: Vec<Subject>,
    patches: Arc<Patches>,
    /// Labelled source cases, for methods that need them.
    source_subjects: Vec<Subject>,
    source_patches: Option<Arc<Patches>>,
    steps: usize,
    seed: u64,
    unready: Unready,
    warnings: Vec<String>,
}

pub fn run(mut args: AdaptArgs, start: Start, flags: &ArgMatches, console: &Console) -> Result<()> {
    refuse_others_flags(&args)?;
    let job = Job::prepare(&mut args, console)?;
    refuse_idle(flags, (job.method, job.options.norm), console)?;
    let by_flag = flags.value_source("epochs") == Some(ValueSource::CommandLine);
    let asked_epochs = by_flag || job.options.epochs != job.method.options().epochs;
    job.describe(console);
    if flags.get_flag("dry_run") {
        return settings::show(&args, console);
    }
    let mut folder = RunFolder::open(&args.out, start, console)?;
    let record = job.start_record(&args, console)?;
    let text = settings::to_text(&args)?;
    if let Some(stop) = folder.finished(&text, &record)? {
        console.say(format!("{} is done already", args.out.display()));
        return stop.rejected.map_or(Ok(()), |text| Err(failure::rejected(text).into()));
    }
    let resume = folder.begin(&text, record, Phase::Adapt)?;
    folder.record_warnings(&job.warnings)?;
    match job.adapt(&mut folder, resume, console) {
        Ok(adapted) => job.finish(&args, adapted, asked_epochs, &mut folder, console),
        Err(error) => {
            job.keep_last_good(&folder, console);
            Err(error)
        }
    }
}

/// Refuses flags that say what plans say, or what is not there yet.
fn refuse_others_flags(args: &AdaptArgs) -> Result<()> {
    let of_plans = "the plans of an nnU-Net folder say how images are seen; leave it out";
    let given = [
        (args.plane.is_some(), "--plane", of_plans),
        (args.intensity.is_some(), "--intensity", of_plans),
        (args.order != OrderName::Shuffled, "--order", "patches are drawn; leave it out"),
        (
            args.judging.calibration.is_some(),
            "--calibration",
            "adaptations of nnU-Net folders are judged without one; leave it out",
        ),
    ];
    match given.into_iter().find(|(given, ..)| *given) {
        Some((_, flag, why)) => Err(failure::usage(&format!("{flag}: {why}")).into()),
        None => Ok(()),
    }
}

/// The method that is named, or the one that suits the folder.
fn method(args: &mut AdaptArgs, source: &Fold, console: &Console) -> Result<&'static dyn Method> {
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
    fn prepare(args: &mut AdaptArgs, console: &Console) -> Result<Self> {
        args.target.check()?;
        let source = Fold::open(args.model()?)?;
        source.refuse_regions()?;
        if source.folder.folds().len() > 1 {
            let text = "is adapted; name another fold's folder to adapt that one";
            console.say(format!("fold_{} {text}", source.name));
        }
        let method = method(args, &source, console)?;
        let head = head(method, args, &source, console)?;
        let teachers = teachers(method, args, &source)?;
        let options = options(method, args, &source)?;
        let steps = args.nnunet.steps()?;
        args.nnunet.steps = Some(steps);
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

    fn describe(&self, console: &Console) {
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

    fn start_record(
        &self,
        args: &AdaptArgs,
        console: &Console,
    ) -> Result<udas_record::StartRecord> {
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
        let read = read.map(|subjects| (Use::Learned, subjects));
        training::start_record(what, self.seed, &files, &read, console)
    }

    /// What the source is called in records: its configuration and fold.
    fn source_name(&self) -> String {
        format!("{} fold_{}", self.source.model.configuration.name, self.source.name)
    }

    fn batches(&self, patches: &Arc<Patches>, steps: usize) -> PatchBatches {
        let (seed, batch_size) = (self.seed, self.options.batch_size);
        PatchBatches { patches: patches.clone(), seed, steps, batch_size }
    }

    /// Steps on which scores are measured; statistics are of as many as an epoch has.
    fn checked_steps(&self) -> usize {
        match self.options.norm {
            NormChoice::ReEstimated => self.steps,
            _ => CHECKED.div_ceil(self.options.batch_size),
        }
    }

    /// Runs the method.
    fn adapt(
        &self,
        folder: &mut RunFolder,
        resume: Option<Snapshot>,
        console: &Console,
    ) -> Result<Adapted> {
        let target = self.batches(&self.patches, self.steps);
        let check = self.batches(&self.patches, self.checked_steps());
        let network = self.source.network()?;
        let task = Task::of(network.spec().outputs);
        let source = self
            .source_patches
            .as_ref()
            .map(|patches| LabelledPatches { batches: self.batches(patches, self.steps), task });
        let head = self.head.as_ref().map(|head| head.state.clone());
        let model = Model { network: network.into(), head };
        let teachers = self.teachers.iter().map(|(_, fold)| Ok(fold.network()?.into()));
        let teachers: Vec<Arc<dyn Network>> = teachers.collect::<Result<_>>()?;
        let score = if self.head.is_some() { "agreement" } else { "confidence" };
        let unready = self.unready;
        let judge = move |agreement| readiness::of_agreement(agreement).map(|text| (unready, text));
        let mut watch = Watch::new(folder, console, Phase::Adapt, score, self.options.epochs);
        if self.head.is_some() {
            watch = watch.judging(&judge);
        }
        let run = Run {
            target: &target,
            check: &check,
            source: source.as_ref().map(|source| source as &dyn Batches<LabelledBatch>),
            class_ratio: None,
            teachers: &teachers,
            device: Device::Cpu,
            seed: self.seed,
            observer: &mut watch,
            interrupt: interrupt::flag(),
            resume,
        };
        Ok(self.method.adapt(&model, &self.options, run)?)
    }

    /// Writes what has come of the method.
    fn finish(
        &self,
        args: &AdaptArgs,
        adapted: Adapted,
        asked_epochs: bool,
        folder: &mut RunFolder,
        console: &Console,
    ) -> Result<()> {
        refuse_interrupted(&adapted, folder, console)?;
        let result = folder.path().join(RESULT_FOLDER);
        let (judgement, fate) = self.settle(args, &adapted, folder, console)?;
        let is_kept = fate == Settlement::Kept;
        let patch = folder.path().join(if is_kept { PATCH_FILE } else { REJECTED_PATCH });
        let mut finished = Finished::of(self.method, &adapted, [result.clone(), patch.clone()]);
        finished.say_moved((self.method, self.options.norm), console);
        finished.verdict = judgement.map(|judgement| judgement.verdict());
        self.write_patch(args, &adapted, &patch)?;
        finished.rejected_model = self.write_result(&adapted, fate, folder)?;
        let mut stop = stop_record(&adapted);
        stop.rejected = match &finished.rejected_model {
            Some(rejected) => Some(format!(
                "the adaptation was rolled back: the run's folder is the source model; the adapted one is {}",
                rejected.display()
            )),
            None => unaccepted(self.options.stop, &adapted, &stop, asked_epochs, console),
        };
        let rejected = stop.rejected.clone();
        folder.finish(stop)?;
        console.result(result.display().to_string(), &finished)?;
        if let Some(text) = rejected {
            return Err(failure::rejected(text).into());
        }
        let (run, fold) = (result.display(), &self.source.name);
        console.next(format!("udas predict --model {run} --images FILES --out DIR"));
        let original = format!("nnUNetv2_predict_from_modelfolder -m {run} -f {fold}");
        console.next(format!("{original} -i FOLDER -o DIR"));
        Ok(())
    }

    /// Writes the run's folder. Of an adaptation that is rolled back it is the source model; the adapted one is written
    /// beside it, and its place given.
    fn write_result(
        &self,
        adapted: &Adapted,
        fate: Settlement,
        folder: &RunFolder,
    ) -> Result<Option<PathBuf>> {
        let result = folder.path().join(RESULT_FOLDER);
        if fate == Settlement::Kept {
            self.write(&adapted.state, &result)?;
            return Ok(None);
        }
        let rejected = folder.path().join(REJECTED_FOLDER);
        self.write(&adapted.state, &rejected)?;
        self.write(&self.source.state, &result)?;
        Ok(Some(rejected))
    }

    /// Writes a folder with other weights.
    fn write(&self, state: &udas_nn::StateDict, to: &Path) -> Result<()> {
        Ok(self.source.folder.write_with(&self.source.name, state, to)?)
    }

    fn write_patch(&self, args: &AdaptArgs, adapted: &Adapted, to: &Path) -> Result<()> {
        let mut patch = Patch::between(&self.source.state, &adapted.state)?;
        patch.notes = Some(serde_json::to_string(&self.provenance(args, adapted))?);
        Ok(patch.save(to)?)
    }

    /// Judges the adaptation, records the verdict, and says what becomes of the adapted network.
    fn settle(
        &self,
        args: &AdaptArgs,
        adapted: &Adapted,
        folder: &mut RunFolder,
        console: &Console,
    ) -> Result<(Option<Judgement>, Settlement)> {
        let Some(judgement) = self.judge(args, adapted, console)? else {
            return Ok((None, Settlement::Kept));
        };
        let fate = judging::fate(args.judging.on_harm, None, &judgement, folder, console)?;
        Ok((Some(judgement), fate))
    }

    /// The verdict without labels; none on images of several channels, of which it knows nothing.
    fn judge(
        &self,
        args: &AdaptArgs,
        adapted: &Adapted,
        console: &Console,
    ) -> Result<Option<Judgement>> {
        let channels = self.source.model.data.channels;
        if channels != 1 {
            console.warn(format!(
                "images of {channels} channels are not judged: look at masks of both models yourself"
            ));
            return Ok(None);
        }
        let taught = self.teacher_hashes();
        let peers = judge::peers(&args.judging.peers, &self.source, &taught, console)?;
        let pair = [self.source.network()?.into(), self.source.with(&adapted.state)?.into()];
        let volumes = self.source.model.configuration.patch.len() == 3;
        let most = if volumes { MOST_JUDGED } else { usize::MAX };
        judge::judged(pair, peers, (&self.patches, most), console).map(Some)
    }

    fn teacher_hashes(&self) -> Vec<String> {
        self.teachers.iter().map(|(_, fold)| fold.hash.clone()).collect()
    }

    fn provenance(&self, args: &AdaptArgs, adapted: &Adapted) -> Provenance {
        Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            command: "adapt".into(),
            domains: vec![self.source_name(), args.target.name()],
            subjects: self.patches.cases().len(),
            seed: self.seed,
            epochs: adapted.summary.as_ref().map_or(0, |summary| summary.epochs.len()),
            method: Some(self.method.name().into()),
            base: Some(self.source.hash.clone()),
            teachers: self.teacher_hashes(),
        }
    }

    /// A training that diverged leaves a folder with the weights of its last good epoch behind.
    fn keep_last_good(&self, folder: &RunFolder, console: &Console) {
        let Some(state) = folder.last_state() else { return };
        let path = folder.path().join("last-good");
        let saved = self.result_of(&state).and_then(|state| self.write(&state, &path));
        match saved {
            Ok(()) => console.say(format!("the last good epoch is kept in {}", path.display())),
            Err(error) => console.warn(format!("the last good epoch could not be kept: {error:#}")),
        }
    }

    fn result_of(&self, state: &Snapshot) -> Result<udas_nn::StateDict> {
        let (recipe, options) = (self.method.recipe(), self.options.clone());
        let mut adaptation =
            Adaptation::new(self.source.network()?, Aids::default(), recipe, options)?;
        udas_train::Objective::restore(&mut adaptation, &state.objective)?;
        Ok(adaptation.adapted()?)
    }
}

/// Says how a training ended; one that was interrupted goes no further.
fn refuse_interrupted(adapted: &Adapted, folder: &RunFolder, console: &Console) -> Result<()> {
    match &adapted.summary {
        Some(summary) => training::report_stop(summary, folder, console),
        None if interrupt::asked() => anyhow::bail!(
            "interrupted; begin again with the same command and --resume ({})",
            folder.path().display()
        ),
        None => Ok(()),
    }
}

/// What the method runs with; written into `args` whole.
fn options(method: &dyn Method, args: &mut AdaptArgs, source: &Fold) -> Result<Options> {
    let own = args.options.base(method)?;
    let batch_size = match args.options.preset {
        Some(_) => own.batch_size,
        None => batch_size(&source.model.configuration),
    };
    let options = args.options.resolve(Options { batch_size, ..own });
    options.check(source.network()?.spec())?;
    if options.epochs == 0 {
        return Err(failure::usage("--epochs 0: give at least 1").into());
    }
    args.options = MethodFlags::of(&options);
    Ok(options)
}

/// The new scanner's images.
struct Target {
    subjects: Vec<Subject>,
    patches: Arc<Patches>,
    warnings: Vec<String>,
}

fn target(args: &AdaptArgs, source: &Fold, console: &Console) -> Result<Target> {
    let found = args.target.subjects(console)?;
    let found = found.iter().map(Subject::without_labels).collect();
    let subjects = super::channels(found, &source.folder, args.target.set.data.is_some());
    let warnings = selection::warn_of_headers(&subjects, console);
    let cases = super::cases(&subjects, &source.folder)?;
    let cache = training::cache_bytes(args.cache_gib)?;
    let patches = Arc::new(Patches::new(cases, &source.model, cache)?);
    Ok(Target { subjects, patches, warnings })
}

/// The early head of a method that looks at one; it must be named.
fn head(
    method: &dyn Method,
    args: &mut AdaptArgs,
    source: &Fold,
    console: &Console,
) -> Result<Option<HeadFile>> {
    if !method.about().needs.contains(&Requirement::EarlyHead) {
        return Ok(None);
    }
    let level = args.options.level;
    let Some(path) = &args.head else {
        let level = level.unwrap_or(0);
        return Err(udas_adapt::Error::NoHead { method: method.name(), level }.into());
    };
    let network = source.network()?;
    let head = HeadFile::load(path, network.spec())?;
    if !head.info.base.is_empty() && head.info.base != source.hash {
        console.warn(format!("{}: was trained on another network", path.display()));
    }
    if let Some(text) =
        readiness::refusal_by_head(&head).filter(|_| args.unready == Unready::Refuse)
    {
        return Err(failure::rejected(text).into());
    }
    args.options.level.get_or_insert(head.info.level);
    Ok(Some(head))
}

/// The other trainings that a method learns from: those that are named, else the folder's other folds.
fn teachers(
    method: &dyn Method,
    args: &mut AdaptArgs,
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
    args: &AdaptArgs,
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
    let cases = super::cases(&subjects, &source.folder)?;
    let cache = training::cache_bytes(args.cache_gib)?;
    Ok((subjects, Some(Arc::new(Patches::new(cases, &source.model, cache)?))))
}
