//! Phantom data sets on disk, in the layouts of CC-359 and M&Ms.

use crate::error::{Error, Result};
use crate::head::HeadSubject;
use crate::heart::HeartSubject;
use crate::scan::{self, Cine};
use crate::scanner::{HEAD_SCANNERS, HEART_SCANNERS, HeadScanner, HeartScanner};
use crate::tissue::FieldStrength;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use udas_volume::{
    Labels, write_frames, write_label_frames, write_labels, write_series, write_volume,
};

/// What is imaged and segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Brain extraction, as CC-359.
    Head,
    /// Ventricles and myocardium, as M&Ms.
    Heart,
}

impl Task {
    /// Names of the task's domains, sorted.
    pub fn domains(self) -> Vec<&'static str> {
        match self {
            Self::Head => HEAD_SCANNERS.iter().map(|scanner| scanner.name).collect(),
            Self::Heart => HEART_SCANNERS.iter().map(|scanner| scanner.name).collect(),
        }
    }
}

/// How images are kept; masks are NIfTI always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A file `NAME.nii.gz`.
    #[default]
    Nifti,
    /// A folder `NAME` of a DICOM series, a file a slice; for heads alone.
    Dicom,
}

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhantomConfig {
    /// Task.
    pub task: Task,
    /// Folder of the data set; made if absent.
    pub out: PathBuf,
    /// Domains by name, as [`Task::domains`] lists them; empty: all.
    pub domains: Vec<String>,
    /// Subjects of each domain, 1 to 999. Subject `i` is the same however many there are.
    pub subjects_per_domain: usize,
    /// In-plane size, 32 to 512; 256 is a full scan, 96 a quick one. See [`head`](crate::head) and
    /// [`heart`](crate::heart) for what it changes.
    pub matrix: usize,
    /// Seed of subjects and noise.
    pub seed: u64,
    /// How images are kept.
    pub format: Format,
}

/// One subject has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Subjects written so far.
    pub done: usize,
    /// Subjects in all.
    pub total: usize,
    /// The subject's name.
    pub name: &'a str,
}

/// Files of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Domain.
    pub domain: &'static str,
    /// Image file: a volume, or a cine.
    pub image: PathBuf,
    /// Its mask or labels.
    pub labels: PathBuf,
}

/// What has been generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Root of the data set, as a loader wants it.
    pub root: PathBuf,
    /// Subjects in the order of domains and numbers.
    pub subjects: Vec<Written>,
}

/// Name of M&Ms' table.
pub const MNMS_TABLE: &str = "211006_M&Ms_Dataset_Information_-_opendataset.csv";
/// Whom a DICOM series is of. It must not be found in what is made of the series.
const PATIENT: &str = "PHANTOM^OF^NOBODY";
const README: &str = "README.txt";
const MNMS_COLUMNS: &str =
    "External code,VendorName,Vendor,Centre,ED,ES,Age,Pathology,Sex,Height,Weight";
/// Time from one heart beat to the next; typical.
const BEAT_MS: f32 = 900.0;
/// Greatest number of subjects in a domain.
const MOST_SUBJECTS: usize = 999;

/// Generates a data set, subjects in parallel.
///
/// Heads: `Original/<DOMAIN>/<id>_<vendor>_<field>_<age>_<sex>.nii.gz` and the same with `_ss` under
/// `Silver-standard`; as DICOM a folder of that name. Hearts: `Training/Labeled/<code>/<code>_sa.nii.gz` and `_sa_gt.nii.gz`, and the table
/// [`MNMS_TABLE`]. A `README.txt` says that the data are synthetic. A folder that holds something, but not the
/// `README.txt` of the same configuration, is refused. Every subject in work takes about 15 bytes a voxel.
///
/// The files depend on the configuration alone, not on the number of threads; a subject also does not depend
/// on which other domains and subjects are generated.
///
/// # Errors
/// [`Error::Domain`], [`Error::Subjects`], [`Error::Matrix`], [`Error::Cine`] or [`Error::Occupied`] before anything is written;
/// [`Error::Write`] and [`Error::Volume`] afterwards.
pub fn generate(
    config: &PhantomConfig,
    on_progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Summary> {
    let jobs = plan(config)?;
    claim(config)?;
    let done = AtomicUsize::new(0);
    let results: Result<Vec<(Written, String)>> = jobs
        .par_iter()
        .map(|job| {
            let (written, name, row) = job.run(config)?;
            let done = 1 + done.fetch_add(1, Ordering::Relaxed);
            on_progress(Progress { done, total: jobs.len(), name: &name });
            Ok((written, row))
        })
        .collect();
    let (subjects, rows): (Vec<_>, Vec<_>) = results?.into_iter().unzip();
    if config.task == Task::Heart {
        let table = format!("{MNMS_COLUMNS}\n{}", rows.concat());
        write_text(&config.out.join(MNMS_TABLE), &table)?;
    }
    Ok(Summary { root: config.out.clone(), subjects })
}

/// Makes the folder and says in it what it holds. Synthetic subjects among real ones would go unnoticed, and so would two
/// phantoms in one.
fn claim(config: &PhantomConfig) -> Result<()> {
    let (path, text) = (config.out.join(README), readme(config));
    let is_seen = |entry: fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let holds_something =
        fs::read_dir(&config.out).is_ok_and(|entries| entries.flatten().any(is_seen));
    if holds_something && fs::read_to_string(&path).ok().as_ref() != Some(&text) {
        return Err(Error::Occupied { path: config.out.clone() });
    }
    make_folder(config.out.clone())?;
    write_text(&path, &text)
}

#[derive(Clone, Copy)]
enum Scanner {
    Head(&'static HeadScanner),
    Heart(&'static HeartScanner),
}

/// One subject to scan and write.
struct Job {
    scanner: Scanner,
    /// Place of the domain among all of the task's.
    domain: usize,
    subject: usize,
}

fn plan(config: &PhantomConfig) -> Result<Vec<Job>> {
    scan::check_matrix(config.matrix)?;
    if (config.task, config.format) == (Task::Heart, Format::Dicom) {
        return Err(Error::Cine);
    }
    if !(1..=MOST_SUBJECTS).contains(&config.subjects_per_domain) {
        return Err(Error::Subjects { subjects: config.subjects_per_domain });
    }
    let known = config.task.domains();
    if let Some(name) = config.domains.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::Domain { name: name.clone(), known: known.join(", ") });
    }
    let wanted = |name: &str| config.domains.is_empty() || config.domains.iter().any(|d| d == name);
    let domains = known.iter().enumerate().filter(|(_, name)| wanted(name));
    Ok(domains
        .flat_map(|(domain, _)| {
            let scanner = match config.task {
                Task::Head => Scanner::Head(&HEAD_SCANNERS[domain]),
                Task::Heart => Scanner::Heart(&HEART_SCANNERS[domain]),
            };
            (0..config.subjects_per_domain).map(move |subject| Job { scanner, domain, subject })
        })
        .collect())
}

impl Job {
    /// Scans and writes; returns the files, the subject's name and its row in the table (empty for heads).
    fn run(&self, config: &PhantomConfig) -> Result<(Written, String, String)> {
        // A stream of random numbers for every subject of every domain.
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(((self.domain as u64 + 1) << 32) | self.subject as u64);
        match self.scanner {
            Scanner::Head(scanner) => {
                let subject = HeadSubject::draw(&mut rng);
                let number = 1000 * self.domain + self.subject + 1;
                let name = head_name(number, scanner, &subject);
                let written = write_head(config, scanner, &subject, &name)?;
                Ok((written, name, String::new()))
            }
            Scanner::Heart(scanner) => {
                let subject = HeartSubject::draw(&mut rng);
                let code = format!("P{}{:04}", scanner.name, self.subject + 1);
                let cine = scan::heart(&subject, scanner, config.matrix)?;
                let row = heart_row(&code, scanner, &subject, &cine);
                Ok((write_heart(config, scanner, &cine, &code)?, code, row))
            }
        }
    }
}

fn head_name(number: usize, scanner: &HeadScanner, subject: &HeadSubject) -> String {
    let field = match scanner.field {
        FieldStrength::T1_5 => "15",
        FieldStrength::T3 => "3",
    };
    let (vendor, age, sex) = (scanner.vendor, subject.age, subject.sex.letter());
    format!("PH{number:04}_{vendor}_{field}_{age}_{sex}")
}

fn write_head(
    config: &PhantomConfig,
    scanner: &'static HeadScanner,
    subject: &HeadSubject,
    name: &str,
) -> Result<Written> {
    let (volume, mask) = scan::head(subject, scanner, config.matrix)?;
    let folder = |kind: &str| make_folder(config.out.join(kind).join(scanner.name));
    let images = folder("Original")?;
    let labels = folder("Silver-standard")?.join(format!("{name}_ss.nii.gz"));
    let image = match config.format {
        Format::Nifti => images.join(format!("{name}.nii.gz")),
        Format::Dicom => images.join(name),
    };
    match config.format {
        Format::Nifti => write_volume(&image, &volume)?,
        Format::Dicom => {
            let seed = format!("{name} {} {}", config.seed, config.matrix);
            write_series(&image, &volume, PATIENT, &seed)?;
        }
    }
    write_labels(&labels, &mask)?;
    Ok(Written { domain: scanner.name, image, labels })
}

fn write_heart(
    config: &PhantomConfig,
    scanner: &'static HeartScanner,
    cine: &Cine,
    code: &str,
) -> Result<Written> {
    let folder = make_folder(config.out.join("Training/Labeled").join(code))?;
    let image = folder.join(format!("{code}_sa.nii.gz"));
    let labels = folder.join(format!("{code}_sa_gt.nii.gz"));
    let frame_ms = BEAT_MS / cine.frames.len() as f32;
    write_frames(&image, &cine.frames, frame_ms)?;
    // As in M&Ms, frames without annotation hold background.
    let mut annotated: Vec<Labels> = vec![cine.end_diastole.map(|_| 0); cine.frames.len()];
    annotated[cine.end_diastole_frame] = cine.end_diastole.clone();
    annotated[cine.end_systole_frame] = cine.end_systole.clone();
    write_label_frames(&labels, &annotated, frame_ms)?;
    Ok(Written { domain: scanner.name, image, labels })
}

fn heart_row(code: &str, scanner: &HeartScanner, subject: &HeartSubject, cine: &Cine) -> String {
    format!(
        "{code},{},{},{},{},{},{},{},{},{:.2},{:.0}\n",
        scanner.vendor,
        scanner.name,
        scanner.centre,
        cine.end_diastole_frame,
        cine.end_systole_frame,
        subject.age,
        subject.pathology.code(),
        subject.sex.letter(),
        subject.height_m,
        subject.weight_kg,
    )
}

fn readme(config: &PhantomConfig) -> String {
    let mut domains = config.domains.clone();
    domains.sort();
    domains.dedup();
    format!(
        "Synthetic images, made by udas-phantom from tissue constants and scanner protocols: no person was imaged.\n\
         They show whether a method copes with shifts of contrast, shading, noise, sharpness and voxel size between\n\
         scanners. They cannot show how well it does on patients.\n\
         Task {:?}, matrix {}, seed {}, {} subjects each of {}.\n",
        config.task,
        config.matrix,
        config.seed,
        config.subjects_per_domain,
        if domains.is_empty() { "all domains".to_owned() } else { domains.join(", ") }
    ) + if config.format == Format::Dicom { "Images are DICOM series.\n" } else { "" }
}

fn make_folder(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).map_err(|source| write_error(&folder, source))?;
    Ok(folder)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: std::io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}
