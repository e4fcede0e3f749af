//! Plans of whole experiments: complete, in order, quick to make, and with jobs that keep their names.

use super::*;
use crate::catalogue::Catalogue;
use crate::estimate;
use crate::queue::Capacity;
use crate::state::State;
use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

fn definition(name: &str) -> Definition {
    Catalogue::Stock.load(name).unwrap()
}

fn grid<'a>(definition: &'a Definition, preset: &'a Preset, data: &'a Data) -> Grid<'a> {
    Grid { definition, preset, data, shot: Shot::All, pairs: Pairs::Own }
}

#[test]
fn the_grid_is_complete_and_in_order() {
    for name in ["cc359", "mnms"] {
        let definition = definition(name);
        let preset = definition.preset("quick").unwrap();
        let data = Data::Phantom(preset.phantom.unwrap());
        let grid = grid(&definition, preset, &data);
        let mut builder = Builder::new(String::new());
        let cells = grid.add_to(&mut builder);
        let plan = builder.finish("out".into(), "udas".into());
        let methods = definition.methods_of(preset).len();
        assert_eq!(cells.len(), definition.targets.len() * methods * preset.seeds.len());
        for (place, job) in plan.jobs.iter().enumerate() {
            assert!(job.needs.iter().all(|&need| need < place), "{}", job.id);
            assert!(job.stage == Stage::Phantom || !job.needs.is_empty(), "{}", job.id);
        }
        let names: BTreeSet<&str> = plan.jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!(names.len(), plan.jobs.len());
    }
}

#[test]
fn all_ordered_pairs_share_their_data_and_no_job() {
    let definition = definition("mnms");
    let preset = definition.preset("quick").unwrap();
    let data = Data::Phantom(preset.phantom.unwrap());
    let grid = |pairs| Grid { pairs, ..grid(&definition, preset, &data) };
    let cells_and_jobs = |pairs| {
        let mut builder = Builder::new(String::new());
        let cells = grid(pairs).add_to(&mut builder);
        (cells, builder.finish("out".into(), "udas".into()).jobs)
    };
    let (own, own_jobs) = cells_and_jobs(Pairs::Own);
    let (all, all_jobs) = cells_and_jobs(Pairs::All);
    assert_eq!(all.len(), 4 * own.len());
    let pairs: BTreeSet<_> = all.iter().map(|cell| (&cell.source, &cell.target)).collect();
    assert!(pairs.len() == 12 && pairs.iter().all(|(source, target)| source != target));
    let names = |jobs: &[Job]| jobs.iter().map(|job| job.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&all_jobs).len(), all_jobs.len());
    // What the experiment's own source has come to serves the larger plan.
    let hashes = |jobs: &[Job]| jobs.iter().map(|job| job.hash.clone()).collect::<BTreeSet<_>>();
    assert!(hashes(&all_jobs).is_superset(&hashes(&own_jobs)));
    assert_eq!(all_jobs.iter().filter(|job| job.stage == Stage::Phantom).count(), 1);
}

#[test]
fn a_method_with_a_source_model_of_its_own_is_scored_as_it_is() {
    let mut definition = definition("cc359");
    definition.restrict("verdicts", &["percentile-training".into()]).unwrap();
    let preset = definition.preset("verdicts").unwrap();
    let data = Data::Phantom(preset.phantom.unwrap());
    let mut builder = Builder::new(String::new());
    let cells = grid(&definition, preset, &data).add_to(&mut builder);
    let jobs = builder.finish("out".into(), "udas".into()).jobs;
    let own: Vec<&Cell> = cells.iter().filter(|c| c.method == "percentile-training").collect();
    assert_eq!(own.len(), definition.targets.len() * preset.seeds.len());
    for cell in own {
        assert!(cell.adapt.is_none() && cell.judge.is_none());
        let model = format!("cc359/source/percentile-training/seed-{}", cell.seed);
        let needs = &jobs[cell.score].needs;
        let trained = needs.iter().map(|&need| &jobs[need]).find(|job| job.id == model).unwrap();
        let words = trained.steps[0].arguments.join(" ");
        assert!(words.ends_with("--intensity percentile --subjects 1-3"), "{words}");
        assert!(words.contains("--augment intensity --filters 8"), "{words}");
    }
    let sources = jobs.iter().filter(|job| job.stage == Stage::Source).count();
    assert_eq!(sources, 2 * preset.seeds.len());
}

#[test]
fn a_thousand_subjects_and_sixty_jobs_are_planned_in_less_than_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let definition = definition("cc359");
    let domains: Vec<_> = definition.targets.iter().chain([&definition.source]).collect();
    for (domain, number) in domains.iter().cycle().zip(0..1000) {
        for kind in ["images", "masks"] {
            let site = folder.path().join(domain).join(kind);
            fs::create_dir_all(&site).unwrap();
            fs::write(site.join(format!("S{number}.nii.gz")), "").unwrap();
        }
    }
    let mut preset = definition.preset("quick").unwrap().clone();
    preset.seeds = vec![0, 1];
    let start = Instant::now();
    let data = Data::Folder(Folder::open(folder.path()).unwrap());
    data.check(&definition, &preset, Pairs::All).unwrap();
    assert_eq!(data.count(&definition.source), 1000 / domains.len());
    let grid = grid(&definition, &preset, &data);
    let mut builder = Builder::new(String::new());
    grid.add_to(&mut builder);
    let plan = builder.finish(folder.path().join("out"), "udas".into());
    let state = State::of(&plan.out);
    let capacity = Capacity { threads: 2, memory_mb: 100_000, jobs: 9 };
    let estimate = estimate::estimate(&plan, &state, capacity);
    let seconds = start.elapsed().as_secs_f64();
    assert!(plan.jobs.len() >= 60 && estimate.clock > 0.0, "{} jobs", plan.jobs.len());
    assert!(seconds < 1.0, "planned in {seconds:.2} s");
}

/// Ten times the jobs must not take a hundred times as long; what is measured is bounded generously.
#[test]
fn planning_grows_with_the_number_of_jobs() {
    let definition = definition("cc359");
    let folder = tempfile::tempdir().unwrap();
    let time = |seeds: u64| {
        let mut preset = definition.preset("quick").unwrap().clone();
        preset.seeds = (0..seeds).collect();
        let data = Data::Phantom(preset.phantom.unwrap());
        let grid = grid(&definition, &preset, &data);
        let start = Instant::now();
        let mut builder = Builder::new(String::new());
        grid.add_to(&mut builder);
        let plan = builder.finish(folder.path().into(), "udas".into());
        let capacity = Capacity { threads: 2, memory_mb: 100_000, jobs: 9 };
        estimate::estimate(&plan, &State::of(folder.path()), capacity);
        start.elapsed().as_secs_f64()
    };
    let (small, large) = (time(30).max(1e-3), time(300));
    assert!(large < 50.0 * small, "{small} s for 30 seeds, {large} s for 300");
}
