//! The grid of an experiment as jobs: source models by seed, heads by level, adaptations by method, target
//! and seed, and the scores of each.

use std::path::PathBuf;

use super::commands::{self, Adaptation, Scope};
use super::definition::{Cost, Definition, Method, Phantom, Preset};
use super::plan::{Builder, Demand, Job, Stage, Step};

/// Where an experiment's images come from.
#[derive(Debug, Clone)]
pub enum Data {
    /// Made by the phantom in this size, as a job.
    Phantom(Phantom),
    /// A folder of the user's.
    Folder {
        /// The folder.
        path: PathBuf,
        /// What it holds, in short.
        fingerprint: String,
        /// Subjects of a domain, about: for the estimate.
        subjects: usize,
    },
}

/// An experiment at a certain size.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    /// What is compared.
    pub definition: &'a Definition,
    /// How large.
    pub preset: &'a Preset,
    /// On what.
    pub data: &'a Data,
    /// How much of a target a method sees.
    pub shot: Shot,
    /// From where to where.
    pub pairs: Pairs,
}

/// From where to where models are adapted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// From the experiment's source to each of its targets.
    Own,
    /// From each of its domains to every other one.
    All,
}

/// How much of a target a method sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shot {
    /// All its subjects.
    All,
    /// One subject, another one for every seed.
    One,
}

/// Where the outcome of one source, target, method and seed is found.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The source.
    pub source: String,
    /// The target.
    pub target: String,
    /// The method's name.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The adaptation's job; none for the source model as it is.
    pub adapt: Option<usize>,
    /// The score's job.
    pub score: usize,
    /// The job that judges the adaptation without labels, where verdicts are studied.
    pub judge: Option<usize>,
}

/// Name of the scores in a score job's folder.
pub const SCORES: &str = "scores.json";
/// Name of the verdict in a judge job's folder.
pub const JUDGEMENT: &str = "judgement.json";
/// The same with the source model's other trainings asked, where there are some.
pub const JUDGEMENT_ASKED: &str = "judgement_asked.json";
/// Name of the predictions in a score job's folder.
pub const PREDICTIONS: &str = "predictions";
/// What a run of the program leaves in its folder.
const MODEL: &str = "model.safetensors";
/// Name of what a calibration job makes.
const CALIBRATION: &str = "calibration.json";

impl Grid<'_> {
    /// Adds the experiment's jobs to a plan; returns its cells in the order of sources, targets, methods and seeds.
    pub fn add_to(&self, plan: &mut Builder) -> Vec<Cell> {
        let data = self.add_data(plan);
        let sources = match self.pairs {
            Pairs::Own => vec![self.definition.source.as_str()],
            Pairs::All => self.definition.domains(),
        };
        sources.iter().flat_map(|source| self.add_pairs_from(plan, &data, source)).collect()
    }

    fn add_pairs_from(&self, plan: &mut Builder, data: &Made, domain: &str) -> Vec<Cell> {
        let methods = self.definition.methods_of(self.preset);
        let mut cells = Vec::new();
        // All of a stage before the next: the plan's order is the one in which a small machine works it off.
        let models: Vec<Made> = self
            .preset
            .seeds
            .iter()
            .map(|&seed| self.add_source(plan, data, (domain, seed), None))
            .collect();
        let targets = self.definition.domains().into_iter().filter(|target| *target != domain);
        for target in targets {
            for method in &methods {
                for (own, &seed) in self.preset.seeds.iter().enumerate() {
                    let source = Source { domain, models: &models, own, seed };
                    cells.push(self.add_cell(plan, data, source, target, method));
                }
            }
        }
        cells
    }

    fn id(&self, stage: Stage, parts: &[&str]) -> String {
        [&[self.definition.name.as_str(), stage.name()], parts].concat().join("/")
    }

    fn add_data(&self, plan: &mut Builder) -> Made {
        let (path, fingerprint) = match self.data {
            Data::Folder { path, fingerprint, .. } => (path, fingerprint),
            Data::Phantom(size) => {
                let id = self.id(Stage::Phantom, &[]);
                let path = format!("{{out}}/{id}");
                let domains = self.definition.targets.len() + 1;
                let seconds = self.preset.cost.phantom * (size.subjects * domains) as f64;
                let job = self.job(
                    (id, Stage::Phantom),
                    vec![commands::phantom(self.definition, size, &path)],
                    &[],
                    &["README.txt"],
                    seconds,
                );
                let job = plan.add(job, "");
                return Made { path, job: Some(job), fingerprint: String::new() };
            }
        };
        let path = path.to_string_lossy().into_owned();
        Made { path, job: None, fingerprint: fingerprint.clone() }
    }

    /// The name of a job that belongs to a source: the experiment's own goes without saying.
    fn id_of(&self, stage: Stage, source: &str, parts: &[&str]) -> String {
        let from = format!("from-{source}");
        let own = source == self.definition.source;
        let parts = if own { parts.to_vec() } else { [&[from.as_str()], parts].concat() };
        self.id(stage, &parts)
    }

    /// The experiment's source model, or the one that a method trains in its own way.
    fn add_source(
        &self,
        plan: &mut Builder,
        data: &Made,
        (domain, seed): (&str, u64),
        method: Option<&Method>,
    ) -> Made {
        let seed_part = format!("seed-{seed}");
        let parts: Vec<&str> = method
            .map(|method| method.name.as_str())
            .into_iter()
            .chain([seed_part.as_str()])
            .collect();
        let id = self.id_of(Stage::Source, domain, &parts);
        let path = format!("{{out}}/{id}");
        let own = method.map_or(&[][..], |method| &method.train);
        let step = commands::train(self.preset, own, [&data.path, domain], seed, &path);
        let seconds = self.subjects() * self.trained_part() * self.preset.cost.train;
        let job = self.job((id, Stage::Source), vec![step], &[data], &[MODEL], seconds);
        let job = plan.add(job, &data.fingerprint);
        Made { path, job: Some(job), fingerprint: String::new() }
    }

    fn add_head(&self, plan: &mut Builder, data: &Made, source: Source, level: usize) -> Made {
        let Source { domain, seed, .. } = source;
        let model = source.model();
        let parts = [format!("level-{level}"), format!("seed-{seed}")];
        let id = self.id_of(Stage::Head, domain, &parts.each_ref().map(String::as_str));
        let path = format!("{{out}}/{id}");
        let on = [data.path.as_str(), domain];
        let step = commands::head(self.preset, on, &model.path, (level, seed), &path);
        let seconds = self.subjects() * self.trained_part() * self.preset.cost.head;
        let job = self.job((id, Stage::Head), vec![step], &[data, model], &[MODEL], seconds);
        let job = plan.add(job, &data.fingerprint);
        Made { path, job: Some(job), fingerprint: String::new() }
    }

    /// The calibration of a source model, where verdicts are studied.
    fn add_calibration(&self, plan: &mut Builder, data: &Made, source: Source) -> Option<Made> {
        if self.preset.options.calibrate.is_empty() {
            return None;
        }
        let Source { domain, seed, .. } = source;
        let (model, peers) = (source.model(), source.peers());
        let id = self.id_of(Stage::Calibrate, domain, &[&format!("seed-{seed}")]);
        let path = format!("{{out}}/{id}/{CALIBRATION}");
        let on = [data.path.as_str(), domain];
        let names = paths(&peers);
        let step = commands::calibrate(self.preset, on, (&model.path, &names), seed, &path);
        let seconds = self.preset.cost.calibrate;
        let needs = [&[data, model][..], &peers].concat();
        let job = self.job((id, Stage::Calibrate), vec![step], &needs, &[CALIBRATION], seconds);
        let job = plan.add(job, &data.fingerprint);
        Some(Made { path, job: Some(job), fingerprint: String::new() })
    }

    fn add_cell(
        &self,
        plan: &mut Builder,
        data: &Made,
        source: Source,
        target: &str,
        method: &Method,
    ) -> Cell {
        let Source { domain, seed, .. } = source;
        let trained = (!method.train.is_empty())
            .then(|| self.add_source(plan, data, (domain, seed), Some(method)));
        let model = trained.as_ref().unwrap_or(source.model());
        let peers = if method.teachers { source.peers() } else { Vec::new() };
        let place = [method.name.as_str(), target, &format!("seed-{seed}")];
        let adapted = (!method.options.is_empty()).then(|| {
            let head = method.head.map(|level| self.add_head(plan, data, source, level));
            let id = self.id_of(Stage::Adapt, domain, &place);
            let path = format!("{{out}}/{id}");
            let from = Adaptation {
                method,
                model: &model.path,
                head: head.as_ref().map(|head| head.path.as_str()),
                teachers: &paths(&peers),
                data: &data.path,
                source: domain,
                target,
                scope: self.scope(seed),
                seed,
            };
            let step = commands::adapt(self.preset, &from, &path);
            let needs: Vec<&Made> =
                [data, model].into_iter().chain(&head).chain(peers.iter().copied()).collect();
            let seen = if self.shot == Shot::One { 1.0 } else { self.subjects() };
            let seconds = seen * self.preset.cost.adapt;
            let job = self.job((id, Stage::Adapt), vec![step], &needs, &[MODEL], seconds);
            let job = plan.add(job, &data.fingerprint);
            Made { path, job: Some(job), fingerprint: String::new() }
        });
        let scored = adapted.as_ref().unwrap_or(model);
        // Without an adaptation the models predict together.
        let beside = if adapted.is_none() { peers.as_slice() } else { &[] };
        let id = self.id_of(Stage::Score, domain, &place);
        let predictions = format!("{{out}}/{id}/{PREDICTIONS}");
        let scores = format!("{{out}}/{id}/{SCORES}");
        let on = [data.path.as_str(), target];
        let steps = vec![
            commands::predict(self.preset, (&scored.path, &paths(beside)), on, &predictions),
            commands::evaluate(self.preset, &predictions, on, &scores),
        ];
        let seconds = self.subjects() * self.preset.cost.score;
        let needs = [&[data, scored], beside].concat();
        let job = self.job((id, Stage::Score), steps, &needs, &[SCORES], seconds);
        let score = plan.add(job, &data.fingerprint);
        let judge = adapted
            .as_ref()
            .and_then(|adapted| self.add_judgement(plan, data, source, adapted, (method, target)));
        let adapt = adapted.and_then(|made| made.job);
        let (source, target) = (domain.into(), target.into());
        Cell { source, target, method: method.name.clone(), seed, adapt, score, judge }
    }

    /// The verdict on an adaptation, where verdicts are studied: a job of its own, because signals change more
    /// often than models do. What has taught the model is no evidence, and is not asked.
    fn add_judgement(
        &self,
        plan: &mut Builder,
        data: &Made,
        source: Source,
        adapted: &Made,
        (method, target): (&Method, &str),
    ) -> Option<usize> {
        let model = source.model();
        let peers = if method.teachers { Vec::new() } else { source.peers() };
        let calibration = self.add_calibration(plan, data, source)?;
        let place = [method.name.as_str(), target, &format!("seed-{}", source.seed)];
        let id = self.id_of(Stage::Judge, source.domain, &place);
        let from = [&model.path, &adapted.path, &calibration.path].map(String::as_str);
        let judged = |peers: &[&str], name: &str| {
            let judgement = format!("{{out}}/{id}/{name}");
            commands::judge(self.preset, from, peers, [&data.path, target], &judgement)
        };
        let names = paths(&peers);
        let (mut steps, mut outputs) = (vec![judged(&[], JUDGEMENT)], vec![JUDGEMENT]);
        if !names.is_empty() {
            steps.push(judged(&names, JUDGEMENT_ASKED));
            outputs.push(JUDGEMENT_ASKED);
        }
        let seconds = steps.len() as f64 * self.subjects() * self.preset.cost.score;
        let needs = [&[data, model, adapted, &calibration][..], &peers].concat();
        let job = self.job((id, Stage::Judge), steps, &needs, &outputs, seconds);
        Some(plan.add(job, &data.fingerprint))
    }

    fn job(
        &self,
        (id, stage): (String, Stage),
        steps: Vec<Step>,
        needs: &[&Made],
        outputs: &[&str],
        seconds: f64,
    ) -> Job {
        let Cost { threads, memory_mb, .. } = self.preset.cost;
        Job {
            outputs: outputs.iter().map(|name| format!("{{out}}/{id}/{name}")).collect(),
            id,
            stage,
            steps,
            inputs: needs.iter().map(|made| made.path.clone()).collect(),
            needs: needs.iter().filter_map(|made| made.job).collect(),
            hash: String::new(),
            demand: Demand { seconds, threads, memory_mb },
        }
    }

    /// Subjects of a domain, about.
    fn subjects(&self) -> f64 {
        match self.data {
            Data::Phantom(size) => size.subjects as f64,
            Data::Folder { subjects, .. } => *subjects as f64,
        }
    }

    /// What an adaptation with this seed sees.
    fn scope(&self, seed: u64) -> Scope {
        match self.shot {
            Shot::All => Scope::Domain,
            Shot::One => Scope::OneSubject(1 + seed as usize % (self.subjects() as usize).max(1)),
        }
    }

    /// The part of the source domain that is trained on.
    fn trained_part(&self) -> f64 {
        self.preset.folds.map_or(1.0, |folds| (folds - 1) as f64 / folds as f64)
    }
}

/// A source model, with the others of its domain.
#[derive(Clone, Copy)]
struct Source<'a> {
    domain: &'a str,
    /// One a seed.
    models: &'a [Made],
    /// Which of them is meant.
    own: usize,
    seed: u64,
}

impl<'a> Source<'a> {
    fn model(self) -> &'a Made {
        &self.models[self.own]
    }

    /// The models of the other seeds.
    fn peers(self) -> Vec<&'a Made> {
        let [before, after] = [&self.models[..self.own], &self.models[self.own + 1..]];
        before.iter().chain(after).collect()
    }
}

/// Something a job reads: its path, and the job that makes it or the fingerprint of what is there.
struct Made {
    path: String,
    job: Option<usize>,
    fingerprint: String,
}

fn paths<'a>(made: &[&'a Made]) -> Vec<&'a str> {
    made.iter().map(|made| made.path.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::super::local::Capacity;
    use super::super::state::State;
    use super::super::{estimate, files};
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::time::Instant;

    fn definition(name: &str) -> Definition {
        definition::load(&definition::folder(), name).unwrap()
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
        let hashes =
            |jobs: &[Job]| jobs.iter().map(|job| job.hash.clone()).collect::<BTreeSet<_>>();
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
            let trained =
                needs.iter().map(|&need| &jobs[need]).find(|job| job.id == model).unwrap();
            let words = trained.steps[0].arguments.join(" ");
            assert!(words.ends_with("--intensity percentile"), "{words}");
            assert!(words.contains("--augment intensity --filters 8"), "{words}");
        }
        let sources = jobs.iter().filter(|job| job.stage == Stage::Source).count();
        assert_eq!(sources, 2 * preset.seeds.len());
    }

    #[test]
    fn folds_go_round_with_the_seeds() {
        let definition = definition("cc359");
        let mut preset = definition.preset("paper").unwrap().clone();
        (preset.folds, preset.seeds) = (Some(3), vec![4]);
        let step = commands::train(&preset, &[], ["d", "GE_3"], 4, "o");
        let at = step.arguments.iter().position(|argument| argument == "--fold").unwrap();
        assert_eq!(step.arguments[at + 1], "1/3");
    }

    #[test]
    fn a_thousand_subjects_and_sixty_jobs_are_planned_in_less_than_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let definition = definition("cc359");
        let domains: Vec<_> = definition.targets.iter().chain([&definition.source]).collect();
        for (domain, number) in domains.iter().cycle().zip(0..1000) {
            for (kind, ending) in [("Original", ""), ("Silver-standard", "_ss")] {
                let site = folder.path().join(kind).join(domain);
                fs::create_dir_all(&site).unwrap();
                fs::write(site.join(format!("S{number}{ending}.nii.gz")), "").unwrap();
            }
        }
        let mut preset = definition.preset("quick").unwrap().clone();
        preset.seeds = vec![0, 1];
        let start = Instant::now();
        let tree = files::tree(folder.path()).unwrap();
        assert_eq!(tree.files, 2000);
        let data = Data::Folder {
            path: folder.path().into(),
            fingerprint: tree.fingerprint,
            subjects: 1000 / domains.len(),
        };
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
}
