//! An adaptation as commands have it: its settings, everything they name opened and checked, then the method run.
use crate::console::Console;
use crate::judging::JudgingFlags;
use crate::method_flags::MethodFlags;
use crate::observer::Watch;
use crate::options::word;
use crate::readiness::{self, Unready};
use crate::run_folder::RunFolder;
use crate::selection::Images;
use crate::training::{self, LabelledSet, OrderName};
use crate::{failure, head_search, intensity, interrupt, other_trainings, selection, settings};
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_adapt::{
    Adaptation, Adapted, Aids, Method, Model, NormChoice, Options, OracleBatches, Requirement, Run,
    TargetBatch, TargetBatches,
};
use udas_data::{Augment, LastBatch, Plane, Subject, Unlabelled};
use udas_model::{HeadFile, ModelFile, Provenance};
use udas_network::{NormKind, Task};
use udas_record::Phase;
use udas_train::{Batches, LabelledBatch, Objective, Snapshot};

/// What is run where nothing is asked for: of what needs images alone, the method that gained on every data set measured
/// (docs/results/mnms.md has the rule).
const DEFAULT_METHOD: &str = "adabn";
/// Where a network has no batch norm, and the model's file keeps its source's histogram.
const DEFAULT_WITHOUT_BATCH_NORM: &str = "match-source";
/// Where neither is there, or intensities are chosen otherwise.
const DEFAULT_WITHOUT_HISTOGRAM: &str = "augmented-consistency";
/// Where other trainings are named.
const DEFAULT_WITH_TEACHERS: &str = "ensemble-distillation";

/// Adapts a network to unlabelled volumes of a new scanner
///
/// Example: udas adapt --model runs/source --images new_scanner/*.nii.gz --out runs/adapted
///
/// `udas methods` lists the methods; the paper's is --method early-features, which needs an early head. The source
/// model is never edited.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdaptArgs {
    /// The source network: a run folder, .safetensors, .pth, or a model folder of nnU-Net (docs/nnunet.md)
    #[arg(short, long, required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// The early head [default: looked for beside the model]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Images,
    /// Method, as `udas methods` lists them [default: the one that --preset is of; ensemble-distillation with
    /// --teachers; else adabn; for networks without batch norm match-source or, without the source's histogram,
    /// augmented-consistency]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Folder of the run
    #[arg(short, long, value_name = "RUN")]
    pub out: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    pub options: MethodFlags,
    /// Labelled source data, for methods that need it: a data set
    #[arg(long, value_name = "DIR", requires = "source_domain")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_data: Option<PathBuf>,
    /// Its domains
    #[arg(long, num_args = 1.., value_name = "NAME")]
    #[serde(default)]
    pub source_domain: Vec<String>,
    /// Which of its subjects, as by --subjects [default: all]
    #[arg(long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_subjects: Option<String>,
    /// Other trainings of the source model (other seeds), for methods that learn from them
    #[arg(long, num_args = 1.., value_name = "MODEL")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<PathBuf>,
    /// What to do where the source model or its early head is not ready to teach: refuse or warn
    #[arg(long, default_value = "refuse", value_parser = word::<Unready>())]
    #[serde(default)]
    pub unready: Unready,
    #[command(flatten)]
    #[serde(flatten)]
    pub judging: JudgingFlags,
    /// Order of slices: shuffled or sequential
    #[arg(long, default_value = "shuffled", value_parser = word::<OrderName>())]
    pub order: OrderName,
    /// Plane of slices, for models that do not say: sagittal, coronal, axial or stored
    #[arg(long, value_parser = word::<Plane>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plane: Option<Plane>,
    /// Intensities in place of the model's: match-source (the source's histogram), min-max, percentile,
    /// percentile:LOW,HIGH or z-score
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intensity: Option<String>,
    /// Memory for decoded volumes in GiB
    #[arg(long, default_value_t = 4.0)]
    pub cache_gib: f64,
    #[command(flatten)]
    #[serde(flatten)]
    pub nnunet: crate::nnunet::batches::PatchFlags,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Go on with a run that was cut off
    #[arg(long)]
    #[serde(skip)]
    pub resume: bool,
    /// Show what would be done, and with which settings
    #[arg(long)]
    #[serde(skip)]
    pub dry_run: bool,
    /// Settings from a file; flags override them
    #[arg(long, value_name = "FILE.toml")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

impl AdaptArgs {
    /// The source network, which a flag or a file must name.
    pub fn model(&self) -> Result<&PathBuf> {
        settings::needed(self.model.as_ref(), "--model")
    }
}

/// An adaptation with all it needs at hand.
pub struct Job {
    pub method: &'static dyn Method,
    pub options: Options,
    /// The model as its file has it: what an adaptation is judged against, and rolled back to.
    pub source: ModelFile,
    /// The same with the target's normalisation: what is adapted.
    pub model: ModelFile,
    pub head: Option<HeadFile>,
    /// Other trainings of the source model, for methods that learn from them.
    pub teachers: Vec<ModelFile>,
    pub subjects: Vec<Subject>,
    /// Labelled source subjects, for methods that need them.
    pub source_subjects: Vec<Subject>,
    pub target: Unlabelled,
    /// What is odd about the headers of its files.
    pub warnings: Vec<String>,
}

impl Job {
    /// Opens everything, and writes into `args` what was found out, so that the settings are complete.
    pub fn prepare(args: &mut AdaptArgs, console: &Console) -> Result<Self> {
        args.target.check()?;
        let network = settings::needed(args.model.as_ref(), "--model")?;
        let suggestion = selection::in_plane(args.target.preprocessing()?, args.plane);
        let told = [args.plane.map(|_| "--plane"), args.intensity.as_ref().map(|_| "--intensity")];
        let source = selection::load_model(network, suggestion, &told, console)?;
        let name = match &args.method {
            Some(name) => name.clone(),
            None => default_method(args, &source, console)?.to_owned(),
        };
        let name = args.method.insert(name);
        let method = udas_adapt::find(name).ok_or_else(|| {
            let names: Vec<_> = udas_adapt::METHODS.iter().map(|method| method.name()).collect();
            let text = format!("there is no method {name:?}; there are {}", names.join(", "));
            failure::usage(&text)
        })?;
        method.check(&*source.network(console.device())?)?;
        let base = args.options.base(method)?;
        let source_subjects = source_subjects(method, args, console)?;
        let mut model = source.clone();
        let needs = method.about().needs;
        if needs.contains(&Requirement::TargetLabels) && args.target.set.data.is_none() {
            let what =
                "labels of the target, which --images has none of: give --data DIR --domain NAME";
            return Err(udas_adapt::Error::Missing { method: method.name(), what }.into());
        }
        if needs.contains(&Requirement::ClassRatio) && source.info.class_ratio.is_empty() {
            let what = "the source's class ratio, which the model's file does not say: give a model of `udas train`";
            return Err(udas_adapt::Error::Missing { method: method.name(), what }.into());
        }
        let matched = needs.contains(&Requirement::SourceHistogram);
        if matched && args.intensity.is_some() {
            let text =
                format!("--method {} sets the intensities: leave out --intensity", method.name());
            return Err(failure::usage(&text).into());
        }
        let chosen = if matched { Some("match-source") } else { args.intensity.as_deref() };
        intensity::replace(&mut model, chosen, network)?;
        let head = if needs.contains(&Requirement::EarlyHead) {
            let level = args.options.level;
            let found = head_search::find(args.head.as_deref(), network, level, &model)?;
            let (path, head) = found.ok_or(udas_adapt::Error::NoHead {
                method: method.name(),
                level: level.unwrap_or(0),
            })?;
            console.say(format!("early head: {}", path.display()));
            if !head.info.base.is_empty() && head.info.base != model.hash()? {
                console.warn(format!("{}: was trained on another network", path.display()));
            }
            args.head = Some(path);
            args.options.level.get_or_insert(head.info.level);
            Some(head)
        } else {
            None
        };
        let teachers = teachers(method, args, &source)?;
        let options = args.options.resolve(base);
        options.check(&source.info.network)?;
        if options.epochs == 0 {
            return Err(failure::usage("--epochs 0: give at least 1").into());
        }
        args.options = MethodFlags::of(&options);
        let subjects = args.target.subjects(console)?;
        let mut warnings = selection::warn_of_headers(&subjects, console);
        warnings.extend(selection::warn_of_orientations(&model.info, &subjects, console));
        let unready = of_readiness(&source, head.as_ref(), args.unready)?;
        unready.iter().for_each(|text| console.warn(text));
        warnings.extend(unready);
        let cache = training::cache_bytes(args.cache_gib)?;
        let target = training::unlabelled(&subjects, &model.info.preprocessing, cache)?;
        Ok(Self {
            method,
            options,
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

    pub fn describe(&self, args: &AdaptArgs, console: &Console) {
        let about = self.method.about();
        console.say(format!("{}: {}", self.method.name(), about.idea));
        let [height, width] = self.target.size();
        console.say(format!(
            "target: {} subjects, {} slices of {height}x{width}; batches of {}, seed {}",
            self.subjects.len(),
            self.target.len(),
            self.options.batch_size,
            args.seed
        ));
        console.say(format!("known failure: {}", about.failure));
        if let Ok(options) = serde_json::to_string(&self.options) {
            console.detail(format!("options: {options}"));
        }
    }

    /// Runs the method.
    pub fn adapt(
        &self,
        args: &AdaptArgs,
        folder: &mut RunFolder,
        resume: Option<Snapshot>,
        console: &Console,
    ) -> Result<Adapted> {
        let device = console.device();
        let needs = self.method.about().needs;
        let plan = args.order.plan(args.seed, self.options.batch_size);
        let mut in_order = OrderName::Sequential.plan(args.seed, self.options.batch_size);
        if self.options.norm == NormChoice::ReEstimated {
            // Statistics are of all slices, whatever the batch size.
            in_order.last = LastBatch::Keep;
        }
        let check = TargetBatches::new(
            training::unlabelled_batches(&self.target, in_order)?,
            device.clone(),
        );
        let target: Box<dyn Batches<TargetBatch>> = if needs.contains(&Requirement::TargetLabels) {
            let set = self.labelled(self.seen(), args)?;
            Box::new(OracleBatches(set.batches(plan, Augment::Off, console)?))
        } else {
            let batches = training::unlabelled_batches(&self.target, plan)?;
            Box::new(TargetBatches::new(batches, device.clone()))
        };
        let source = if needs.contains(&Requirement::SourceData) {
            let set = self.labelled(self.source_subjects.clone(), args)?;
            Some(set.batches(plan, Augment::Off, console)?)
        } else {
            None
        };
        let model = Model {
            network: self.model.network(device)?.into(),
            head: self.head.as_ref().map(|head| head.state.clone()),
        };
        let class_ratio = self.model.info.class_ratio.clone();
        let teachers = self.teachers.iter().map(|teacher| Ok(teacher.network(device)?.into()));
        let teachers = teachers.collect::<Result<Vec<_>>>()?;
        let score = if self.head.is_some() { "agreement" } else { "confidence" };
        let unready = args.unready;
        let judge = move |agreement| readiness::of_agreement(agreement).map(|text| (unready, text));
        let mut watch = Watch::new(folder, console, Phase::Adapt, score, self.options.epochs);
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
            seed: args.seed,
            observer: &mut watch,
            interrupt: interrupt::flag(),
            resume,
        };
        Ok(self.method.adapt(&model, &self.options, run)?)
    }

    /// The network that a saved state stands for: with its adapters added in, or its averaged teacher.
    pub fn result_of(&self, state: &Snapshot, console: &Console) -> Result<udas_nn::StateDict> {
        let network = self.model.network(console.device())?;
        let (recipe, options) = (self.method.recipe(), self.options.clone());
        let mut adaptation = Adaptation::new(network, Aids::default(), recipe, options)?;
        adaptation.restore(&state.objective)?;
        Ok(adaptation.adapted()?)
    }

    /// The subjects as the method sees them: with labels for oracles alone.
    pub fn seen(&self) -> Vec<Subject> {
        if self.method.about().needs.contains(&Requirement::TargetLabels) {
            return self.subjects.clone();
        }
        self.subjects.iter().map(Subject::without_labels).collect()
    }

    /// Hashes of the models that teach.
    pub fn teacher_hashes(&self) -> Result<Vec<String>> {
        Ok(self.teachers.iter().map(ModelFile::hash).collect::<Result<_, _>>()?)
    }

    /// The domains that the model was trained on.
    pub fn source_name(&self) -> String {
        match self.model.info.provenance.domains.as_slice() {
            [] => "source".into(),
            domains => domains.join("+"),
        }
    }

    fn labelled(&self, subjects: Vec<Subject>, args: &AdaptArgs) -> Result<LabelledSet> {
        let task = Task::of(self.model.info.network.outputs);
        let cache = training::cache_bytes(args.cache_gib)?;
        LabelledSet::open(subjects, &self.model.info.preprocessing, task, cache)
    }

    /// The adapted network as a model file.
    pub fn model_file(
        &self,
        state: udas_nn::StateDict,
        epochs: usize,
        args: &AdaptArgs,
    ) -> Result<ModelFile> {
        let mut info = self.model.info.clone();
        let mut domains = info.provenance.domains.clone();
        domains.push(args.target.name());
        info.provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            command: "adapt".into(),
            domains,
            subjects: self.subjects.len(),
            seed: args.seed,
            epochs,
            method: Some(self.method.name().into()),
            base: Some(self.model.hash()?),
            teachers: self.teacher_hashes()?,
        };
        Ok(ModelFile { state, info })
    }
}

/// What is to be said before an adaptation; an error where it should not begin.
fn of_readiness(
    source: &ModelFile,
    head: Option<&HeadFile>,
    unready: Unready,
) -> Result<Vec<String>> {
    let reason = head.and_then(|head| readiness::refusal(source, head));
    if let Some(text) = reason.filter(|_| unready == Unready::Refuse) {
        return Err(failure::rejected(text).into());
    }
    let measured = head.and_then(|head| head.info.convergence);
    let of_head = measured.as_ref().and_then(readiness::of_head);
    Ok(readiness::of_source(source).into_iter().chain(of_head).collect())
}

/// The method where none is named.
fn default_method(args: &AdaptArgs, source: &ModelFile, console: &Console) -> Result<&'static str> {
    if let Some(preset) = args.options.preset {
        return Ok(preset.method());
    }
    if !args.teachers.is_empty() {
        return Ok(DEFAULT_WITH_TEACHERS);
    }
    if source.info.network.norm == NormKind::Batch {
        return Ok(DEFAULT_METHOD);
    }
    let matches = source.info.source_histogram.is_some() && args.intensity.is_none();
    let name = if matches { DEFAULT_WITHOUT_BATCH_NORM } else { DEFAULT_WITHOUT_HISTOGRAM };
    console.say(format!(
        "{}: has no batch norm, so that {DEFAULT_METHOD} is not to be had: {name} is run",
        args.model()?.display()
    ));
    Ok(name)
}

/// The other trainings that a method learns from: a batch is shown to all of them as the model sees it.
fn teachers(method: &dyn Method, args: &AdaptArgs, source: &ModelFile) -> Result<Vec<ModelFile>> {
    if !method.about().needs.contains(&Requirement::OtherTrainings) {
        if args.teachers.is_empty() {
            return Ok(Vec::new());
        }
        let text = format!("--method {} learns from no --teachers: leave them out", method.name());
        return Err(failure::usage(&text).into());
    }
    if args.teachers.is_empty() {
        let what = "other trainings of the source model (other seeds): give --teachers MODEL ...";
        return Err(udas_adapt::Error::Missing { method: method.name(), what }.into());
    }
    other_trainings::with_the_same_preprocessing("--teachers", &args.teachers, source)
}

/// The labelled source subjects of a method that needs some.
fn source_subjects(
    method: &dyn Method,
    args: &AdaptArgs,
    console: &Console,
) -> Result<Vec<Subject>> {
    if !method.about().needs.contains(&Requirement::SourceData) {
        return Ok(Vec::new());
    }
    let Some(root) = &args.source_data else {
        let what = "labelled source data: give --source-data DIR --source-domain NAME";
        return Err(udas_adapt::Error::Missing { method: method.name(), what }.into());
    };
    let subjects = selection::domains(root, &args.source_domain, console)?;
    selection::choose(subjects, args.source_subjects.as_deref(), console)
}
