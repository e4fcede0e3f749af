//! An adaptation without a command line: settings, a job, its outcome, and a run that goes on.
use candle_core::Device;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use udas_data::{Plane, Preprocessing};
use udas_model::{ModelFile, ModelInfo, Provenance, families};
use udas_network::Shape;
use udas_phantom::{PhantomConfig, Task, generate};
use udas_run::settings::to_text;
use udas_run::{
    AdaptSettings, Error, Host, Images, Job, MethodSettings, Progress, Ran, RunFolder, Silent,
    Start, Work,
};

/// A model and the images of a scanner in a folder.
fn scans(folder: &Path) {
    let config = PhantomConfig {
        task: Task::Head,
        out: folder.join("scans"),
        domains: vec!["Siemens_15".into()],
        subjects_per_domain: 2,
        matrix: 32,
        seed: 0,
        format: udas_phantom::Format::Nifti,
    };
    generate(&config, &|_| {}).unwrap();
    let shape = Shape { filters: 2, outputs: 1 };
    let network = families()[0].random(shape, 0, &Device::Cpu).unwrap();
    let sight = Preprocessing::upright(Plane::Sagittal);
    let info = ModelInfo::new(network.spec().clone(), sight, Provenance::default());
    let state = network.parameters().state().unwrap();
    ModelFile { state, info }.save(&folder.join("source.safetensors")).unwrap();
}

/// TENT for three epochs of batches of 8.
fn settings(folder: &Path, out: &str) -> AdaptSettings {
    let target =
        Images { images: vec![folder.join("scans/Original/Siemens_15")], ..Images::default() };
    let (epochs, batch_size, stop_change) = (Some(3), Some(8), Some(0.0));
    AdaptSettings {
        method: Some("tent".into()),
        options: MethodSettings { epochs, batch_size, stop_change, ..MethodSettings::default() },
        ..AdaptSettings::new(folder.join("source.safetensors"), target, folder.join(out))
    }
}

fn weights(folder: &Path, run: &str) -> Vec<u8> {
    std::fs::read(folder.join(run).join("model.safetensors")).unwrap()
}

#[test]
fn settings_become_a_job_and_a_job_an_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scans(folder);
    let host = Silent::new();
    let job = Job::prepare(settings(folder, "run"), &host).unwrap();
    // The gaps are filled: what was not asked for is the method's own.
    assert_eq!(job.settings().options, MethodSettings::of(job.options()));
    let Ran::Now(outcome) = job.run(Start::Fresh, &host).unwrap() else { panic!("it ran before") };
    assert_eq!((outcome.method, outcome.epochs), ("tent", 3));
    assert!(outcome.moved_weights > 0 && outcome.patch.is_file(), "{outcome:?}");
    assert_eq!(outcome.model, folder.join("run/model.safetensors"));
    let kept = std::fs::read_to_string(RunFolder::config(&folder.join("run"))).unwrap();
    let (first, rest) = kept.split_once('\n').unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(first, format!("# Relative paths count from {}", here.display()));
    assert_eq!(rest, to_text(job.settings()).unwrap());

    // What a run keeps is enough to find it done, and for another one like it.
    let again: AdaptSettings = toml::from_str(&kept).unwrap();
    let job = Job::prepare(again.clone(), &host).unwrap();
    let Ran::Before(stop) = job.run(Start::Resume, &host).unwrap() else { panic!("it ran anew") };
    assert_eq!(stop.epochs, 3);
    assert!(matches!(job.run(Start::Fresh, &host), Err(Error::Usage(_))), "the folder is taken");
    let other = AdaptSettings { out: folder.join("other"), ..again };
    Job::prepare(other, &host).unwrap().run(Start::Fresh, &host).unwrap();
    assert!(weights(folder, "run") == weights(folder, "other"));
}

/// A host that wants an end in the second epoch.
struct Impatient(Silent);

impl Host for Impatient {
    fn device(&self) -> &Device {
        self.0.device()
    }

    fn interrupt(&self) -> &AtomicBool {
        self.0.interrupt()
    }

    fn progress<'a>(&'a self, work: &Work) -> Box<dyn Progress + 'a> {
        let second = matches!(work, Work::Steps { epoch: 2, epochs: 3, .. });
        self.interrupt().store(second, Ordering::Relaxed);
        self.0.progress(work)
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_weights_and_with_no_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scans(folder);
    let host = Silent::new();
    Job::prepare(settings(folder, "whole"), &host).unwrap().run(Start::Fresh, &host).unwrap();
    let job = Job::prepare(settings(folder, "cut"), &host).unwrap();
    let ended = job.run(Start::Fresh, &Impatient(Silent::new()));
    assert!(matches!(&ended, Err(Error::Interrupted(_))), "{ended:?}");

    let goes_on = |change: &dyn Fn(&mut AdaptSettings)| {
        let mut changed = settings(folder, "cut");
        change(&mut changed);
        Job::prepare(changed, &host).unwrap().run(Start::Resume, &host)
    };
    let refused = goes_on(&|settings| settings.seed = 1).unwrap_err().to_string();
    assert!(refused.contains("--seed is 1 now and was 0"), "{refused}");
    let refused = goes_on(&|settings| settings.options.lr = Some(0.5)).unwrap_err().to_string();
    assert!(refused.contains("--lr"), "{refused}");
    // Memory and places may be others.
    goes_on(&|settings| settings.cache_gib = 1.0).unwrap();
    assert!(weights(folder, "whole") == weights(folder, "cut"));
}
