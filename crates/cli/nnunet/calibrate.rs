//! `udas calibrate` with a model folder of nnU-Net v2: simulated shifts on patches of labelled cases.
use super::judge::{CACHE_BYTES, depth, networks, peers, sample};
use super::source::Fold;
use crate::commands::calibrate::{CalibrateArgs, finish, hashes};
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use candle_core::Device;
use std::path::Path;
use std::sync::Arc;
use udas_network::Network;
use udas_nnunet::Patches;
use udas_run::selection;
use udas_verdict::{Calibrated, Calibrating, Origin};

/// nnU-Net's folds have each learned from most of the cases, and all of them together from every one.
const FOLDS_KNOW: &str = "the folds of a model have learned from all cases of its training but for their own validation split: give \
     cases that were set aside, or scores will be predicted too high";

pub fn run(args: &CalibrateArgs, (model, data): (&Path, &Path), console: &Console) -> Result<()> {
    if args.plane.is_some() {
        let text = "--plane: the plans of an nnU-Net folder say how images are seen; leave it out";
        return Err(failure::usage(text).into());
    }
    super::warn_of_device(console);
    let source = Fold::open(model)?;
    super::warn_of_checkpoint(&source.folder, console);
    source.refuse_regions("verdicts are", "look at masks of both models yourself")?;
    if source.folder.folds().len() > 1 {
        let text = "is calibrated; name another fold's folder to calibrate that one";
        console.say(format!("fold_{} {text}", source.name));
    }
    let subjects = selection::domains(data, &args.domain, console)?;
    let subjects = selection::choose(subjects, args.subjects.as_deref(), console)?;
    let subjects = super::channels(super::with_labels(subjects)?, &source.folder, true);
    let patches = Patches::new(
        super::cases(&subjects, &source.folder, console)?,
        &source.model,
        CACHE_BYTES,
    )?;
    let peers = peers(&args.peers, &source, &[], console)?;
    console.warn(FOLDS_KNOW);
    let network: Arc<dyn Network> = source.network()?.into();
    let calibrated = Calibrated {
        origin: Origin {
            model: source.hash.clone(),
            preprocessing: None,
            plans: Some(source.plans()?),
            peers: peers.iter().map(|peer| peer.hash.clone()).collect(),
            version: env!("CARGO_PKG_VERSION").into(),
            domain: args.domain.join("+"),
            subjects: patches.cases().iter().map(|case| case.name.clone()).collect(),
            slices: args.slices,
            seed: args.seed,
        },
        network: network.clone(),
        peers: networks(&peers)?,
        depth: depth(&patches),
        class_ratio: Vec::new(),
    };
    let config = args.config();
    let cases = 0..patches.cases().len();
    let samples = cases
        .map(|case| sample(&patches, case, args.slices, &*network))
        .collect::<Result<Vec<_>>>()?;
    let samples = samples.into_iter().map(Ok);
    let work = Calibrating::of_samples(calibrated, samples, &Device::Cpu, &config)?;
    finish(work, hashes(&subjects)?, &args.out, console)
}
