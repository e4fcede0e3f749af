//! `udas head` with a model folder of nnU-Net v2: an early head on patches of labelled cases.
use super::batches::{CHECKED, LabelledPatches, PatchBatches};
use super::source::Fold;
use crate::commands::head::{HeadArgs, method_for};
use crate::console::{Console, in_shell};
use crate::schedule::{TrainingBatches, unless_done};
use crate::{failure, settings};
use anyhow::Result;
use candle_core::Device;
use std::sync::Arc;
use udas_data::Subject;
use udas_model::{HeadFile, HeadInfo, Provenance};
use udas_network::{EarlyHead, Task};
use udas_nnunet::Patches;
use udas_record::{Convergence, Phase};
use udas_run::training::{self, OrderName, Purpose, Use, model_path};
use udas_run::{Balance, Beginning, RunFolder, Start, readiness, selection};
use udas_train::{HeadTraining, Keep, Snapshot};

/// A training with all it needs at hand.
struct Plan {
    source: Fold,
    /// A subject an image file; labels are with the first channel.
    learned: Vec<Subject>,
    held_out: Vec<Subject>,
    batches: LabelledPatches,
    check: LabelledPatches,
}

pub fn run(mut args: HeadArgs, start: Start, dry_run: bool, console: &Console) -> Result<()> {
    super::warn_of_device(console);
    let plan = plan(&mut args, console)?;
    let warnings = selection::warn_of_headers(&plan.learned, console);
    if dry_run {
        return settings::show(&args, console);
    }
    let checkpoint = plan.source.checkpoint();
    let domains = args.domain.join("+");
    let beginning = Beginning {
        settings: &args,
        out: &args.out,
        start,
        phase: Phase::Head,
        purpose: Purpose { command: "head", source: Some(&domains), ..Purpose::default() },
        seed: args.seed,
        files: &[("model", &checkpoint)],
        subjects: &[(Use::Learned, &plan.learned), (Use::HeldOut, &plan.held_out)],
        warnings: &warnings,
    };
    let begun = beginning.begin(console)?;
    unless_done(begun, &args.out, console, |run| train(&args, &plan, run, console))
}

/// Trains the head, and writes it.
fn train(
    args: &HeadArgs,
    plan: &Plan,
    (mut folder, resume): (RunFolder, Option<Snapshot>),
    console: &Console,
) -> Result<()> {
    let network = plan.source.network()?;
    let spec = network.spec().clone();
    let deepest = spec.deepest();
    let head = EarlyHead::random(&spec, args.level, args.seed, &Device::Cpu)?;
    let mut objective = HeadTraining::new(network, head);
    let is_held_out = !plan.held_out.is_empty();
    let batches = TrainingBatches { train: &plan.batches, check: &plan.check, is_held_out };
    let score = if is_held_out { "held-out Dice" } else { "Dice" };
    let how = (Phase::Head, Keep::Last, score);
    let (summary, convergence) =
        args.schedule.run_on(&mut objective, batches, how, (&mut folder, resume), console)?;
    if let Some(text) = readiness::of_head(&convergence) {
        folder.warn(&text, console)?;
    }
    let provenance = plan.provenance(args, summary.epochs.len());
    let mut info = HeadInfo::new(spec, args.level, plan.source.hash.clone(), provenance);
    info.convergence = Some(convergence);
    let state = objective.head().parameters().state()?;
    HeadFile { state, info }.save(&folder.model())?;
    folder.finish(training::stop_record(Phase::Head, &summary))?;
    tell(args, &convergence, deepest, console)
}

/// What has come of it, and what can be done with it.
fn tell(
    args: &HeadArgs,
    convergence: &Convergence,
    deepest: usize,
    console: &Console,
) -> Result<()> {
    let shown = model_path(&args.out).display().to_string();
    let value = serde_json::json!({
        "head": shown,
        "dice": convergence.dice,
        "convergence": convergence,
    });
    console.result(&shown, &value)?;
    let method = method_for(args.level, deepest);
    console.next(format!(
        "udas adapt --model {} --head {} --method {method} --images FILES_OF_THE_NEW_SCANNER --out RUN",
        in_shell(args.model()?),
        in_shell(&args.out)
    ));
    Ok(())
}

/// Opens everything, and writes into `args` what was found out.
fn plan(args: &mut HeadArgs, console: &Console) -> Result<Plan> {
    args.schedule.check()?;
    if args.schedule.order != OrderName::Shuffled {
        let text = "--order: patches are drawn; leave it out";
        return Err(failure::usage(text).into());
    }
    if args.schedule.balance.is_some_and(|balance| balance != Balance::None) {
        let text = "--balance: is not for nnU-Net folders, whose patches are drawn from all cases alike; leave it out";
        return Err(failure::usage(text).into());
    }
    let source = Fold::open(args.model()?)?;
    super::warn_of_checkpoint(&source.folder, console);
    source.refuse_regions("early heads are", "adapt it by a method without a head")?;
    let spec = source.network()?.spec().clone();
    if args.level > spec.deepest() {
        let text = format!("--level {}: stages are 0 to {}", args.level, spec.deepest());
        return Err(failure::usage(&text).into());
    }
    let data = settings::needed(args.data.as_ref(), "--data")?;
    let all = super::with_labels(selection::domains(data, &args.domain, console)?)?;
    let chosen = (args.subjects.as_deref(), args.fold.as_deref());
    let split = args.holding_out.split(all, chosen, console)?;
    let names: Vec<_> = split.held_out().iter().map(|subject| subject.id.clone()).collect();
    let learned = super::channels(split.train.clone(), &source.folder, true);
    let held_out = super::channels(split.held_out().to_vec(), &source.folder, true);
    let cache = training::cache_bytes(args.cache_gib)?;
    let open = |subjects: &[Subject]| -> Result<Arc<Patches>> {
        let cases = super::cases(subjects, &source.folder, console)?;
        Ok(Arc::new(Patches::new(cases, &source.model, cache)?))
    };
    let (seed, batch_size, steps) =
        (args.seed, args.schedule.batch_size, super::batches::steps(args.nnunet.steps)?);
    args.nnunet.steps = Some(steps);
    let task = Task::of(spec.outputs);
    let patches = open(&learned)?;
    let watched = if held_out.is_empty() { patches.clone() } else { open(&held_out)? };
    let checked = CHECKED.max(watched.cases().len()).div_ceil(batch_size);
    console.say(format!(
        "head at level {} on {} cases; held out: {}",
        args.level,
        split.train.len(),
        if names.is_empty() { "nothing".into() } else { names.join(", ") }
    ));
    let of = |patches, steps| LabelledPatches {
        batches: PatchBatches { patches, seed, steps, batch_size },
        task,
    };
    let (batches, check) = (of(patches, steps), of(watched, checked));
    Ok(Plan { source, learned, held_out, batches, check })
}

impl Plan {
    fn provenance(&self, args: &HeadArgs, epochs: usize) -> Provenance {
        Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            command: "head".into(),
            domains: args.domain.clone(),
            subjects: self.batches.batches.patches.cases().len(),
            seed: args.seed,
            epochs,
            ..Provenance::default()
        }
    }
}
