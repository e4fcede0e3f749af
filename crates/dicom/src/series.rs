//! A series as one volume: slices in the order of their positions, on a regular grid, or refused by name.

use std::path::{Path, PathBuf};

use crate::dataset::DataSet;
use crate::folder::{self, Found};
use crate::parse::Parsed;
use crate::pixels::{self, Layout};
use crate::tag::Tag;
use crate::{Error, Result};

/// More voxels than this are refused (4 GiB of float32).
pub(crate) const MAX_VOXELS: u128 = 1 << 30;
/// Two slices that are nearer than this lie at one place.
pub(crate) const SAME_PLACE_MM: f64 = 1e-3;
/// How far a slice may lie from its place in an even stack, as a share of the spacing: positions are rounded.
pub(crate) const UNEVEN: f64 = 0.1;
/// Slices that are stacked further from their normal than this are those of a tilted gantry.
const TILT_DEGREES: f64 = 0.5;
/// How far the parts of two directions may differ.
pub(crate) const DIRECTION: f64 = 1e-3;
/// By how much, as a share, pixel spacings may differ.
pub(crate) const SPACING: f64 = 1e-3;

/// What should be known of a series that could be read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The lowest value is meant to be shown white (MONOCHROME1); values are given as they are stored.
    Inverted,
    /// Files of the folder that are no images of CT or MR: a DICOMDIR, reports, segmentations, files of other kinds.
    PassedOver {
        /// How many.
        files: usize,
    },
    /// One slice, whose thickness stands for the distance to others, or 1 mm where it is not said.
    OneSlice,
}

/// A series whose files have been found to make a volume. Its pixels are read by [`Series::voxels`].
#[derive(Debug)]
pub struct Series {
    path: PathBuf,
    uid: String,
    files: Vec<Parsed>,
    /// In the order of files.
    layouts: Vec<Layout>,
    /// From the first position along the normal on.
    slices: Vec<Slice>,
    affine: [[f64; 4]; 3],
    remarks: Vec<Remark>,
}

/// One slice and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) file: usize,
    /// From 0; of a file of one frame 0.
    pub(crate) frame: usize,
    /// Of the first pixel's middle, in mm; left, posterior, superior.
    pub(crate) position: [f64; 3],
    orientation: [f64; 6],
    /// Between rows and between columns, in mm.
    spacing: [f64; 2],
    slope: f64,
    intercept: f64,
}

impl Slice {
    /// Directions of a row and of a column.
    pub(crate) fn orientation(&self) -> [f64; 6] {
        self.orientation
    }

    /// Between rows and between columns, in mm.
    pub(crate) fn spacing(&self) -> [f64; 2] {
        self.spacing
    }
}

impl Series {
    /// Reads the headers of a series: of a folder that holds one, of `FOLDER@HASH` that names one of several, or of a
    /// file of several frames. Files may have any names; no pixel is decoded.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Damaged`] with the file; [`Error::Refused`] for several series, localizers, colour,
    /// slices of several sizes or directions, a tilted gantry, missing, doubled and uneven slices, and pixels that are
    /// stored in a way that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let Found { uid, files, passed_over } = folder::find(path)?;
        let mut slices = Vec::new();
        let mut layouts = Vec::new();
        for (index, file) in files.iter().enumerate() {
            if folder::is_localizer(file) {
                let remedy = "leave the localizer out, and give the series that was planned on it";
                return Err(Error::refused(&file.path, "is a localizer, not a volume", remedy));
            }
            let frames = slices_of(file, index)?;
            layouts.push(Layout::of(file, frames.len())?);
            slices.extend(frames);
        }
        let mut series = Self {
            path: path.into(),
            uid,
            files,
            layouts,
            slices,
            affine: [[0.0; 4]; 3],
            remarks: Vec::new(),
        };
        series.check_alike()?;
        series.stack()?;
        if series.layouts.iter().any(|layout| layout.inverted) {
            series.remarks.push(Remark::Inverted);
        }
        if passed_over > 0 {
            series.remarks.push(Remark::PassedOver { files: passed_over });
        }
        Ok(series)
    }

    /// Voxels along a row, along a column, and slices.
    pub fn shape(&self) -> [usize; 3] {
        let [columns, rows] =
            self.layouts.first().map_or([0, 0], |layout| [layout.columns, layout.rows]);
        [columns, rows, self.slices.len()]
    }

    /// From voxel indices to millimetres along right, anterior, superior: three rows.
    pub fn affine(&self) -> [[f64; 4]; 3] {
        self.affine
    }

    /// Eight digits that stand for the series in what is shown: of the hash of its identifier.
    pub fn hash(&self) -> String {
        folder::hash_of(&self.uid)
    }

    /// What should be known of it.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Its files in the order of their first slices, whatever their names.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut order: Vec<usize> = Vec::new();
        for slice in &self.slices {
            if order.last() != Some(&slice.file) && !order.contains(&slice.file) {
                order.push(slice.file);
            }
        }
        order.iter().filter_map(|&file| Some(self.files.get(file)?.path.clone())).collect()
    }

    /// Intensities, the first index fastest, after each slice's slope and intercept.
    ///
    /// # Errors
    /// [`Error::Damaged`] for pixels that cannot be decoded.
    pub fn voxels(&self) -> Result<Vec<f32>> {
        let [columns, rows, count] = self.shape();
        let mut voxels: Vec<f32> = Vec::new();
        voxels
            .try_reserve_exact(columns * rows * count)
            .map_err(|_| Error::io(&self.path, std::io::ErrorKind::OutOfMemory.into()))?;
        voxels.resize(columns * rows * count, 0.0);
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.files.len()];
        for (place, slice) in self.slices.iter().enumerate() {
            if let Some(frames) = places.get_mut(slice.file) {
                if frames.len() <= slice.frame {
                    frames.resize(slice.frame + 1, 0);
                }
                if let Some(frame) = frames.get_mut(slice.frame) {
                    *frame = place;
                }
            }
        }
        for ((file, layout), places) in self.files.iter().zip(&self.layouts).zip(&places) {
            pixels::frames(file, layout, places.len(), |frame, numbers| {
                let place = places.get(frame).copied().unwrap_or(0);
                let Some(slice) = self.slices.get(place) else { return Ok(()) };
                let out = voxels.iter_mut().skip(place * columns * rows);
                for (voxel, number) in out.zip(numbers) {
                    *voxel = (f64::from(number) * slice.slope + slice.intercept) as f32;
                }
                Ok(())
            })?;
        }
        Ok(voxels)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    pub(crate) fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// From one slice to the next, in mm.
    pub(crate) fn slice_spacing(&self) -> f64 {
        length(self.affine.map(|[_, _, step, _]| step))
    }

    pub(crate) fn file(&self, slice: &Slice) -> Option<&Parsed> {
        self.files.get(slice.file)
    }

    fn name(&self, slice: &Slice) -> String {
        let Some(file) = self.file(slice) else { return String::new() };
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        if is_enhanced(&file.data) {
            format!("frame {} of {name}", slice.frame + 1)
        } else {
            name.into_owned()
        }
    }

    /// Slices must have one size, one direction and one spacing of pixels.
    fn check_alike(&self) -> Result<()> {
        let remedy = "give each group of slices a folder of its own";
        let (Some(first), Some(layout)) = (self.slices.first(), self.layouts.first()) else {
            return Err(Error::refused(&self.path, "holds no slices", "name a series"));
        };
        for slice in &self.slices {
            let pair = format!("{} and {}", self.name(first), self.name(slice));
            let refuse = |what: String| Err(Error::refused(&self.path, what, remedy));
            if let Some(own) = self.layouts.get(slice.file)
                && (own.columns, own.rows) != (layout.columns, layout.rows)
            {
                return refuse(format!(
                    "holds slices of mixed sizes: {pair} have {}x{} and {}x{} pixels",
                    layout.columns, layout.rows, own.columns, own.rows
                ));
            }
            let parts = first.orientation.iter().zip(&slice.orientation);
            if parts.into_iter().any(|(a, b)| (a - b).abs() > DIRECTION) {
                return refuse(format!("holds slices of mixed orientations: {pair}"));
            }
            let spacings = first.spacing.iter().zip(&slice.spacing);
            if spacings.into_iter().any(|(a, b)| (a - b).abs() > SPACING * a) {
                return refuse(format!("holds slices of mixed pixel spacings: {pair}"));
            }
        }
        let voxels = layout.pixels() as u128 * self.slices.len() as u128;
        if voxels > MAX_VOXELS {
            let problem = format!("holds {voxels} voxels, the limit is {MAX_VOXELS}");
            return Err(Error::refused(&self.path, problem, "crop or resample the series"));
        }
        Ok(())
    }

    /// Brings slices into the order of their positions along the normal, and finds the grid that they lie on.
    fn stack(&mut self) -> Result<()> {
        let Some(first) = self.slices.first() else { return Ok(()) };
        let [a, b, c, d, e, f] = first.orientation;
        let (row, column) = ([a, b, c], [d, e, f]);
        let normal = cross(row, column);
        let spacing = first.spacing;
        self.slices.sort_by(|a, b| dot(a.position, normal).total_cmp(&dot(b.position, normal)));
        let step = match self.slices.as_slice() {
            [only] => {
                let thickness = self.file(only).map(|file| thickness(file, only.frame));
                self.remarks.push(Remark::OneSlice);
                normal.map(|part| part * thickness.flatten().unwrap_or(1.0))
            }
            slices => self.step(slices, normal, spacing)?,
        };
        let origin = self.slices.first().map_or([0.0; 3], |slice| slice.position);
        self.affine = affine_of([row, column], spacing, step, origin);
        Ok(())
    }

    /// From one slice to the next, in mm, of slices that lie evenly along their normal.
    fn step(&self, slices: &[Slice], normal: [f64; 3], spacing: [f64; 2]) -> Result<[f64; 3]> {
        let (Some(first), Some(last)) = (slices.first(), slices.last()) else {
            return Ok([0.0; 3]);
        };
        let gaps: Vec<f64> = slices
            .windows(2)
            .map(|pair| match pair {
                [a, b] => dot(minus(b.position, a.position), normal),
                _ => 0.0,
            })
            .collect();
        self.refuse_doubled(slices, &gaps)?;
        let way = minus(last.position, first.position);
        let along = dot(way, normal);
        let aside = minus(way, normal.map(|part| part * along));
        let degrees = length(aside).atan2(along).to_degrees();
        if degrees > TILT_DEGREES && length(aside) > UNEVEN * spacing[0].min(spacing[1]) {
            let problem = format!(
                "its slices are stacked {degrees:.1} degrees from their normal, as with a tilted gantry (gantry tilt)"
            );
            let remedy =
                "resample it without the tilt, for example with dcm2niix, and give the NIfTI file";
            return Err(Error::refused(&self.path, problem, remedy));
        }
        let mut sorted = gaps.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        if let Some((at, gap)) = gaps.iter().enumerate().find(|(_, gap)| **gap > 1.5 * median) {
            let missing = (gap / median).round() - 1.0;
            let problem = format!(
                "has missing slices: {missing:.0} between {} and {}, which are {gap:.3} mm apart where others are {median:.3} mm",
                slices.get(at).map(|slice| self.name(slice)).unwrap_or_default(),
                slices.get(at + 1).map(|slice| self.name(slice)).unwrap_or_default()
            );
            let remedy = "export the whole series again";
            return Err(Error::refused(&self.path, problem, remedy));
        }
        let step = way.map(|part| part / (slices.len() - 1) as f64);
        let even = along / (slices.len() - 1) as f64;
        for (index, slice) in slices.iter().enumerate() {
            let place: [f64; 3] = std::array::from_fn(|axis| {
                let [origin, step] =
                    [first.position, step].map(|v| v.get(axis).copied().unwrap_or(0.0));
                origin + index as f64 * step
            });
            let off = length(minus(slice.position, place));
            if off > UNEVEN * even {
                let problem = format!(
                    "has uneven spacing: {} lies {off:.3} mm from its place in an even stack of {even:.3} mm",
                    self.name(slice)
                );
                let remedy = "resample it onto even slices, for example with dcm2niix, and give the NIfTI file";
                return Err(Error::refused(&self.path, problem, remedy));
            }
        }
        Ok(step)
    }

    fn refuse_doubled(&self, slices: &[Slice], gaps: &[f64]) -> Result<()> {
        let doubled = gaps.iter().filter(|gap| **gap < SAME_PLACE_MM).count();
        let Some(at) = gaps.iter().position(|gap| *gap < SAME_PLACE_MM) else { return Ok(()) };
        let names = |index: usize| slices.get(index).map(|slice| self.name(slice));
        let problem = format!(
            "has doubled slices: {doubled} of {} lie where another does, such as {} and {}",
            slices.len(),
            names(at).unwrap_or_default(),
            names(at + 1).unwrap_or_default()
        );
        let remedy =
            "time points, echoes, phases or copies in one series: give each a folder of its own";
        Err(Error::refused(&self.path, problem, remedy))
    }
}

/// Whether a file says of each frame where it lies.
fn is_enhanced(data: &DataSet) -> bool {
    data.has(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
        || data.has(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
}

/// The slices of a file, in the order of its frames.
pub(crate) fn slices_of(file: &Parsed, index: usize) -> Result<Vec<Slice>> {
    let data = &file.data;
    if data.has(Tag::MODALITY_LUT_SEQUENCE) {
        let problem = "has a table (Modality LUT) in place of slope and intercept";
        return Err(Error::refused(&file.path, problem, "export it with rescaled values"));
    }
    let frames = data.count(Tag::NUMBER_OF_FRAMES).unwrap_or(1);
    if !is_enhanced(data) {
        if frames != 1 {
            let problem = format!("has {frames} frames and does not say where each lies");
            let remedy = "export it as slices, or as an enhanced multi-frame image";
            return Err(Error::refused(&file.path, problem, remedy));
        }
        let slice = Groups { file, shared: data, own: data }.slice(index, 0)?;
        return Ok(vec![slice]);
    }
    let own = data.items(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if own.len() as u64 != u64::from(frames) || frames == 0 {
        let problem = format!("says of {} frames where they lie, and holds {frames}", own.len());
        return Err(Error::damaged(&file.path, problem));
    }
    let empty = DataSet::default();
    let shared = data.item(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).unwrap_or(&empty);
    let slice = |(frame, own)| Groups { file, shared, own }.slice(index, frame);
    own.iter().enumerate().map(slice).collect()
}

/// What is said of a frame alone, of all frames, or of the only one.
struct Groups<'a> {
    file: &'a Parsed,
    shared: &'a DataSet,
    own: &'a DataSet,
}

impl<'a> Groups<'a> {
    /// The item of a functional group; in files of one frame its elements stand by themselves.
    fn of(&self, sequence: Tag) -> &'a DataSet {
        let group = self.own.item(sequence).or_else(|| self.shared.item(sequence));
        group.unwrap_or(&self.file.data)
    }

    fn slice(&self, file: usize, frame: usize) -> Result<Slice> {
        let missing = |what: &str| {
            let problem = format!("does not say its {what} (frame {})", frame + 1);
            let remedy = "give a series of slices with positions, as scanners export it";
            Error::refused(&self.file.path, problem, remedy)
        };
        let position = self.of(Tag::PLANE_POSITION_SEQUENCE).finite(Tag::IMAGE_POSITION_PATIENT);
        let position = position.ok_or_else(|| missing("position (ImagePositionPatient)"))?;
        let orientation =
            self.of(Tag::PLANE_ORIENTATION_SEQUENCE).finite::<6>(Tag::IMAGE_ORIENTATION_PATIENT);
        let orientation =
            orientation.ok_or_else(|| missing("orientation (ImageOrientationPatient)"))?;
        let spacing = self.of(Tag::PIXEL_MEASURES_SEQUENCE).finite::<2>(Tag::PIXEL_SPACING);
        let spacing = spacing.filter(|sides| sides.iter().all(|side| *side > 0.0));
        let spacing = spacing.ok_or_else(|| missing("pixel spacing (PixelSpacing)"))?;
        let values = self.of(Tag::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
        let slope = values.number(Tag::RESCALE_SLOPE).unwrap_or(1.0);
        let intercept = values.number(Tag::RESCALE_INTERCEPT).unwrap_or(0.0);
        if slope == 0.0 || !slope.is_finite() || !intercept.is_finite() {
            let problem = format!("has slope {slope} and intercept {intercept}");
            return Err(Error::damaged(&self.file.path, problem));
        }
        let orientation = unit(orientation).ok_or_else(|| {
            Error::damaged(
                &self.file.path,
                "has rows and columns that are no directions at right angles",
            )
        })?;
        Ok(Slice { file, frame, position, orientation, spacing, slope, intercept })
    }
}

/// From voxel indices to millimetres along right, anterior, superior: of the directions of a row and a column, the spacings
/// between rows and between columns, the way to the next slice, and the first pixel, all in left, posterior, superior.
pub(crate) fn affine_of(
    [row, column]: [[f64; 3]; 2],
    spacing: [f64; 2],
    step: [f64; 3],
    origin: [f64; 3],
) -> [[f64; 4]; 3] {
    let columns =
        [row.map(|part| part * spacing[1]), column.map(|part| part * spacing[0]), step, origin];
    // Left and posterior become right and anterior.
    let sign = [-1.0, -1.0, 1.0];
    [0, 1, 2].map(|axis: usize| {
        columns.map(|vector| {
            let part = vector.get(axis).copied().unwrap_or(0.0);
            // No negative zeros, which are shown.
            part * sign.get(axis).copied().unwrap_or(1.0) + 0.0
        })
    })
}

/// The distance to other slices that one slice alone states.
pub(crate) fn thickness(file: &Parsed, frame: usize) -> Option<f64> {
    let empty = DataSet::default();
    let data = &file.data;
    let own = data.items(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(frame).unwrap_or(&empty);
    let shared = data.item(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).unwrap_or(&empty);
    let measures = Groups { file, shared, own }.of(Tag::PIXEL_MEASURES_SEQUENCE);
    let said = [Tag::SPACING_BETWEEN_SLICES, Tag::SLICE_THICKNESS];
    let mut said = said.into_iter().filter_map(|tag| measures.number(tag));
    said.find(|size| *size > 0.0 && size.is_finite())
}

/// Row and column direction of length 1, where they stand at right angles but for rounding.
fn unit(orientation: [f64; 6]) -> Option<[f64; 6]> {
    let [a, b, c, d, e, f] = orientation;
    let (row, column) = ([a, b, c], [d, e, f]);
    let lengths = [length(row), length(column)];
    let is_unit = lengths.iter().all(|length| (length - 1.0).abs() < 0.01);
    if !is_unit || dot(row, column).abs() > 0.01 {
        return None;
    }
    let [[a, b, c], [d, e, f]] = [row.map(|v| v / lengths[0]), column.map(|v| v / lengths[1])];
    Some([a, b, c, d, e, f])
}

pub(crate) fn dot([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> f64 {
    a * x + b * y + c * z
}

pub(crate) fn cross([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
    [b * z - c * y, c * x - a * z, a * y - b * x]
}

pub(crate) fn minus([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
    [a - x, b - y, c - z]
}

pub(crate) fn length(vector: [f64; 3]) -> f64 {
    dot(vector, vector).sqrt()
}
