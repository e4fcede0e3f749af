//! The slices of volumes on disk: headers are read first, voxels when a slice is asked for.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use udas_volume::{
    Error as VolumeError, Header, Image, Labels, Volume, probe, probe_labels, read, read_frames,
    read_label_frames, read_labels,
};

use crate::cache::Cache;
use crate::intensity::IntensityMap;
use crate::{
    DataSet, Error, Frames, Place, Preprocessing, Result, Slice, SliceSource, Slicing, Subject,
    Window,
};

/// Two gigabytes: some sixty volumes of 256x256x180 voxels with masks.
pub const DEFAULT_CACHE_BYTES: usize = 2 << 30;

/// Pixels of a padded slice; far more than a scanner makes.
const MAX_PIXELS: usize = 1 << 26;

/// What is done with masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelUse {
    /// Mask files are not opened.
    Ignore,
    /// Every subject must have one on the image's grid, with labels below `classes` (background included).
    Require {
        /// Number of classes, background included.
        classes: u8,
    },
}

/// The slices of a list of subjects, preprocessed.
///
/// Slices are numbered subject by subject, in each slice by slice, and for each slice frame by frame.
/// Decoded volumes are kept in a cache of bounded size; reading beyond it costs decoding again.
pub struct VolumeSlices {
    volumes: Vec<Scanned>,
    preprocessing: Preprocessing,
    labels: LabelUse,
    size: [usize; 2],
    cache: Cache<Decoded>,
    decoded: AtomicUsize,
}

/// A subject whose headers have been read.
struct Scanned {
    subject: Subject,
    slicing: Slicing,
    header: Header,
    window: Window,
    /// Number of its first slice.
    first: usize,
    /// Remembered, so that reading again after eviction costs no statistics.
    intensity: OnceLock<IntensityMap>,
}

/// A subject's voxels on the grid that is cut, one vector a frame.
struct Decoded {
    images: Vec<Vec<f32>>,
    labels: Option<Vec<Vec<u8>>>,
}

impl VolumeSlices {
    /// Reads the headers of all subjects and checks that files are there, on one grid with their masks and
    /// of possible size. No voxel is read.
    pub fn new(
        subjects: Vec<Subject>,
        preprocessing: Preprocessing,
        labels: LabelUse,
        cache_bytes: usize,
    ) -> Result<Self> {
        preprocessing.check()?;
        let mut volumes = Vec::with_capacity(subjects.len());
        let mut first = 0;
        for subject in subjects {
            let scanned = scan(subject, &preprocessing, labels, first)?;
            first += scanned.len();
            volumes.push(scanned);
        }
        let padding = preprocessing.padding;
        let size = padding.size(volumes.iter().map(|volume| volume.slicing.size()));
        check_size(size, &volumes)?;
        for volume in &mut volumes {
            volume.window = padding.window(volume.slicing.size(), size);
        }
        let cache = Cache::new(cache_bytes);
        Ok(Self { volumes, preprocessing, labels, size, cache, decoded: AtomicUsize::new(0) })
    }

    /// The subjects, in order.
    pub fn subjects(&self) -> impl ExactSizeIterator<Item = &Subject> {
        self.volumes.iter().map(|volume| &volume.subject)
    }

    /// Numbers of a subject's slices; empty for a subject that does not exist.
    pub fn indices(&self, subject: usize) -> std::ops::Range<usize> {
        self.volumes.get(subject).map_or(0..0, |volume| volume.first..volume.first + volume.len())
    }

    /// How a subject is cut.
    pub fn slicing(&self, subject: usize) -> Option<&Slicing> {
        self.volumes.get(subject).map(|volume| &volume.slicing)
    }

    /// How often a volume has been decoded; more than the number of subjects means that the cache is smaller
    /// than the data.
    pub fn volumes_decoded(&self) -> usize {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Bytes of the decoded volumes that are held now: at most those allowed, or one volume if that is larger.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Labels for all slices of a subject, `[slices of the subject, height, width]` with the padding, back on
    /// the grid of its file; one volume a frame.
    pub fn restore_labels(&self, subject: usize, stack: &[u8]) -> Result<Vec<Labels>> {
        let volume = self.volume(subject)?;
        let frames = self.unstack(volume, stack)?;
        frames.iter().map(|stack| volume.slicing.restore_labels(stack, &volume.header)).collect()
    }

    /// Values, such as probabilities, for all slices of a subject, as [`restore_labels`](Self::restore_labels).
    pub fn restore_volume(&self, subject: usize, stack: &[f32]) -> Result<Vec<Volume>> {
        let volume = self.volume(subject)?;
        let frames = self.unstack(volume, stack)?;
        frames.iter().map(|stack| volume.slicing.restore_volume(stack, &volume.header)).collect()
    }

    /// A padded, frame-minor stack as one stack without padding a frame.
    fn unstack<T: Copy>(&self, volume: &Scanned, stack: &[T]) -> Result<Vec<Vec<T>>> {
        let [height, width] = self.size;
        if stack.len() != volume.len() * height * width {
            let message =
                format!("{} values for {} slices of {height}x{width}", stack.len(), volume.len());
            return Err(Error::Setting(message));
        }
        let count = volume.subject.frame_count();
        let mut frames = vec![Vec::new(); count];
        for (index, slice) in stack.chunks_exact(height * width).enumerate() {
            if let Some(frame) = frames.get_mut(index % count) {
                volume.window.crop(slice, width, frame);
            }
        }
        Ok(frames)
    }

    fn volume(&self, subject: usize) -> Result<&Scanned> {
        let none = || Error::Setting(format!("subject {subject} of {}", self.volumes.len()));
        self.volumes.get(subject).ok_or_else(none)
    }

    fn place(&self, index: usize) -> Result<Place> {
        if index >= self.len() {
            return Err(Error::Setting(format!("slice {index} of {}", self.len())));
        }
        let subject = self.volumes.partition_point(|volume| volume.first <= index) - 1;
        let volume = self.volume(subject)?;
        let (offset, frames) = (index - volume.first, volume.subject.frame_count());
        Ok(Place { subject, slice: offset / frames, frame: offset % frames })
    }

    fn decoded(&self, subject: usize) -> Result<Arc<Decoded>> {
        if let Some(decoded) = self.cache.get(subject) {
            return Ok(decoded);
        }
        let volume = self.volume(subject)?;
        let decoded = Arc::new(volume.decode(&self.preprocessing, self.labels)?);
        self.decoded.fetch_add(1, Ordering::Relaxed);
        self.cache.insert(subject, Arc::clone(&decoded), decoded.bytes());
        Ok(decoded)
    }
}

impl SliceSource for VolumeSlices {
    fn len(&self) -> usize {
        self.volumes.last().map_or(0, |last| last.first + last.len())
    }

    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn read(&self, index: usize) -> Result<Slice> {
        let place = self.place(index)?;
        let volume = self.volume(place.subject)?;
        let decoded = self.decoded(place.subject)?;
        let (window, [height, width]) = (volume.window, self.size);
        let image = decoded.images.get(place.frame).map(Vec::as_slice).unwrap_or_default();
        let image = volume.slicing.slice(image, place.slice);
        let labels = decoded.labels.as_ref().and_then(|frames| frames.get(place.frame));
        let labels =
            labels.map(|labels| window.pad(&volume.slicing.slice(labels, place.slice), self.size));
        Ok(Slice { image: window.pad(&image, self.size), labels, height, width, window, place })
    }

    fn describe(&self, index: usize) -> String {
        match self.place(index) {
            Ok(Place { subject, slice, frame }) => {
                let subject = self.volumes.get(subject).map(|volume| &volume.subject);
                let frame = match subject.map(|subject| &subject.frames) {
                    Some(Frames::Chosen(frames)) => frames.get(frame),
                    _ => None,
                };
                let frame = frame.map(|frame| format!(", frame {frame}")).unwrap_or_default();
                let image = subject.map(|subject| subject.image.as_path()).unwrap_or(Path::new(""));
                format!("{}, slice {slice}{frame}", image.display())
            }
            Err(error) => error.to_string(),
        }
    }
}

impl Decoded {
    fn bytes(&self) -> usize {
        let images: usize = self.images.iter().map(|image| image.len() * size_of::<f32>()).sum();
        images + self.labels.iter().flatten().map(Vec::len).sum::<usize>()
    }
}

impl Scanned {
    /// Number of its slices over all frames.
    fn len(&self) -> usize {
        self.slicing.slices() * self.subject.frame_count()
    }

    fn decode(&self, preprocessing: &Preprocessing, labels: LabelUse) -> Result<Decoded> {
        let mut images = read_cut(&self.subject, &self.slicing)?;
        let map = self.intensity.get_or_init(|| preprocessing.intensity.map(&images));
        if map.is_flat() && !is_constant(images.iter().flatten()) {
            let path = self.subject.image.clone();
            return Err(Error::Flat { path, intensity: preprocessing.intensity.name() });
        }
        images.iter_mut().for_each(|image| map.apply(image));
        let labels = match labels {
            LabelUse::Ignore => None,
            LabelUse::Require { classes } => Some(self.decode_labels(classes)?),
        };
        Ok(Decoded { images, labels })
    }

    fn decode_labels(&self, classes: u8) -> Result<Vec<Vec<u8>>> {
        let path = self.subject.labels.as_ref().ok_or_else(|| no_mask(&self.subject))?;
        let labels = match &self.subject.frames {
            Frames::Single => vec![read_labels(path)?],
            Frames::Chosen(frames) => read_label_frames(path, frames)?,
        };
        let mut cut = Vec::with_capacity(labels.len());
        for labels in &labels {
            let mut values = labels.data().iter().copied().enumerate();
            if let Some((offset, label)) = values.find(|&(_, label)| label >= classes) {
                let [nx, ny, _] = labels.shape();
                let voxel = [offset % nx, offset / nx % ny, offset / nx / ny];
                let last = classes.saturating_sub(1);
                return Err(Error::LabelOutside { path: path.clone(), label, voxel, last });
            }
            check_unchanged(&self.slicing, labels, path)?;
            cut.push(self.slicing.cut_labels(labels)?);
        }
        Ok(cut)
    }
}

/// The voxels of a subject's frames on the grid that is cut, as the file has them. A NaN is refused, and so is
/// a volume of one value: only a single slice may be empty.
pub(crate) fn read_cut(subject: &Subject, slicing: &Slicing) -> Result<Vec<Vec<f32>>> {
    let Subject { image, frames, .. } = subject;
    let volumes = match frames {
        Frames::Single => vec![read(image)?],
        Frames::Chosen(frames) => read_frames(image, frames)?,
    };
    let voxels = || volumes.iter().flat_map(Volume::data);
    let single = volumes.iter().all(|volume| volume.data().len() == 1);
    if let Some(&value) = voxels().next()
        && (slicing.slices() > 1 || single)
        && is_constant(voxels())
    {
        return Err(Error::Constant { path: image.clone(), value });
    }
    let cut = |volume: &Volume| {
        volume.check_finite(image)?;
        check_unchanged(slicing, volume, image)?;
        slicing.cut_volume(volume)
    };
    volumes.iter().map(cut).collect()
}

fn is_constant<'a>(mut voxels: impl Iterator<Item = &'a f32>) -> bool {
    let first = voxels.next();
    voxels.all(|other| Some(other) == first)
}

fn check_unchanged<T: Copy>(slicing: &Slicing, read: &Image<T>, path: &Path) -> Result<()> {
    if slicing.fits(read) { Ok(()) } else { Err(Error::Changed { path: path.into() }) }
}

fn check_size([height, width]: [usize; 2], volumes: &[Scanned]) -> Result<()> {
    let largest = |side: usize| {
        let side = |volume: &&Scanned| volume.slicing.size().into_iter().nth(side);
        volumes.iter().max_by_key(side).map(|volume| volume.subject.image.clone())
    };
    if height.saturating_mul(width) <= MAX_PIXELS {
        return Ok(());
    }
    let (tallest, widest) = (largest(0).unwrap_or_default(), largest(1).unwrap_or_default());
    Err(Error::SliceSize { height, width, tallest, widest })
}

fn no_mask(subject: &Subject) -> Error {
    Error::NoMask { image: subject.image.clone(), expected: DataSet::expected_mask(subject) }
}

fn scan(
    subject: Subject,
    preprocessing: &Preprocessing,
    labels: LabelUse,
    first: usize,
) -> Result<Scanned> {
    let image = probe(&subject.image)?;
    check_frames(&subject, image.frames)?;
    if let LabelUse::Require { .. } = labels {
        let path = subject.labels.as_ref().ok_or_else(|| no_mask(&subject))?;
        image.grid.check_same(&subject.image, &probe_labels(path)?.grid, path)?;
    }
    let unfit = |error| Error::Setting(format!("{}: {error}", subject.image.display()));
    let slicing = preprocessing.slicing(&image).map_err(unfit)?;
    let [height, width] = slicing.size();
    let window = Window { top: 0, left: 0, height, width };
    Ok(Scanned {
        subject,
        slicing,
        header: image.header,
        window,
        first,
        intensity: OnceLock::new(),
    })
}

fn check_frames(subject: &Subject, frames: usize) -> Result<()> {
    let problem = match &subject.frames {
        Frames::Single if frames != 1 => "one is wanted: split the file".to_owned(),
        Frames::Chosen(chosen) => match chosen.iter().find(|&&frame| frame >= frames) {
            Some(frame) => format!("not a frame number {frame}: they count from 0"),
            None if chosen.is_empty() => "none is chosen: choose one".to_owned(),
            None => return Ok(()),
        },
        Frames::Single => return Ok(()),
    };
    Err(VolumeError::Frames { path: subject.image.clone(), frames, problem }.into())
}
