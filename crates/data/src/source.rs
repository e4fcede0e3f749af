//! The seam between data and training: slices by number, with labels or without.

use std::sync::Arc;

use crate::{Error, Result, Window};

/// One slice in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Preprocessed intensities `[height, width]`, row by row.
    pub image: Vec<f32>,
    /// Classes `[height, width]`, where the source has them.
    pub labels: Option<Vec<u8>>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Where the slice lies within its padding.
    pub window: Window,
    /// Which slice it is.
    pub place: Place,
}

/// Which slice of which volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the subject in its source.
    pub subject: usize,
    /// Number of the slice in its volume.
    pub slice: usize,
    /// Number among the subject's used frames.
    pub frame: usize,
}

/// Slices by number, all of one size. A read holds no more than one slice besides a bounded cache.
pub trait SliceSource: Send + Sync {
    /// Number of slices.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[height, width]` of every slice.
    fn size(&self) -> [usize; 2];

    /// Slice `index`, from 0.
    fn read(&self, index: usize) -> Result<Slice>;

    /// The file and slice behind an index, for messages.
    fn describe(&self, index: usize) -> String;
}

/// A source whose every slice has labels.
#[derive(Clone)]
pub struct Labelled(Arc<dyn SliceSource>);

/// A source whose labels, if it has any, cannot be reached.
///
/// ```compile_fail
/// fn peek(target: &udas_data::Unlabelled) {
///     let _ = target.read(0).unwrap().labels;
/// }
/// ```
#[derive(Clone)]
pub struct Unlabelled(Arc<dyn SliceSource>);

/// Preprocessed intensities `[height, width]` of a slice, and which one it is.
#[derive(Debug, Clone, PartialEq)]
pub struct UnlabelledSlice {
    /// Row by row.
    pub image: Vec<f32>,
    /// Where the slice lies within its padding.
    pub window: Window,
    /// Which slice it is.
    pub place: Place,
}

impl Labelled {
    /// Gives out labels, and an error for a slice without.
    pub fn new(source: Arc<dyn SliceSource>) -> Self {
        Self(source)
    }

    /// Slice `index` and its labels.
    pub fn read(&self, index: usize) -> Result<(Slice, Vec<u8>)> {
        let mut slice = self.0.read(index)?;
        match slice.labels.take() {
            Some(labels) => Ok((slice, labels)),
            None => Err(Error::Setting(format!("{}: has no labels", self.0.describe(index)))),
        }
    }

    /// The slices behind.
    pub fn source(&self) -> &dyn SliceSource {
        &*self.0
    }
}

impl Unlabelled {
    /// Hides whatever labels the source has.
    pub fn new(source: Arc<dyn SliceSource>) -> Self {
        Self(source)
    }

    /// Number of slices.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `[height, width]` of every slice.
    pub fn size(&self) -> [usize; 2] {
        self.0.size()
    }

    /// Slice `index`, from 0.
    pub fn read(&self, index: usize) -> Result<UnlabelledSlice> {
        let Slice { image, window, place, .. } = self.0.read(index)?;
        Ok(UnlabelledSlice { image, window, place })
    }

    /// The file and slice behind an index, for messages.
    pub fn describe(&self, index: usize) -> String {
        self.0.describe(index)
    }
}
