//! `udas judge --masks` and `udas calibrate --masks`: masks of any tool, without a model.
mod masks;
mod shown;

use crate::console::Console;
use crate::pairs::{self, Pair};
use crate::{failure, interrupt, out_file, predictions, segmentations};
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use udas_data::Subject;
use udas_quality::{Estimate, FORMAT, Graded, Look, Pixels, Reference, Suspicion, look, suspicion};
use udas_report::{PAGE_FILE, masks_page};
use udas_run::selection::{Images, choose};
use udas_volume::{Grid, Labels, Volume, is_segmentation, read};

use masks::Mask;

/// Masks of any tool, to be learned from.
#[derive(Args)]
#[command(next_help_heading = "Masks of any tool")]
pub struct CalibrateMasks {
    /// Folder of masks; labels of the same names tell how good they are. A volume of values between 0 and 1 is a
    /// probability, and its mask where it is 0.5 and more. Probabilities beside a mask are used too: CASE_prob.nii.gz, one
    /// file a class (CASE_prob1.nii.gz, ...), or CASE.npz of nnU-Net
    #[arg(long, value_name = "DIR", requires = "labels", conflicts_with_all = ["model", "data", "domain", "peers", "slices", "shifted", "plane", "seed"])]
    pub masks: Option<PathBuf>,
    /// Folder of labels
    #[arg(long, value_name = "DIR", requires = "masks")]
    labels: Option<PathBuf>,
    /// Folders of other masks of the same images: other raters, folds, seeds or tools
    #[arg(long, num_args = 1.., value_name = "DIR", requires = "masks")]
    others: Vec<PathBuf>,
    /// Images of the cases, or their folder: a small classifier learns from each mask and is tried on the labels of other
    /// cases (reverse classification)
    #[arg(short, long, num_args = 1.., value_name = "PATH", requires = "masks")]
    images: Vec<PathBuf>,
}

/// Masks of any tool, to be judged.
#[derive(Args)]
#[command(next_help_heading = "Masks of any tool")]
pub struct JudgeMasks {
    /// Folder of masks, in place of two models. A volume of values between 0 and 1 is a probability, and its mask where it
    /// is 0.5 and more. Probabilities beside a mask are used too: CASE_prob.nii.gz, one file a class (CASE_prob1.nii.gz,
    /// ...), or CASE.npz of nnU-Net
    #[arg(long, value_name = "DIR", conflicts_with_all = ["before", "after", "peers", "calibration", "exit_code"])]
    pub masks: Option<PathBuf>,
    /// Folders of other masks of the same images: other raters, folds, seeds or tools
    #[arg(long, num_args = 1.., value_name = "DIR", requires = "masks")]
    others: Vec<PathBuf>,
    /// What was learned from masks with labels (`udas calibrate --masks`): predicts Dice
    #[arg(long, value_name = "FILE", requires = "masks")]
    reference: Option<PathBuf>,
    /// A table of two columns, case and group (a scanner, a month): their means are compared
    #[arg(long, value_name = "FILE.csv", requires = "masks")]
    groups: Option<PathBuf>,
    /// Folder of a page with the worst masks; with --images it has pictures
    #[arg(long, value_name = "DIR", requires = "masks")]
    page: Option<PathBuf>,
}

/// A class of a case's mask, judged.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    case: String,
    class: u8,
    look: Look,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unlike: Option<Suspicion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

/// What an order of masks goes by.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Basis {
    /// The Dice that a reference predicts.
    Reference,
    /// The agreement with others' masks.
    Agreement,
    /// How unlike the other masks it is.
    Cohort,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Judged<'a> {
    basis: Basis,
    masks: &'a [Row],
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    /// Of what masks are ordered by; none where every class is absent.
    mean: Option<f64>,
    cases: usize,
    /// Classes that are absent in a case and present in others.
    absent: usize,
}

pub fn calibrate(
    args: &CalibrateMasks,
    subjects: Option<&str>,
    out: &Path,
    console: &Console,
) -> Result<()> {
    let (Some(masks), Some(labels)) = (&args.masks, &args.labels) else {
        return Err(failure::usage("--masks and --labels: give both").into());
    };
    let pairs = pairs::by_name(masks, labels, subjects, console)?;
    let others = Others::open(&args.others)?;
    let images: BTreeMap<String, PathBuf> = match args.images.as_slice() {
        [] => BTreeMap::new(),
        paths => by_case(udas_data::expand(paths, "")?),
    };
    let mut cases = Vec::new();
    interrupt::flag();
    let mut progress = console.progress(pairs.len(), "cases");
    for pair in &pairs {
        anyhow::ensure!(!interrupt::asked(), "interrupted; nothing is written");
        let wanted = !images.is_empty();
        let image = wanted.then(|| image_of(&images, &pair.subject)).transpose()?;
        let graded = graded(pair, &others, image)?.into_iter();
        cases.extend(graded.map(|graded| (pair.subject.clone(), graded)));
        progress.advance(&pair.subject);
    }
    progress.finish();
    let (names, cases): (Vec<String>, Vec<Graded>) = cases.into_iter().unzip();
    let looks = names.iter().map(String::as_str).zip(cases.iter().map(|case| &case.look));
    if cases.iter().any(|case| case.look.confidence.is_some()) {
        need_probabilities(looks, "other masks have them")?;
    }
    let reference = Reference::learn(&cases, args.others.len())
        .map_err(|error| failure::input(format!("{}: {error}", masks.display())))?;
    out_file::write(out, &serde_json::to_vec_pretty(&reference)?)?;
    let mut text = format!("{}\n", out.display());
    for (class, own) in &reference.classes {
        let correlation = own.correlation.map_or("n/a".into(), |value| format!("{value:.2}"));
        text += &format!(
            "class {class}: {} cases; left out in turn, Dice is predicted with an error of {:.3}, correlation {correlation}, interval +-{:.3}\n",
            own.cases, own.error, own.half_width
        );
    }
    if args.others.is_empty() {
        console.warn("without --others a mask's looks alone speak of its quality; masks of other folds or seeds say more");
    }
    console.result(text, &reference)
}

/// Images by the names of their masks: nnU-Net's have their channel behind it.
fn by_case(images: Vec<Subject>) -> BTreeMap<String, PathBuf> {
    let name = |id: &str| id.strip_suffix("_0000").unwrap_or(id).to_owned();
    images.into_iter().map(|image| (name(&image.id), image.image)).collect()
}

fn image_of<'a>(images: &'a BTreeMap<String, PathBuf>, case: &str) -> Result<&'a Path> {
    images.get(case).map(PathBuf::as_path).ok_or_else(|| {
        let text = format!(
            "--images: there is none of {case}; add it: an image has the name of its mask, with or without _0000"
        );
        failure::input(text).into()
    })
}

/// The image around a class of a mask.
fn around(path: &Path, image: &Volume, mask: &Labels, class: u8) -> Result<Option<Pixels>> {
    let pixels = Pixels::around(image, mask, class);
    pixels.with_context(|| path.display().to_string())
}

/// The classes of a mask or its label, with their Dice.
fn graded(pair: &Pair, others: &Others, image: Option<&Path>) -> Result<Vec<Graded>> {
    let of_case = [pair.truth.as_path(), &pair.prediction].into_iter().chain(image);
    let grid = segmentations::common_grid(of_case.chain(others.paths(&pair.subject)))?;
    let image = image.map(|path| Ok::<_, anyhow::Error>((path, read(path)?))).transpose()?;
    let mask = Mask::read(&pair.prediction, grid.as_ref())?;
    let truth = segmentations::read_labels(&pair.truth, grid.as_ref())?;
    let labels = &mask.labels;
    labels.grid().check_same(&pair.prediction, truth.grid(), &pair.truth)?;
    let others = others.of(&pair.subject, grid.as_ref())?;
    let (mut both, mut all) = ([0u64; 256], [0u64; 256]);
    for (&own, &label) in labels.data().iter().zip(truth.data()) {
        all[usize::from(own)] += 1;
        all[usize::from(label)] += 1;
        both[usize::from(own)] += 2 * u64::from(own == label);
    }
    let classes = (1..=u8::MAX).filter(|&class| all[usize::from(class)] > 0);
    let graded = classes.map(|class| {
        let index = usize::from(class);
        let look =
            look(labels, &others, class).with_context(|| pair.prediction.display().to_string())?;
        let look = Look { confidence: mask.confidence(class)?, ..look };
        let by = |labels: &Labels| match &image {
            Some((path, image)) => around(path, image, labels, class),
            None => Ok(None),
        };
        let (by_mask, by_label) = (by(labels)?, by(&truth)?);
        let dice = Some(both[index] as f64 / all[index] as f64);
        Ok(Graded { class, look, dice, by_mask, by_label })
    });
    graded.collect()
}

/// Refuses masks without probabilities where they are needed; an absent class has none.
fn need_probabilities<'a>(
    looks: impl Iterator<Item = (&'a str, &'a Look)>,
    why: &str,
) -> Result<()> {
    let lacks = |look: &Look| !look.is_empty() && look.confidence.is_none();
    let Some((case, _)) = looks.into_iter().find(|(_, look)| lacks(look)) else { return Ok(()) };
    let text = format!(
        "{case}: has no probabilities beside its mask, and {why}; add them for every mask (CASE_prob.nii.gz, one file a \
         class, or nnU-Net's CASE.npz)"
    );
    Err(failure::input(text).into())
}

/// Other masks of the same cases.
struct Others(Vec<(PathBuf, BTreeMap<String, PathBuf>)>);

impl Others {
    fn open(folders: &[PathBuf]) -> Result<Self> {
        let open = |folder: &PathBuf| -> Result<_> {
            let masks = predictions::masks(folder)?;
            if masks.is_empty() {
                let text = format!("{}: holds no masks; check the path", folder.display());
                return Err(failure::input(text).into());
            }
            Ok((folder.clone(), masks.into_iter().map(|mask| (mask.id, mask.image)).collect()))
        };
        Ok(Self(folders.iter().map(open).collect::<Result<_>>()?))
    }

    /// The files of a case that are there.
    fn paths<'a>(&'a self, case: &'a str) -> impl Iterator<Item = &'a Path> {
        self.0.iter().filter_map(move |(_, masks)| Some(masks.get(case)?.as_path()))
    }

    /// The masks of a case; a DICOM SEG on `grid`, where one is known.
    fn of(&self, case: &str, grid: Option<&Grid>) -> Result<Vec<Labels>> {
        let read = |(folder, masks): &(PathBuf, BTreeMap<String, PathBuf>)| -> Result<Labels> {
            let path = masks.get(case).ok_or_else(|| {
                let text = format!("{}: has no mask of {case}; add it", folder.display());
                failure::input(text)
            })?;
            masks::labels(path, grid)
        };
        self.0.iter().map(read).collect()
    }
}

pub fn judge(
    args: &JudgeMasks,
    images: &Images,
    out: Option<&Path>,
    console: &Console,
) -> Result<()> {
    let Some(folder) = &args.masks else {
        return Err(failure::usage("--masks is missing").into());
    };
    let page_file = args.page.as_ref().map(|folder| folder.join(PAGE_FILE));
    let table = out.map(|path| path.with_extension("csv"));
    prepare_files([out, table.as_deref(), page_file.as_deref()], args)?;
    let reference = args.reference.as_deref().map(|path| read_reference(path, args)).transpose()?;
    let images = images_by_case(args, reference.as_ref(), images, console)?;
    let masks = predictions::masks(folder)?;
    if masks.is_empty() {
        let text = format!("{}: holds no masks; check the path", folder.display());
        return Err(failure::input(text).into());
    }
    let masks = choose(masks, images.subjects.as_deref(), console)?;
    let groups = match &args.groups {
        Some(path) => read_groups(path, &masks)?,
        None => BTreeMap::new(),
    };
    let others = Others::open(&args.others)?;
    let by_images = reference.as_ref().filter(|reference| reference.needs_images());
    let mut rows = looked(&masks, &others, (&images, by_images), console)?;
    match &reference {
        Some(reference) if reference.needs_probabilities() => {
            let looks = rows.iter().map(|row| (row.case.as_str(), &row.look));
            need_probabilities(looks, "the reference was learned with them")?;
        }
        // It knows nothing of them.
        Some(_) => rows.iter_mut().for_each(|row| row.look.confidence = None),
        None => {}
    }
    compare(&mut rows);
    for row in &mut rows {
        row.expected = reference.as_ref().and_then(|known| known.estimate(row.class, &row.look));
        row.group = groups.get(&row.case).cloned();
    }
    let basis = match (&reference, args.others.is_empty()) {
        (Some(_), _) => Basis::Reference,
        (None, false) => Basis::Agreement,
        (None, true) => Basis::Cohort,
    };
    rows.sort_by(|a, b| basis.order(a, b));
    let judged = Judged { basis, masks: &rows, groups: means(&rows, basis) };
    if let (Some(path), Some(table)) = (out, &table) {
        out_file::write(path, &serde_json::to_vec_pretty(&judged)?)?;
        out_file::write(table, &shown::as_csv(&rows)?)?;
    }
    if let Some(path) = &page_file {
        let pictures = shown::pictures(&rows, (&masks, &others), &images, console)?;
        // The page may be shown to others: no paths.
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let title = format!("Masks: {}", name.unwrap_or_default());
        let page = shown::page(title, &judged, pictures);
        out_file::write(path, masks_page(&page)?.as_bytes())?;
    }
    shown::strangers(judged.masks).iter().for_each(|text| console.warn(text));
    console.result(shown::text(&judged, page_file.as_deref()), &judged)
}

/// Finds out whether files can be written, and refuses those that are read.
fn prepare_files(files: [Option<&Path>; 3], args: &JudgeMasks) -> Result<()> {
    let [out, ..] = files;
    out.map_or(Ok(()), out_file::names_json)?;
    let place = |path: &Path| path.canonicalize().ok();
    let read: Vec<_> = [&args.reference, &args.groups].into_iter().flatten().collect();
    for path in files.into_iter().flatten() {
        if read.iter().any(|input| place(input).is_some() && place(input) == place(path)) {
            let text = format!(
                "{}: would be written over, and is read; choose another --out",
                path.display()
            );
            return Err(failure::usage(&text).into());
        }
        out_file::prepare(path, "--out")?;
    }
    Ok(())
}

/// Images for the page, by case, and which cases are asked for.
#[derive(Default)]
struct CaseImages {
    by_case: BTreeMap<String, PathBuf>,
    subjects: Option<String>,
}

impl CaseImages {
    /// The grid that a case's masks are read on, where one of them is a DICOM SEG.
    fn grid_of(&self, mask: &Subject, others: &Others) -> Result<Option<Grid>> {
        let image = self.by_case.get(&mask.id).map(PathBuf::as_path);
        let masks = [mask.image.as_path()].into_iter().chain(others.paths(&mask.id));
        segmentations::common_grid(image.into_iter().chain(masks))
    }
}

fn images_by_case(
    args: &JudgeMasks,
    reference: Option<&Reference>,
    images: &Images,
    console: &Console,
) -> Result<CaseImages> {
    let subjects = images.set.subjects.clone();
    let are_needed = reference.is_some_and(Reference::needs_images);
    if images.images.is_empty() && images.set.data.is_none() {
        if are_needed {
            let text =
                "--reference: was learned with images; give those of these masks by --images";
            return Err(failure::usage(text).into());
        }
        return Ok(CaseImages { subjects, ..CaseImages::default() });
    }
    let has_segmentations = || {
        let folders = args.masks.iter().chain(&args.others);
        let masks = folders.flat_map(|folder| predictions::masks(folder).unwrap_or_default());
        masks.into_iter().any(|mask| is_segmentation(&mask.image))
    };
    if args.page.is_none() && !are_needed && !has_segmentations() {
        let text = "--images and --data: are for the pictures of a --page, for a reference that was learned with images, and \
                    for DICOM SEG; give --page DIR, or leave them out";
        return Err(failure::usage(text).into());
    }
    images.check()?;
    // The choice is one of masks; images without a mask are simply not drawn.
    let mut all = images.clone();
    all.set.subjects = None;
    Ok(CaseImages { by_case: by_case(all.subjects(console)?), subjects })
}

fn read_reference(path: &Path, args: &JudgeMasks) -> Result<Reference> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let shown = path.display();
    let none = |error: serde_json::Error| {
        failure::input(format!("{shown}: is no reference of `udas calibrate --masks`: {error}"))
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(none)?;
    if value["format"].as_u64().is_some_and(|format| format > u64::from(FORMAT)) {
        let text = format!("{shown}: is of a later version; update udas");
        return Err(failure::input(text).into());
    }
    let reference: Reference = serde_json::from_value(value).map_err(none)?;
    if !reference.is_sound() {
        let text = format!("{shown}: its figures contradict each other; learn it anew");
        return Err(failure::input(text).into());
    }
    if reference.others != args.others.len() {
        let text = format!(
            "{shown}: was learned with {} --others, here are {}; give as many of the same kind",
            reference.others,
            args.others.len()
        );
        return Err(failure::usage(&text).into());
    }
    Ok(reference)
}

/// Groups by case; every case that is named must be one of `masks`.
fn read_groups(path: &Path, masks: &[Subject]) -> Result<BTreeMap<String, String>> {
    let mut groups = BTreeMap::new();
    let mut reader = csv::Reader::from_path(path).with_context(|| path.display().to_string())?;
    for record in reader.records() {
        let record = record.with_context(|| path.display().to_string())?;
        let (Some(case), Some(group)) = (record.get(0), record.get(1)) else {
            let text = format!("{}: needs two columns, case and group", path.display());
            return Err(failure::input(text).into());
        };
        let shown = path.display();
        if !masks.iter().any(|mask| mask.id == case.trim()) {
            let text = format!(
                "{shown}: {case:?} is no mask that is judged; give names without endings, as the table has them"
            );
            return Err(failure::input(text).into());
        }
        if groups.insert(case.trim().to_owned(), group.trim().to_owned()).is_some() {
            let text = format!("{shown}: {case:?} is there twice; give each case one group");
            return Err(failure::input(text).into());
        }
    }
    Ok(groups)
}

/// Every class that any mask has, in every mask; with a reference that needs images, reverse classification too.
fn looked(
    masks: &[Subject],
    others: &Others,
    (images, by_images): (&CaseImages, Option<&Reference>),
    console: &Console,
) -> Result<Vec<Row>> {
    interrupt::flag();
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    let mut progress = console.progress(masks.len(), "masks");
    for mask in masks {
        anyhow::ensure!(!interrupt::asked(), "interrupted; nothing is written");
        let grid = images.grid_of(mask, others)?;
        let own = Mask::read(&mask.image, grid.as_ref())?;
        let labels = &own.labels;
        let others = others.of(&mask.id, grid.as_ref())?;
        let by_image = match by_images {
            Some(reference) => {
                let path = image_of(&images.by_case, &mask.id)?;
                Some((reference, path, read(path)?))
            }
            None => None,
        };
        let mut present = [false; 256];
        let all = std::iter::once(labels).chain(&others).flat_map(|labels| labels.data());
        all.for_each(|&label| present[usize::from(label)] = true);
        for class in (1..=u8::MAX).filter(|&class| present[usize::from(class)]) {
            let mut look =
                look(labels, &others, class).with_context(|| mask.image.display().to_string())?;
            look.confidence = own.confidence(class)?;
            if let Some((reference, path, image)) = &by_image {
                let pixels = around(path, image, labels, class)?;
                look.reverse = pixels.and_then(|pixels| reference.reverse(class, &pixels));
            }
            seen.insert(class);
            let (expected, unlike, group) = (None, None, None);
            rows.push(Row { case: mask.id.clone(), class, look, expected, unlike, group });
        }
        progress.advance(&mask.id);
    }
    progress.finish();
    add_absent(&mut rows, masks, &seen, others.0.len());
    Ok(rows)
}

/// A class that other cases have and this one has not, is worth a look.
fn add_absent(rows: &mut Vec<Row>, masks: &[Subject], seen: &BTreeSet<u8>, others: usize) {
    let there: BTreeSet<(String, u8)> =
        rows.iter().map(|row| (row.case.clone(), row.class)).collect();
    // With others' masks, absence is agreed upon: their rows have it otherwise.
    let agreement = (others > 0).then_some(udas_quality::Agreement { mean: 1.0, least: 1.0 });
    for mask in masks {
        for &class in seen.iter().filter(|&&class| !there.contains(&(mask.id.clone(), class))) {
            let look = Look {
                volume_ml: 0.0,
                parts: 0,
                largest_part: 0.0,
                smoothness: 1.0,
                compactness: 0.0,
                at_border: 0.0,
                agreement,
                reverse: None,
                confidence: None,
            };
            let (expected, unlike, group) = (None, None, None);
            rows.push(Row { case: mask.id.clone(), class, look, expected, unlike, group });
        }
    }
}

/// Each class beside the same class of the other masks.
fn compare(rows: &mut [Row]) {
    let classes: BTreeSet<u8> = rows.iter().map(|row| row.class).collect();
    for class in classes {
        let mut own: Vec<&mut Row> = rows.iter_mut().filter(|row| row.class == class).collect();
        let looks: Vec<Look> = own.iter().map(|row| row.look).collect();
        for (row, unlike) in own.iter_mut().zip(suspicion(&looks)) {
            row.unlike = unlike;
        }
    }
}

impl Basis {
    /// What masks are ordered by: the lower, the worse. A class that is absent comes first.
    fn value(self, row: &Row) -> f64 {
        let distance = || row.unlike.as_ref().map(|unlike| -unlike.distance.abs());
        let value = match self {
            Self::Reference => row.expected.map(|expected| expected.dice),
            Self::Agreement => row.look.agreement.map(|agreement| agreement.mean),
            Self::Cohort if row.look.is_empty() => Some(f64::NEG_INFINITY),
            Self::Cohort => distance(),
        };
        value.unwrap_or(f64::INFINITY)
    }

    fn order(self, a: &Row, b: &Row) -> Ordering {
        self.value(a)
            .total_cmp(&self.value(b))
            .then_with(|| (&a.case, a.class).cmp(&(&b.case, b.class)))
    }

    /// What is averaged over a group.
    fn quantity(self) -> &'static str {
        match self {
            Self::Reference => "expected Dice",
            Self::Agreement => "agreement",
            Self::Cohort => "distance from the median (spreads, below 0)",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Reference => {
                "Ordered by the Dice that a reference predicts. It holds for masks and images like those that it was learned from."
            }
            Self::Agreement => {
                "Ordered by the agreement with the other masks. Raters that err alike agree: learn a reference (udas calibrate --masks) to know what it is worth."
            }
            Self::Cohort => {
                "Ordered by how unlike the other masks each one is. It finds the odd ones; it does not say how good the others are."
            }
        }
    }
}

/// Means of the groups over what masks are ordered by; classes that are absent are counted beside them.
fn means(rows: &[Row], basis: Basis) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(name) = row.group.as_deref() {
            groups.entry(name).or_default().push(row);
        }
    }
    let group = |(name, rows): (&str, Vec<&Row>)| {
        let there = rows.iter().filter(|row| !row.look.is_empty());
        let values: Vec<f64> =
            there.map(|row| basis.value(row)).filter(|value| value.is_finite()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Group {
            name: name.into(),
            mean: (!values.is_empty()).then_some(mean),
            cases: rows.iter().map(|row| &row.case).collect::<BTreeSet<_>>().len(),
            absent: rows.iter().filter(|row| row.look.is_empty()).count(),
        }
    };
    groups.into_iter().map(group).collect()
}
