//! `udas adapt` with a model folder of nnU-Net v2: patches of the new scanner's cases, and a folder that it reads.
use super::batches::{CHECKED, LabelledPatches, PatchBatches};
use super::job::{Job, refuse_others_flags};
use super::judge::{JudgingAids, REJECTED_FOLDER};
use super::source::Fold;
use crate::commands::adapt::{accept, refuse_idle, what_next};
use crate::console::{Console, in_shell};
use crate::{failure, interrupt, settings};
use anyhow::Result;
use candle_core::Device;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use udas_adapt::{Adaptation, Adapted, Aids, Model, NormChoice, Patch, Run};
use udas_model::Provenance;
use udas_network::{Network, Task};
use udas_nn::StateDict;
use udas_nnunet::Patches;
use udas_record::{Phase, StartRecord};
use udas_run::judging::{self, JudgingSettings, Settlement};
use udas_run::outcome::{self, EpochLimit, Outcome, PATCH_FILE, REJECTED_PATCH};
use udas_run::{AdaptSettings, Begun, RESULT_FOLDER, RunFolder, Start, Watch, readiness};
use udas_train::{Batches, LabelledBatch, Snapshot};
use udas_verdict::Judgement;

/// Cases of volumes by which an adaptation is judged at its end; `udas judge` takes all.
const MOST_JUDGED: usize = 16;

pub fn run(
    mut args: AdaptSettings,
    start: Start,
    flags: &ArgMatches,
    console: &Console,
) -> Result<()> {
    refuse_others_flags(&args)?;
    let job = Job::prepare(&mut args, console)?;
    refuse_idle(flags, (job.method, job.options.norm), console)?;
    let by_flag = flags.value_source("epochs") == Some(ValueSource::CommandLine);
    let is_asked = by_flag || job.options.epochs != job.method.options().epochs;
    let limit = if is_asked { EpochLimit::Asked } else { EpochLimit::Bound };
    let aids = job.judging_aids(&args, console)?;
    job.describe(console);
    if flags.get_flag("dry_run") {
        return settings::show(&args, console);
    }
    let (mut folder, resume) = match job.begin(&args, start, console)? {
        Begun::Before(stop) => {
            console.say(format!("{} is done already", args.out.display()));
            return accept(stop.rejected);
        }
        Begun::Now { folder, resume } => (folder, resume),
    };
    match job.adapt(&mut folder, resume, console) {
        Ok(adapted) => job.finish(&args, &adapted, (limit, aids), &mut folder, console),
        Err(error) => {
            job.keep_last_good(&folder, console);
            Err(error)
        }
    }
}

/// The weights that an adaptation has come to, wherever its run has them.
pub fn adapted_weights(run: &Path) -> Result<StateDict> {
    let rejected = run.join(REJECTED_FOLDER);
    Ok(Fold::open(if super::is_folder(&rejected) { &rejected } else { run })?.state)
}

/// The weights that the same adaptation comes to, made again in a fresh folder.
pub fn again(
    mut settings: AdaptSettings,
    start: StartRecord,
    folder: &mut RunFolder,
    console: &Console,
) -> Result<StateDict> {
    let job = Job::prepare(&mut settings, console)?;
    let resume = folder.begin(&settings, start, Phase::Adapt)?;
    Ok(job.adapt(folder, resume, console)?.state)
}

impl Job {
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

    /// Writes what has come of the method, and says it.
    fn finish(
        &self,
        args: &AdaptSettings,
        adapted: &Adapted,
        (limit, aids): (EpochLimit, Option<JudgingAids>),
        folder: &mut RunFolder,
        console: &Console,
    ) -> Result<()> {
        outcome::report_stop(adapted, folder, console)?;
        let (judgement, fate) = self.settle(args, adapted, aids, folder, console)?;
        let is_kept = fate == Settlement::Kept;
        let patch = folder.path().join(if is_kept { PATCH_FILE } else { REJECTED_PATCH });
        outcome::say_moved(self.method, self.options.norm, adapted, console);
        self.write_patch(args, adapted, &patch)?;
        let result = folder.path().join(RESULT_FOLDER);
        let mut outcome = Outcome::of(self.method, adapted, [result, patch]);
        outcome.verdict = judgement.map(|judgement| judgement.verdict());
        outcome.rejected_model = self.write_result(adapted, fate, folder)?;
        outcome.rejected = match &outcome.rejected_model {
            Some(rejected) => Some(format!(
                "the adaptation was rolled back: the run's folder is the source model; the adapted one is {}",
                rejected.display()
            )),
            None => outcome::unaccepted(self.options.stop, adapted, limit, console),
        };
        let mut stop = outcome::stop_record(adapted);
        stop.rejected.clone_from(&outcome.rejected);
        folder.finish(stop)?;
        console.result(outcome.model.display().to_string(), &outcome)?;
        if outcome.rejected.is_none() {
            what_next(&outcome, (args.model.as_deref(), &outcome.model), console);
            let (run, fold) = (in_shell(&outcome.model), &self.source.name);
            let original = format!("nnUNetv2_predict_from_modelfolder -m {run} -f {fold}");
            console.next(format!("{original} -i FOLDER -o DIR"));
        }
        accept(outcome.rejected)
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
    fn write(&self, state: &StateDict, to: &Path) -> Result<()> {
        Ok(self.source.folder.write_with(&self.source.name, state, to)?)
    }

    fn write_patch(&self, args: &AdaptSettings, adapted: &Adapted, to: &Path) -> Result<()> {
        let mut patch = Patch::between(&self.source.state, &adapted.state)?;
        patch.notes = Some(serde_json::to_string(&self.provenance(args, adapted))?);
        Ok(patch.save(to)?)
    }

    /// Judges the adaptation, records the verdict, and says what becomes of the adapted network.
    fn settle(
        &self,
        args: &AdaptSettings,
        adapted: &Adapted,
        aids: Option<JudgingAids>,
        folder: &mut RunFolder,
        console: &Console,
    ) -> Result<(Option<Judgement>, Settlement)> {
        let Some(aids) = aids else {
            return Ok((None, Settlement::Kept));
        };
        let pair = [self.source.network()?.into(), self.source.with(&adapted.state)?.into()];
        let volumes = self.source.model.configuration.patch.len() == 3;
        let most = if volumes { MOST_JUDGED } else { usize::MAX };
        let judgement = aids.judged(pair, (&self.patches, most), console)?;
        let calibration = aids.calibration.as_ref();
        let fate = judging::fate(args.judging.on_harm, calibration, &judgement, folder, console)?;
        Ok((Some(judgement), fate))
    }

    /// What the verdict knows nothing of, where that is what the model works on.
    fn unjudged(&self) -> Option<String> {
        match (self.source.model.data.channels, self.source.regions()) {
            (1, 0) => None,
            (1, _) => Some("regions that may overlap".to_owned()),
            (channels, _) => Some(format!("images of {channels} channels")),
        }
    }

    /// What helps to judge; none on images of several channels and of regions, of which the verdict knows nothing.
    fn judging_aids(&self, args: &AdaptSettings, console: &Console) -> Result<Option<JudgingAids>> {
        let JudgingSettings { on_harm, calibration, peers } = &args.judging;
        let Some(what) = self.unjudged() else {
            let named = (calibration.as_deref(), peers.as_slice());
            return JudgingAids::find(named, &self.source, &self.teacher_hashes(), console)
                .map(Some);
        };
        if !peers.is_empty() || on_harm.is_some() || calibration.is_some() {
            let text = format!(
                "--peers, --calibration and --on-harm: {what} are not judged; leave them out"
            );
            return Err(failure::usage(&text).into());
        }
        console.warn(format!("{what} are not judged: look at masks of both models yourself"));
        Ok(None)
    }

    fn teacher_hashes(&self) -> Vec<String> {
        self.teachers.iter().map(|(_, fold)| fold.hash.clone()).collect()
    }

    fn provenance(&self, args: &AdaptSettings, adapted: &Adapted) -> Provenance {
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

    fn result_of(&self, state: &Snapshot) -> Result<StateDict> {
        let (recipe, options) = (self.method.recipe(), self.options.clone());
        let mut adaptation =
            Adaptation::new(self.source.network()?, Aids::default(), recipe, options)?;
        udas_train::Objective::restore(&mut adaptation, &state.objective)?;
        Ok(adaptation.adapted()?)
    }
}
