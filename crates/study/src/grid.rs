//! The grid of an experiment as jobs: source models by seed, heads by level, adaptations by method, target
//! and seed, and the scores of each.

use crate::commands::{self, Adaptation, Place, Scope};
use crate::data::{Data, Folder};
use crate::definition::{Cost, Definition, Method, Preset, Task};
use crate::made::{Made, Source, paths};
use crate::options::CommandOptions;
use crate::plan::{Builder, Demand, Job, Stage, Step};

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
            Data::Folder(Folder { path, fingerprint, .. }) => (path, fingerprint),
            Data::Phantom(size) => {
                // Checked where the experiment was read: a preset with a phantom is of one with a task.
                let task = self.definition.task.unwrap_or(Task::Head);
                let id = self.id(Stage::Phantom, &[]);
                let path = format!("{{out}}/{id}");
                let domains = self.definition.targets.len() + 1;
                let seconds = self.preset.cost.phantom * (size.subjects * domains) as f64;
                let job = self.job(
                    (id, Stage::Phantom),
                    vec![commands::phantom(task, size, &path)],
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
        let none = CommandOptions::default();
        let own = method.map_or(&none, |method| &method.train);
        let step = commands::train(self.preset, own, self.place(data, domain), seed, &path);
        let seconds = self.subjects(domain) * self.trained_part() * self.preset.cost.train;
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
        let on = self.place(data, domain);
        let step = commands::head(self.preset, on, &model.path, (level, seed), &path);
        let seconds = self.subjects(domain) * self.trained_part() * self.preset.cost.head;
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
        let on = self.place(data, domain);
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
        let adapted = (!method.options.is_empty())
            .then(|| self.add_adaptation(plan, data, source, (method, target)));
        let scored = adapted.as_ref().unwrap_or(model);
        // Without an adaptation the models predict together.
        let together = method.teachers && adapted.is_none();
        let beside = if together { source.peers() } else { Vec::new() };
        let score = self.add_score(plan, data, (scored, &beside), source, (method, target));
        let judge = adapted
            .as_ref()
            .and_then(|adapted| self.add_judgement(plan, data, source, adapted, (method, target)));
        let adapt = adapted.and_then(|made| made.job);
        let (source, target) = (domain.into(), target.into());
        Cell { source, target, method: method.name.clone(), seed, adapt, score, judge }
    }

    fn add_adaptation(
        &self,
        plan: &mut Builder,
        data: &Made,
        source: Source,
        (method, target): (&Method, &str),
    ) -> Made {
        let Source { domain, seed, .. } = source;
        let model = source.model();
        let head = method.head.map(|level| self.add_head(plan, data, source, level));
        let peers = if method.teachers { source.peers() } else { Vec::new() };
        let id = self.id_of_cell(Stage::Adapt, source, method, target);
        let path = format!("{{out}}/{id}");
        let from = Adaptation {
            method,
            model: &model.path,
            head: head.as_ref().map(|head| head.path.as_str()),
            teachers: &paths(&peers),
            source: self.place(data, domain),
            target: self.place(data, target),
            scope: self.scope(target, seed),
            seed,
        };
        let step = commands::adapt(self.preset, &from, &path);
        let needs: Vec<&Made> =
            [data, model].into_iter().chain(&head).chain(peers.iter().copied()).collect();
        let seen = if self.shot == Shot::One { 1.0 } else { self.subjects(target) };
        let seconds = seen * self.preset.cost.adapt;
        let job = self.job((id, Stage::Adapt), vec![step], &needs, &[MODEL], seconds);
        let job = plan.add(job, &data.fingerprint);
        Made { path, job: Some(job), fingerprint: String::new() }
    }

    /// Masks of a model, with others beside it if there are some, and their scores.
    fn add_score(
        &self,
        plan: &mut Builder,
        data: &Made,
        (model, beside): (&Made, &[&Made]),
        source: Source,
        (method, target): (&Method, &str),
    ) -> usize {
        let id = self.id_of_cell(Stage::Score, source, method, target);
        let predictions = format!("{{out}}/{id}/{PREDICTIONS}");
        let scores = format!("{{out}}/{id}/{SCORES}");
        let on = self.place(data, target);
        let steps = vec![
            commands::predict(self.preset, (&model.path, &paths(beside)), on, &predictions),
            commands::evaluate(self.preset, &predictions, on, &scores),
        ];
        let seconds = self.subjects(target) * self.preset.cost.score;
        let needs = [&[data, model], beside].concat();
        let job = self.job((id, Stage::Score), steps, &needs, &[SCORES], seconds);
        plan.add(job, &data.fingerprint)
    }

    fn id_of_cell(&self, stage: Stage, source: Source, method: &Method, target: &str) -> String {
        let place = [method.name.as_str(), target, &format!("seed-{}", source.seed)];
        self.id_of(stage, source.domain, &place)
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
        let id = self.id_of_cell(Stage::Judge, source, method, target);
        let from = [&model.path, &adapted.path, &calibration.path].map(String::as_str);
        let judged = |peers: &[&str], name: &str| {
            let judgement = format!("{{out}}/{id}/{name}");
            commands::judge(self.preset, from, peers, self.place(data, target), &judgement)
        };
        let names = paths(&peers);
        let (mut steps, mut outputs) = (vec![judged(&[], JUDGEMENT)], vec![JUDGEMENT]);
        if !names.is_empty() {
            steps.push(judged(&names, JUDGEMENT_ASKED));
            outputs.push(JUDGEMENT_ASKED);
        }
        let seconds = steps.len() as f64 * self.subjects(target) * self.preset.cost.score;
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

    fn place<'b>(&self, data: &'b Made, domain: &'b str) -> Place<'b> {
        Place { data: &data.path, domain, subjects: self.data.count(domain) }
    }

    /// Subjects of a domain, for the estimate.
    fn subjects(&self, domain: &str) -> f64 {
        self.data.count(domain) as f64
    }

    /// What an adaptation with this seed sees.
    fn scope(&self, target: &str, seed: u64) -> Scope {
        match self.shot {
            Shot::All => Scope::Domain,
            Shot::One => Scope::OneSubject(1 + seed as usize % self.data.count(target).max(1)),
        }
    }

    /// The part of the source domain that is trained on.
    fn trained_part(&self) -> f64 {
        self.preset.folds.map_or(1.0, |folds| (folds - 1) as f64 / folds as f64)
    }
}

#[cfg(test)]
#[path = "grid_test.rs"]
mod tests;
