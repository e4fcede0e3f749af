//! From images to what a network sees: axes, crop, intensities, spacing, in nnU-Net's order.
use crate::grid::{self, Box3};
use crate::plans::{Configuration, Intensities, Normalization, Plans, Reader};
use crate::{Error, Result, numpy};
use udas_volume::{Grid, Header, Labels, Orientation, Volume};

/// A case as the network sees it, with what leads back.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The channels, one after the other, axes as the network has them.
    pub data: Vec<f32>,
    /// Voxels along each axis.
    pub shape: [usize; 3],
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a prepared case comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The shape before the crop, axes as the network has them.
    pub shape: [usize; 3],
    /// What was kept of it.
    pub(crate) kept: Box3,
    /// Spacing before resampling, and after it.
    pub(crate) spacings: [[f64; 3]; 2],
    pub(crate) transpose_backward: [usize; 3],
    pub(crate) orientation: Option<Orientation>,
    pub(crate) grid: Grid,
    pub(crate) header: Header,
}

impl Origin {
    /// The shape of what was kept, before resampling.
    pub fn kept_shape(&self) -> [usize; 3] {
        grid::shape_of(&self.kept)
    }
}

/// A channel `[z, y, x]` as it was read.
struct Read {
    shape: [usize; 3],
    spacing: [f64; 3],
    channels: Vec<Vec<f32>>,
    orientation: Option<Orientation>,
    grid: Grid,
    header: Header,
}

/// Voxel sizes of the file's axes z, y, x in millimetres: of NIfTI by pixdim, as SimpleITK and nibabel give them, of other
/// files (DICOM) by their affine.
fn spacing(header: &Header, grid: &Grid) -> [f64; 3] {
    let [x, y, z] = if header.rank() == 0 {
        grid.affine.spacing()
    } else {
        header.pixdim_mm().map(|size| if size == 0.0 { 1.0 } else { size })
    };
    // An image of two axes has no slices: they are as far apart as anything can be.
    let is_slice = header.rank() == 2 && grid.shape[2] == 1;
    [if is_slice { 999.0 * x.max(y) } else { z }, y, x]
}

/// Share of a voxel by which sizes of channels may differ.
const ALIKE: f64 = 1e-3;

fn read(images: Vec<Volume>, reader: Reader, case: &str) -> Result<Read> {
    let first = images.first().ok_or_else(|| Error::case(case, "has no image"))?;
    let (grid, header) = (*first.grid(), first.header().clone());
    for (channel, image) in images.iter().enumerate().skip(1) {
        let [own, other] = [&grid, image.grid()].map(|grid| grid.affine.spacing());
        // As nnU-Net: origins and directions may differ, which is said by who gives the images.
        let is_alike = own.into_iter().zip(other).all(|(a, b)| (a - b).abs() <= ALIKE * a);
        if let Some(problem) =
            grid.difference(image.grid()).filter(|_| grid.shape != image.grid().shape || !is_alike)
        {
            let text = format!(
                "channels 0 and {channel} lie on other grids ({problem}); resample one onto the other"
            );
            return Err(Error::case(case, text));
        }
    }
    let stored = |[x, y, z]: [usize; 3]| [z, y, x];
    let mut sizes = spacing(&header, &grid);
    let mut shape = stored(grid.shape);
    let (mut orientation, mut channels) = (None, Vec::with_capacity(images.len()));
    for image in images {
        if reader == Reader::ToRas {
            let (ras, way) = image.to_ras();
            shape = stored(ras.shape());
            orientation = Some(way);
            channels.push(ras.into_data());
        } else {
            channels.push(image.into_data());
        }
    }
    if let Some(way) = &orientation {
        sizes = turned(sizes, way);
    }
    Ok(Read { shape, spacing: sizes, channels, orientation, grid, header })
}

/// Sizes of the file's axes z, y, x as those of superior, anterior, right.
fn turned(sizes: [f64; 3], way: &Orientation) -> [f64; 3] {
    // Right, anterior, superior are x, y, z.
    let [x, y, z] = way.axes().map(|(source, _)| sizes[2 - source]);
    [z, y, x]
}

/// Voxel sizes of an image in millimetres before it is resampled, in the order of the network's axes.
pub fn voxels_mm(plans: &Plans, header: &Header, grid: &Grid) -> [f64; 3] {
    let sizes = spacing(header, grid);
    let sizes = match plans.reader {
        Reader::Stored => sizes,
        Reader::ToRas => turned(sizes, &Orientation::to_ras(grid)),
    };
    plans.transpose_forward.map(|axis| sizes[axis])
}

/// Prepares the channels of a case.
///
/// # Errors
/// [`Error::Case`] when there are not as many images as the model takes, or they lie on different grids.
pub fn prepare(
    images: Vec<Volume>,
    plans: &Plans,
    configuration: &Configuration,
    case: &str,
) -> Result<Prepared> {
    let wanted = configuration.normalizations.len();
    if images.len() != wanted {
        let text = format!("has {} images; the model takes {wanted}", images.len());
        return Err(Error::case(case, text));
    }
    let mut read = read(images, plans.reader, case)?;
    let channels = std::mem::take(&mut read.channels);
    let frame = Frame::around(&channels, read.shape, plans.transpose_forward);
    let origin = frame.origin(read, plans, configuration);
    let target = target_shape(&origin);
    check_size(target, wanted, case)?;
    let mut data = Vec::with_capacity(wanted * target.iter().product::<usize>());
    for (channel, scheme) in channels.into_iter().zip(&configuration.normalizations) {
        let values = frame.seen(channel, *scheme);
        if origin.kept_shape() == target {
            data.extend(values);
            continue;
        }
        let values = values.into_iter().map(f64::from).collect();
        let resampling = &configuration.image_resampling;
        let resampled = resampling.run(values, origin.kept_shape(), target, origin.spacings);
        data.extend(resampled.into_iter().map(|value| value as f32));
    }
    Ok(Prepared { data, shape: target, origin })
}

/// Prepares the channels of a case, and its labels on the grid of what comes of them: each voxel has the label nearest to
/// it. (The original resamples labels linearly, class by class.)
///
/// # Errors
/// As [`prepare`], and when the labels lie on another grid than the images.
pub fn prepare_with_labels(
    images: Vec<Volume>,
    labels: Labels,
    (plans, configuration): (&Plans, &Configuration),
    case: &str,
) -> Result<(Prepared, Prepared)> {
    if let Some(problem) = images.first().and_then(|image| image.grid().difference(labels.grid())) {
        let text = format!(
            "the labels lie on another grid than the image ({problem}); resample them onto it"
        );
        return Err(Error::case(case, text));
    }
    let image = prepare(images, plans, configuration, case)?;
    let Origin { kept, shape, .. } = &image.origin;
    let stored = |[x, y, z]: [usize; 3]| [z, y, x];
    let (mut sizes, mut values) = (stored(labels.shape()), Vec::new());
    if plans.reader == Reader::ToRas {
        let (ras, _) = labels.to_ras();
        sizes = stored(ras.shape());
        values.extend(ras.into_data());
    } else {
        values.extend(labels.into_data());
    }
    let (values, _) = grid::transpose(values, sizes, plans.transpose_forward);
    let values = grid::cut(&values, *shape, kept);
    let from = image.origin.kept_shape();
    let values = nearest(&values, from, image.shape);
    let labels = Prepared { data: values, shape: image.shape, origin: image.origin.clone() };
    Ok((image, labels))
}

/// The nearest value at each place of an array of another shape.
fn nearest(values: &[u8], from: [usize; 3], to: [usize; 3]) -> Vec<f32> {
    let place = |at: usize, axis: usize| {
        let middle = (at as f64 + 0.5) * from[axis] as f64 / to[axis] as f64;
        (middle as usize).min(from[axis] - 1)
    };
    let mut nearest = Vec::with_capacity(to.iter().product());
    for (z, y) in (0..to[0]).flat_map(|z| (0..to[1]).map(move |y| (z, y))) {
        let row = (place(z, 0) * from[1] + place(y, 1)) * from[2];
        nearest.extend((0..to[2]).map(|x| f32::from(values[row + place(x, 2)])));
    }
    nearest
}

/// The shape at the model's spacing.
fn target_shape(origin: &Origin) -> [usize; 3] {
    let (shape, [before, after]) = (origin.kept_shape(), origin.spacings);
    [0, 1, 2]
        .map(|axis| (before[axis] / after[axis] * shape[axis] as f64).round_ties_even() as usize)
}

/// The part of an image that is kept, axes as in the file.
struct Frame {
    whole: [usize; 3],
    part: Box3,
    /// Of the part: what is not empty.
    mask: Vec<bool>,
    /// For each axis of the network, the file's.
    order: [usize; 3],
}

impl Frame {
    /// The smallest that holds all that is not empty.
    fn around(channels: &[Vec<f32>], whole: [usize; 3], order: [usize; 3]) -> Self {
        let mask = nonzero(channels, whole);
        let part = grid::bounds(&mask, whole);
        let mask = grid::cut(&mask, whole, &part);
        Self { whole, part, mask, order }
    }

    fn origin(&self, read: Read, plans: &Plans, configuration: &Configuration) -> Origin {
        let before = self.order.map(|axis| read.spacing[axis]);
        let after = match configuration.spacing[..] {
            [a, b, c] => [a, b, c],
            [b, c] => [before[0], b, c],
            _ => before,
        };
        Origin {
            shape: self.order.map(|axis| self.whole[axis]),
            kept: self.order.map(|axis| self.part[axis].clone()),
            spacings: [before, after],
            transpose_backward: plans.transpose_backward,
            orientation: read.orientation,
            grid: read.grid,
            header: read.header,
        }
    }

    /// The part of a channel, at the common scale, axes as the network has them.
    fn seen(&self, channel: Vec<f32>, scheme: Normalization) -> Vec<f32> {
        let shape = grid::shape_of(&self.part);
        let mut values = grid::cut(&channel, self.whole, &self.part);
        drop(channel);
        match scheme {
            Normalization::ZScore { masked: true } => self.normalise_masked(&mut values),
            Normalization::ZScore { masked: false } => {
                // Numpy's sums depend on the array that the part was cut from.
                let (mean, deviation) = numpy::mean_and_deviation(&values, shape, self.whole);
                let deviation = deviation.max(LEAST);
                values.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
            }
            other => rescale(&mut values, other),
        }
        grid::transpose(values, shape, self.order).0
    }

    /// Mean and deviation over what is not empty, and there alone.
    fn normalise_masked(&self, values: &mut [f32]) {
        let shape = grid::shape_of(&self.part);
        // Values are gathered in the network's order of axes.
        let (seen, _) = grid::transpose(values.to_vec(), shape, self.order);
        let (marked, _) = grid::transpose(self.mask.clone(), shape, self.order);
        let pairs = seen.into_iter().zip(marked).filter(|(_, marked)| *marked);
        let seen: Vec<f32> = pairs.map(|(value, _)| value).collect();
        let line = [1, 1, seen.len()];
        let (mean, deviation) = numpy::mean_and_deviation(&seen, line, line);
        let deviation = deviation.max(LEAST);
        let marked = values.iter_mut().zip(&self.mask).filter(|(_, marked)| **marked);
        marked.for_each(|(value, _)| *value = (*value - mean) / deviation);
    }
}

/// A deviation or a range smaller than this counts as this.
const LEAST: f32 = 1e-8;

/// Refuses a case that resampling would make empty, or larger than memory is.
fn check_size(shape: [usize; 3], channels: usize, case: &str) -> Result<()> {
    const MOST_VOXELS: usize = 1 << 31;
    let voxels = shape.iter().try_fold(channels, |product, &n| product.checked_mul(n));
    if voxels.is_none_or(|voxels| voxels == 0 || voxels > MOST_VOXELS) {
        let [z, y, x] = shape;
        let text = format!(
            "becomes {z} x {y} x {x} voxels at the model's spacing; is the voxel size in its header right?"
        );
        return Err(Error::case(case, text));
    }
    Ok(())
}

/// What is not 0 in some channel, holes filled. NaN is not 0.
fn nonzero(channels: &[Vec<f32>], shape: [usize; 3]) -> Vec<bool> {
    let mut mask = vec![false; shape.iter().product()];
    for channel in channels {
        mask.iter_mut().zip(channel).for_each(|(mask, &value)| *mask |= value != 0.0);
    }
    grid::fill_holes(&mut mask, shape);
    mask
}

/// Brings a channel to the common scale, value by value.
fn rescale(values: &mut [f32], scheme: Normalization) {
    match scheme {
        Normalization::Ct(Intensities { mean, deviation, low, high }) => {
            let deviation = deviation.max(LEAST);
            for value in values {
                // As numpy's clip: what is no number stays.
                let clipped = if *value < low { low } else { *value };
                let clipped = if clipped > high { high } else { clipped };
                *value = (clipped - mean) / deviation;
            }
        }
        Normalization::RescaleTo01 => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            values.iter_mut().for_each(|value| *value -= least);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max).max(LEAST);
            values.iter_mut().for_each(|value| *value /= most);
        }
        Normalization::RgbTo01 => values.iter_mut().for_each(|value| *value /= 255.0),
        Normalization::ZScore { .. } | Normalization::Unchanged => {}
    }
}
