//! Experiments with their size, data and folder: planned, run, and their results shown.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use udas_record::RESULTS_FILE;

use crate::data::{Data, Folder};
use crate::definition::{Definition, Preset};
use crate::error::{At, Error, Result};
use crate::estimate::{self, duration};
use crate::grid::{Cell, Grid, Pairs, Shot};
use crate::plan::{Builder, Plan, Stage};
use crate::progress::Tell;
use crate::queue::Capacity;
use crate::results::{CSV_FILE, Maker};
use crate::state::State;
use crate::{files, local, results, slurm, table, verdicts};

/// What is to be done with experiments.
#[derive(Debug, Clone)]
pub struct StudyConfig {
    /// How large: a preset that they all have.
    pub preset: String,
    /// A data set, or a folder with one of each experiment's name; none: a phantom is made.
    pub data: Option<PathBuf>,
    /// How much of a target a method sees.
    pub shot: Shot,
    /// From where to where.
    pub pairs: Pairs,
    /// Folder of jobs, results and pages.
    pub out: PathBuf,
    /// The program `udas`.
    pub program: PathBuf,
    /// Who makes the results, for their provenance.
    pub maker: Maker,
}

/// Where jobs run.
#[derive(Debug, Clone, Copy)]
pub enum Executor {
    /// This machine, within its capacity.
    Local(Capacity),
    /// A Slurm cluster that shares the folder.
    Slurm {
        /// At most so many jobs of an array at once.
        jobs: Option<usize>,
    },
}

/// Experiments, planned.
#[derive(Debug)]
pub struct Study {
    parts: Vec<Part>,
    plan: Plan,
    maker: Maker,
}

/// One experiment of a study.
#[derive(Debug)]
struct Part {
    definition: Definition,
    preset: Preset,
    data: Data,
    shot: Shot,
    pairs: Pairs,
    cells: Vec<Cell>,
}

impl Part {
    fn new(definition: Definition, config: &StudyConfig, of: usize) -> Result<Self> {
        let preset = definition.preset(&config.preset)?.clone();
        let data = match (&config.data, preset.phantom) {
            (Some(root), _) => Data::Folder(Folder::of(&definition, root, of)?),
            (None, Some(phantom)) => Data::Phantom(phantom),
            (None, None) => {
                return Err(Error::Request(format!(
                    "{} with preset {} runs on real data only: name their folder with --data",
                    definition.name, config.preset
                )));
            }
        };
        let StudyConfig { shot, pairs, .. } = *config;
        data.check(&definition, &preset, pairs)?;
        Ok(Self { definition, preset, data, shot, pairs, cells: Vec::new() })
    }

    fn grid(&self) -> Grid<'_> {
        let Self { definition, preset, data, shot, pairs, .. } = self;
        Grid { definition, preset, data, shot: *shot, pairs: *pairs }
    }
}

/// What came out of one experiment.
#[derive(Debug)]
pub struct Results {
    /// Its name.
    pub name: String,
    /// The table, with paired tests.
    pub table: String,
    /// Verdicts without labels beside the truth, where they were studied.
    pub verdicts: Option<String>,
    /// The table's file.
    pub table_file: PathBuf,
    /// The self-contained page.
    pub page: PathBuf,
    /// Everything as JSON.
    pub json: PathBuf,
    /// Every score as a spreadsheet.
    pub csv: PathBuf,
}

/// How a run of a study ended.
#[derive(Debug)]
pub struct Ended {
    /// What is finished, whatever became of the rest.
    pub results: Vec<Results>,
    /// Why something is not finished.
    pub failure: Option<Error>,
}

impl Study {
    /// Plans experiments. What they name and the data lack is refused here; nothing is written.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Data`], [`Error::Unfit`], [`Error::Read`].
    pub fn new(definitions: Vec<Definition>, config: StudyConfig) -> Result<Self> {
        let of = definitions.len();
        let parts = definitions.into_iter().map(|definition| Part::new(definition, &config, of));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        let StudyConfig { out, program, maker, .. } = config;
        let mut builder = Builder::new(files::sha256(&program)?);
        for part in &mut parts {
            part.cells = part.grid().add_to(&mut builder);
        }
        let [out, program] = [out, program]
            .map(|path| absolute(&path).map_err(|source| Error::Read { path, source }));
        Ok(Self { parts, plan: builder.finish(out?, program?), maker })
    }

    /// The jobs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the user should know about files that are passed over.
    pub fn notes(&self) -> BTreeSet<&str> {
        self.parts
            .iter()
            .filter_map(|part| match &part.data {
                Data::Folder(folder) => Some(&folder.notes),
                Data::Phantom(_) => None,
            })
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Every job with its command lines, and whether it is finished.
    pub fn jobs_text(&self) -> String {
        let finished = State::of(&self.plan.out).all_finished(&self.plan);
        let mut text = String::new();
        for (job, finished) in self.plan.jobs.iter().zip(finished) {
            let mark = if finished { "finished" } else { "to run  " };
            let _ = writeln!(text, "{mark}  {}", job.id);
            for step in &job.steps {
                let words = self.plan.fill_in(&step.arguments.join(" "));
                let _ = writeln!(text, "          udas {words}");
            }
        }
        text
    }

    /// How many jobs there are and how long they will take, in a sentence.
    pub fn summary(&self, capacity: Capacity) -> String {
        let state = State::of(&self.plan.out);
        let finished = state.all_finished(&self.plan).iter().filter(|done| **done).count();
        let by_stage = Stage::ALL.into_iter().filter_map(|stage| {
            let number = self.plan.jobs.iter().filter(|job| job.stage == stage).count();
            (number > 0).then(|| format!("{number} {}", stage.name()))
        });
        let estimate = estimate::estimate(&self.plan, &state, capacity);
        let mut text = format!(
            "plan: {} jobs ({}), {finished} finished; about {} to go, {} of work, on {} cores",
            self.plan.jobs.len(),
            by_stage.collect::<Vec<_>>().join(", "),
            duration(estimate.clock),
            duration(estimate.work),
            capacity.threads,
        );
        let outdated = self.plan.jobs.iter().filter(|job| state.is_outdated(job)).count();
        if outdated > 0 {
            let _ = write!(
                text,
                "\n{outdated} of them were run here with another program, other data or options: they will be run anew, and \
                 replace what is there; --out names another folder"
            );
        }
        text
    }

    /// Runs what is not finished, and gathers what is. A job that fails takes nothing from the others.
    ///
    /// # Errors
    /// [`Error::Busy`] while another call works in the folder; those of reading and writing results.
    pub fn run(&self, executor: Executor, tell: Tell) -> Result<Ended> {
        let _alone = lock(&self.plan.out)?;
        let plan_file = self.plan.write()?;
        let executed = match executor {
            Executor::Local(capacity) => local::execute(&self.plan, capacity, tell),
            Executor::Slurm { jobs } => slurm::execute(&self.plan, &plan_file, jobs, tell),
        };
        let state = State::of(&self.plan.out);
        let is_finished = |cell: &&Cell| state.finished(&self.plan.jobs[cell.score]).is_some();
        let mut results = Vec::new();
        for part in &self.parts {
            let finished: Vec<Cell> = part.cells.iter().filter(is_finished).cloned().collect();
            if !finished.is_empty() {
                results.push(self.results(part, &finished)?);
            }
        }
        Ok(Ended { results, failure: executed.err() })
    }

    /// Results, table and page of one experiment.
    fn results(&self, part: &Part, cells: &[Cell]) -> Result<Results> {
        let name = part.definition.name.clone();
        let folder = self.plan.out.join(&name);
        let mut experiment = results::gather(&part.grid(), cells, &self.plan, &self.maker)?;
        let judged = verdicts::gather(cells, &self.plan, &experiment)?;
        if let Some(judged) = &judged {
            judged.show(&mut experiment);
            files::write_atomically(&folder.join("verdicts.txt"), judged.text().as_bytes())?;
            // No maps with keys other than names: infallible.
            let json = serde_json::to_vec_pretty(judged).unwrap_or_default();
            files::write_atomically(&folder.join("verdicts.json"), &json)?;
        }
        results::write(&experiment, &folder)?;
        let table = table::text(&experiment);
        let table_file = folder.join("table.txt");
        files::write_atomically(&table_file, table.as_bytes())?;
        let [json, csv] = [RESULTS_FILE, CSV_FILE].map(|name| folder.join(name));
        let page = write_page(&self.plan.program, &json, &folder.join("report"))?;
        let verdicts = judged.map(|judged| judged.text());
        Ok(Results { name, table, verdicts, table_file, page, json, csv })
    }
}

/// Lets the program make the page, which reads images.
fn write_page(program: &Path, results: &Path, folder: &Path) -> Result<PathBuf> {
    let mut udas = Command::new(program);
    udas.arg("report").arg(results).arg("--out").arg(folder);
    let output = udas
        .output()
        .map_err(|source| Error::Start { program: program.display().to_string(), source })?;
    if !output.status.success() {
        return Err(Error::Page(String::from_utf8_lossy(&output.stderr).trim().into()));
    }
    Ok(folder.join("index.html"))
}

/// One call at a time in a folder; the lock ends with this process, however it ends.
fn lock(out: &Path) -> Result<File> {
    let folder = out.join("state");
    let path = folder.join("lock");
    fs::create_dir_all(&folder).writing(&folder)?;
    let file = File::create(&path).writing(&path)?;
    match udas_files::try_lock(&file) {
        Ok(()) => Ok(file),
        Err(_) => Err(Error::Busy { out: out.into() }),
    }
}
