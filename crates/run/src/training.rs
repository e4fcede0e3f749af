//! What the trainings share: their flags, batches of a domain, the record of their start.
use crate::error::{Error, Result};
use crate::host::{self, Host, Work};
use crate::run_folder::RunFolder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use udas_data::{
    Augment, BatchPlan, Groups, LabelUse, Labelled, LabelledBatches, LastBatch, Order,
    Preprocessing, SliceSource, SliceSubset, Subject, Unlabelled, UnlabelledBatches, VolumeSlices,
};
use udas_kernels::InstructionSet;
use udas_model::MODEL_FILE;
use udas_network::Task;
use udas_record::{Input, Machine, Phase, StartRecord, StopReason, StopRecord};
use udas_train::{FitSummary, SourceBatches};

/// The order of slices, as a flag names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderName {
    /// Anew every epoch, by the seed.
    #[default]
    Shuffled,
    /// As the subjects are listed.
    Sequential,
}

impl OrderName {
    /// Batches of `batch_size` slices in this order; slices that fill none are left out.
    pub fn plan(self, seed: u64, batch_size: usize) -> BatchPlan {
        let order = match self {
            Self::Shuffled => Order::Shuffled { seed },
            Self::Sequential => Order::Sequential,
        };
        BatchPlan { order, batch_size, last: LastBatch::Drop }
    }
}

/// Bytes from a setting in gibibytes.
///
/// # Errors
/// [`Error::Usage`] for what no memory has.
pub fn cache_bytes(gib: f64) -> Result<usize> {
    if !(0.0..1e6).contains(&gib) {
        return Err(Error::usage(format!("--cache-gib {gib}: give the memory to use")));
    }
    Ok((gib * (1u64 << 30) as f64) as usize)
}

/// Labelled slices of subjects, and their batches.
pub struct LabelledSet {
    /// The slices, all of one size.
    pub slices: Arc<dyn SliceSource>,
    /// What their labels are.
    pub task: Task,
    /// The domain that each slice is of.
    pub domains: Vec<Arc<str>>,
}

impl LabelledSet {
    /// Reads the headers of volumes, of which at most `cache` bytes stay decoded.
    ///
    /// # Errors
    /// Those of volumes or masks that are missing or do not fit together.
    pub fn open(
        subjects: Vec<Subject>,
        preprocessing: &Preprocessing,
        task: Task,
        cache: usize,
    ) -> Result<Self> {
        let classes = task.outputs().max(2) as u8;
        let labels = LabelUse::Require { classes };
        let slices = VolumeSlices::new(subjects, preprocessing.clone(), labels, cache)?;
        let mut domains = Vec::with_capacity(slices.len());
        for (number, subject) in slices.subjects().enumerate() {
            let domain: Arc<str> = subject.domain.as_str().into();
            domains.extend(slices.indices(number).map(|_| Arc::clone(&domain)));
        }
        Ok(Self { slices: Arc::new(slices), task, domains })
    }

    /// Some of the slices.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        let domains = indices.iter().filter_map(|&index| self.domains.get(index)).cloned();
        Self {
            slices: Arc::new(SliceSubset::new(self.slices.clone(), indices.iter().copied())),
            task: self.task,
            domains: domains.collect(),
        }
    }

    /// Batches `[N, 1, H, W]` with their targets, on the host's device.
    ///
    /// # Errors
    /// Those of a plan that gives no batch.
    pub fn batches(
        &self,
        plan: BatchPlan,
        augment: Augment,
        host: &dyn Host,
    ) -> Result<SourceBatches> {
        self.drawn(plan, augment, Groups::new(), host)
    }

    /// The same of slices that are drawn from groups, where there are some.
    ///
    /// # Errors
    /// Those of a plan that gives no batch, or nothing to draw by.
    pub fn drawn(
        &self,
        plan: BatchPlan,
        augment: Augment,
        groups: Groups,
        host: &dyn Host,
    ) -> Result<SourceBatches> {
        let batches = LabelledBatches::new(Labelled::new(self.slices.clone()), plan)?;
        let batches = batches.with_augmentation(augment).with_groups(groups)?;
        Ok(SourceBatches::new(batches, self.task, host.device().clone()))
    }

    /// Mean of each output channel's target over all pixels of the slices, padding included.
    ///
    /// # Errors
    /// Those of volumes that cannot be read.
    pub fn class_ratio(&self) -> Result<Vec<f64>> {
        let mut counts = [0u64; 256];
        for index in 0..self.slices.len() {
            let labels = self.slices.read(index)?.labels.unwrap_or_default();
            labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        }
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let ratio = |class: usize| counts.get(class).map_or(0.0, |&count| count as f64 / total);
        Ok(match self.task {
            Task::Binary => vec![1.0 - ratio(0)],
            Task::MultiClass { classes } => (0..classes).map(ratio).collect(),
        })
    }
}

/// Unlabelled slices of subjects, of whose volumes at most `cache` bytes stay decoded.
///
/// # Errors
/// Those of volumes that cannot be read.
pub fn unlabelled(
    subjects: &[Subject],
    preprocessing: &Preprocessing,
    cache: usize,
) -> Result<Unlabelled> {
    let subjects = subjects.iter().map(Subject::without_labels).collect();
    let slices = VolumeSlices::new(subjects, preprocessing.clone(), LabelUse::Ignore, cache)?;
    Ok(Unlabelled::new(Arc::new(slices)))
}

/// Their batches.
pub(crate) fn unlabelled_batches(
    slices: &Unlabelled,
    plan: BatchPlan,
) -> Result<UnlabelledBatches> {
    Ok(UnlabelledBatches::new(slices.clone(), plan)?)
}

/// What a run is, for its record.
#[derive(Clone, Copy, Default)]
pub struct Purpose<'a> {
    /// The command of the program, such as `adapt`.
    pub command: &'a str,
    /// The method of an adaptation.
    pub method: Option<&'a str>,
    /// The source's domains.
    pub source: Option<&'a str>,
    /// The target's.
    pub target: Option<&'a str>,
}

/// What a run does with subjects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It learns from them.
    Learned,
    /// It is measured on them.
    HeldOut,
}

impl Use {
    /// What images and labels are called in the record.
    pub fn roles(self) -> [&'static str; 2] {
        match self {
            Self::Learned => ["image", "label"],
            Self::HeldOut => ["held-out image", "held-out label"],
        }
    }
}

/// The record of a start, with the hashes of all files read.
///
/// # Errors
/// [`Error::Input`] for files that cannot be read, or have paths that a record cannot hold.
pub fn start_record(
    what: Purpose,
    seed: u64,
    files: &[(&str, &Path)],
    subjects: &[(Use, &[Subject])],
    host: &dyn Host,
) -> Result<StartRecord> {
    let mut inputs = Vec::new();
    for (role, path) in files {
        inputs.push(hashed(role, path)?);
    }
    let count = subjects.iter().map(|(_, subjects)| subjects.len()).sum();
    let mut progress = host.progress(&Work::Items { what: "hashing", count });
    for (of, subjects) in subjects {
        let [image_role, label_role] = of.roles();
        for subject in *subjects {
            inputs.push(hashed(image_role, &subject.image)?);
            if let Some(labels) = &subject.labels {
                inputs.push(hashed(label_role, labels)?);
            }
            progress.advance("");
        }
    }
    progress.finish();
    Ok(StartRecord {
        command: what.command.into(),
        method: what.method.map(str::to_owned),
        source: what.source.map(str::to_owned),
        target: what.target.map(str::to_owned),
        version: env!("CARGO_PKG_VERSION").into(),
        started_unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        seed,
        inputs,
        directory: std::env::current_dir()
            .map_or_else(|_| String::new(), |d| d.display().to_string()),
        machine: machine(host),
    })
}

/// Where a run computes.
pub fn machine(host: &dyn Host) -> Machine {
    let device = host.device();
    Machine {
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        instruction_set: InstructionSet::current().name().into(),
        threads: rayon::current_num_threads(),
        device: if device.is_cuda() {
            "cuda".into()
        } else if device.is_metal() {
            "metal".into()
        } else {
            "cpu".into()
        },
    }
}

/// A file with the hash of its bytes; of a DICOM series that of all its slices, whatever their names.
///
/// # Errors
/// [`Error::Input`] where it cannot be read, or its path is not UTF-8.
pub fn hashed(role: &str, path: &Path) -> Result<Input> {
    if path.to_str().is_none() {
        let shown = path.display();
        let text = format!("{shown}: its path is not UTF-8, in which records are kept; rename it");
        return Err(Error::input(text));
    }
    let files = if udas_volume::is_dicom(path) { slices_of(path)? } else { vec![path.to_owned()] };
    let sha256 = sha256_of(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    Ok(Input { role: role.into(), path: path.display().to_string(), sha256 })
}

fn slices_of(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(udas_volume::files_of(path).map_err(udas_data::Error::from)?)
}

/// SHA-256 over the bytes of files, one after another, in hexadecimal digits.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read.
pub fn sha256_of(paths: &[&Path]) -> Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    for path in paths {
        hash_into(&mut hasher, &mut buffer, path)?;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn hash_into(hasher: &mut Sha256, buffer: &mut [u8], path: &Path) -> Result<()> {
    let wrong = |error| Error::input(format!("{}: {error}; check the path", path.display()));
    let mut file = std::fs::File::open(path).map_err(wrong)?;
    loop {
        match file.read(buffer).map_err(wrong)? {
            0 => return Ok(()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// How a training ended.
pub fn stop_record(phase: Phase, summary: &FitSummary) -> StopRecord {
    let epochs = summary.epochs.len();
    let seconds = summary.epochs.iter().map(|epoch| epoch.seconds).sum();
    StopRecord { phase, reason: summary.reason, epochs, seconds, rejected: None }
}

/// Says why a training ended.
///
/// # Errors
/// [`Error::Interrupted`], which says how to go on.
pub fn report_stop(summary: &FitSummary, folder: &RunFolder, host: &dyn Host) -> Result<()> {
    if summary.reason == StopReason::Interrupted || host::is_interrupted(host) {
        return Err(Error::Interrupted(format!(
            "interrupted after {} epochs; go on with the same command and --resume ({})",
            summary.epochs.len(),
            folder.path().display()
        )));
    }
    host.say(&format!(
        "stopped after {} epochs: {}",
        summary.epochs.len(),
        summary.reason.explanation()
    ));
    Ok(())
}

/// The file behind a model's path, which may be a run folder.
pub fn model_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() }
}
