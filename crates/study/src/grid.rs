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

/// A cell of the grid before it is planned: from which source to which target, by which method.
#[derive(Clone, Copy)]
struct Trial<'a> {
    data: &'a Made,
    source: Source<'a>,
    target: &'a str,
    method: &'a Method,
}

/// A job as the grid has it; what all jobs of a preset share is added to it.
struct Draft<'a> {
    id: String,
    stage: Stage,
    steps: Vec<Step>,
    /// What it reads, the data first.
    needs: Vec<&'a Made>,
    /// Names of what it leaves in its folder.
    outputs: Vec<&'a str>,
    /// How long it takes, estimated.
    seconds: f64,
}

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
        let seeds = &self.preset.seeds;
        let models: Vec<Made> =
            seeds.iter().map(|&seed| self.add_source(plan, data, domain, seed)).collect();
        let targets = self.definition.domains().into_iter().filter(|target| *target != domain);
        for target in targets {
            for method in &methods {
                for (own, &seed) in seeds.iter().enumerate() {
                    let source = Source { domain, models: &models, own, seed };
                    cells.push(self.add_cell(plan, Trial { data, source, target, method }));
                }
            }
        }
        cells
    }

    fn id(&self, stage: Stage, parts: &[&str]) -> String {
        [&[self.definition.name.as_str(), stage.name()], parts].concat().join("/")
    }

    fn add_data(&self, plan: &mut Builder) -> Made {
        let size = match self.data {
            Data::Folder(Folder { path, fingerprint, .. }) => {
                let path = path.to_string_lossy().into_owned();
                return Made { path, job: None, fingerprint: fingerprint.clone() };
            }
            Data::Phantom(size) => size,
        };
        // Checked where the experiment was read: a preset with a phantom is of one with a task.
        let task = self.definition.task.unwrap_or(Task::Head);
        let (stage, id) = (Stage::Phantom, self.id(Stage::Phantom, &[]));
        let path = format!("{{out}}/{id}");
        let steps = vec![commands::phantom(task, size, &path)];
        let domains = self.definition.targets.len() + 1;
        let seconds = self.preset.cost.phantom * (size.subjects * domains) as f64;
        let outputs = vec!["README.txt"];
        self.add(plan, &path, Draft { id, stage, steps, needs: Vec::new(), outputs, seconds })
    }

    /// The name of a job that belongs to a source: the experiment's own goes without saying.
    fn id_of(&self, stage: Stage, source: &str, parts: &[&str]) -> String {
        let from = format!("from-{source}");
        let own = source == self.definition.source;
        let parts = if own { parts.to_vec() } else { [&[from.as_str()], parts].concat() };
        self.id(stage, &parts)
    }

    /// The experiment's source model.
    fn add_source(&self, plan: &mut Builder, data: &Made, domain: &str, seed: u64) -> Made {
        let id = self.id_of(Stage::Source, domain, &[&format!("seed-{seed}")]);
        let path = format!("{{out}}/{id}");
        let making = commands::Making { on: self.place(data, domain), seed, out: &path };
        let step = commands::train(self.preset, &CommandOptions::default(), making);
        self.add(plan, &path, self.training(id, step, data, domain))
    }

    /// The source model that a method trains in its own way, where it does.
    fn add_own_source(&self, plan: &mut Builder, trial: Trial) -> Option<Made> {
        let Trial { data, source: Source { domain, seed, .. }, method, .. } = trial;
        if method.train.is_empty() {
            return None;
        }
        let id = self.id_of(Stage::Source, domain, &[&method.name, &format!("seed-{seed}")]);
        let path = format!("{{out}}/{id}");
        let making = commands::Making { on: self.place(data, domain), seed, out: &path };
        let step = commands::train(self.preset, &method.train, making);
        Some(self.add(plan, &path, self.training(id, step, data, domain)))
    }

    fn training<'b>(&self, id: String, step: Step, data: &'b Made, domain: &str) -> Draft<'b> {
        let seconds = self.subjects(domain) * self.trained_part() * self.preset.cost.train;
        let (steps, needs, outputs) = (vec![step], vec![data], vec![MODEL]);
        Draft { id, stage: Stage::Source, steps, needs, outputs, seconds }
    }

    /// The early head that a method needs, where it needs one.
    fn add_head(&self, plan: &mut Builder, trial: Trial) -> Option<Made> {
        let Trial { data, source, method, .. } = trial;
        let (level, Source { domain, seed, .. }) = (method.head?, source);
        let model = source.model();
        let parts = [format!("level-{level}"), format!("seed-{seed}")];
        let id = self.id_of(Stage::Head, domain, &parts.each_ref().map(String::as_str));
        let path = format!("{{out}}/{id}");
        let making = commands::Making { on: self.place(data, domain), seed, out: &path };
        let steps = vec![commands::head(self.preset, &model.path, level, making)];
        let seconds = self.subjects(domain) * self.trained_part() * self.preset.cost.head;
        let (stage, needs, outputs) = (Stage::Head, vec![data, model], vec![MODEL]);
        Some(self.add(plan, &path, Draft { id, stage, steps, needs, outputs, seconds }))
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
        let making = commands::Making { on: self.place(data, domain), seed, out: &path };
        let models = commands::Models { model: &model.path, beside: &paths(&peers) };
        let steps = vec![commands::calibrate(self.preset, models, making)];
        let needs = [&[data, model][..], &peers].concat();
        let (stage, outputs) = (Stage::Calibrate, vec![CALIBRATION]);
        let seconds = self.preset.cost.calibrate;
        Some(self.add(plan, &path, Draft { id, stage, steps, needs, outputs, seconds }))
    }

    fn add_cell(&self, plan: &mut Builder, trial: Trial) -> Cell {
        let Trial { source, target, method, .. } = trial;
        let trained = self.add_own_source(plan, trial);
        let model = trained.as_ref().unwrap_or(source.model());
        let adapted = (!method.options.is_empty()).then(|| self.add_adaptation(plan, trial));
        let scored = adapted.as_ref().unwrap_or(model);
        // Without an adaptation the models predict together.
        let together = method.teachers && adapted.is_none();
        let beside = if together { source.peers() } else { Vec::new() };
        let score = self.add_score(plan, trial, scored, &beside);
        let judge = adapted.as_ref().and_then(|adapted| self.add_judgement(plan, trial, adapted));
        Cell {
            source: source.domain.into(),
            target: target.into(),
            method: method.name.clone(),
            seed: source.seed,
            adapt: adapted.and_then(|made| made.job),
            score,
            judge,
        }
    }

    fn add_adaptation(&self, plan: &mut Builder, trial: Trial) -> Made {
        let Trial { data, source, target, method } = trial;
        let Source { domain, seed, .. } = source;
        let model = source.model();
        let head = self.add_head(plan, trial);
        let peers = if method.teachers { source.peers() } else { Vec::new() };
        let id = self.id_of_trial(Stage::Adapt, trial);
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
        let steps = vec![commands::adapt(self.preset, &from, &path)];
        let needs = [data, model].into_iter().chain(&head).chain(peers.iter().copied()).collect();
        let seen = if self.shot == Shot::One { 1.0 } else { self.subjects(target) };
        let seconds = seen * self.preset.cost.adapt;
        let (stage, outputs) = (Stage::Adapt, vec![MODEL]);
        self.add(plan, &path, Draft { id, stage, steps, needs, outputs, seconds })
    }

    /// Masks of a model, with others beside it if there are some, and their scores.
    fn add_score(&self, plan: &mut Builder, trial: Trial, model: &Made, beside: &[&Made]) -> usize {
        let Trial { data, target, .. } = trial;
        let (stage, id) = (Stage::Score, self.id_of_trial(Stage::Score, trial));
        let predictions = format!("{{out}}/{id}/{PREDICTIONS}");
        let scores = format!("{{out}}/{id}/{SCORES}");
        let on = self.place(data, target);
        let models = commands::Models { model: &model.path, beside: &paths(beside) };
        let steps = vec![
            commands::predict(self.preset, models, on, &predictions),
            commands::evaluate(self.preset, &predictions, on, &scores),
        ];
        let seconds = self.subjects(target) * self.preset.cost.score;
        let needs = [&[data, model], beside].concat();
        let outputs = vec![SCORES];
        self.add_job(plan, Draft { id, stage, steps, needs, outputs, seconds })
    }

    fn id_of_trial(&self, stage: Stage, trial: Trial) -> String {
        let Trial { source, target, method, .. } = trial;
        let place = [method.name.as_str(), target, &format!("seed-{}", source.seed)];
        self.id_of(stage, source.domain, &place)
    }

    /// The verdict on an adaptation, where verdicts are studied: a job of its own, because signals change more
    /// often than models do. What has taught the model is no evidence, and is not asked.
    fn add_judgement(&self, plan: &mut Builder, trial: Trial, adapted: &Made) -> Option<usize> {
        let Trial { data, source, target, method } = trial;
        let model = source.model();
        let peers = if method.teachers { Vec::new() } else { source.peers() };
        let calibration = self.add_calibration(plan, data, source)?;
        let (stage, id) = (Stage::Judge, self.id_of_trial(Stage::Judge, trial));
        let judged = |peers: &[&str], name: &str| {
            let judgement = commands::Judgement {
                before: &model.path,
                after: &adapted.path,
                calibration: &calibration.path,
                peers,
            };
            let out = format!("{{out}}/{id}/{name}");
            commands::judge(self.preset, judgement, self.place(data, target), &out)
        };
        let names = paths(&peers);
        let (mut steps, mut outputs) = (vec![judged(&[], JUDGEMENT)], vec![JUDGEMENT]);
        if !names.is_empty() {
            steps.push(judged(&names, JUDGEMENT_ASKED));
            outputs.push(JUDGEMENT_ASKED);
        }
        let seconds = steps.len() as f64 * self.subjects(target) * self.preset.cost.score;
        let needs = [&[data, model, adapted, &calibration][..], &peers].concat();
        Some(self.add_job(plan, Draft { id, stage, steps, needs, outputs, seconds }))
    }

    /// Adds a job that makes what others read at `path`.
    fn add(&self, plan: &mut Builder, path: &str, draft: Draft) -> Made {
        let job = Some(self.add_job(plan, draft));
        Made { path: path.into(), job, fingerprint: String::new() }
    }

    fn add_job(&self, plan: &mut Builder, draft: Draft) -> usize {
        let Cost { threads, memory_mb, .. } = self.preset.cost;
        let Draft { id, stage, steps, needs, outputs, seconds } = draft;
        // Of all that is read only the data may have a fingerprint.
        let fingerprint = needs.first().map_or("", |data| data.fingerprint.as_str());
        let job = Job {
            outputs: outputs.iter().map(|name| format!("{{out}}/{id}/{name}")).collect(),
            id,
            stage,
            steps,
            inputs: needs.iter().map(|made| made.path.clone()).collect(),
            needs: needs.iter().filter_map(|made| made.job).collect(),
            hash: String::new(),
            demand: Demand { seconds, threads, memory_mb },
        };
        plan.add(job, fingerprint)
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
