//! What can be wrong with a data set, each with the files it concerns and the remedy.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the files, what is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A volume that cannot be read, or lies on another grid than its mask.
    #[error(transparent)]
    Volume(#[from] udas_volume::Error),
    /// The operating system refused.
    #[error("{path}: {source}{remedy}", remedy = remedy(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A folder in none of the known layouts.
    #[error(
        "{root}: no data set is recognised here; expected are domain folders \
         (DOMAIN/images/NAME.nii.gz and DOMAIN/masks/NAME.nii.gz), CC-359 file names \
         (CC0001_philips_15_55_M.nii.gz, masks with _ss), the M&Ms tree with its CSV, a BIDS tree (sub-NAME/anat), or \
         nnU-Net's imagesTr and labelsTr"
    )]
    Unrecognised {
        /// The folder.
        root: PathBuf,
    },
    /// Nothing to read where images were expected.
    #[error("{path}: holds no images; {remedy}")]
    Empty {
        /// The file, folder or pattern.
        path: PathBuf,
        /// What to give in its place.
        remedy: String,
    },
    /// Two masks that claim to be of one image.
    #[error(
        "{image}: {first} and {second} are both masks of it; leave one of them in the data set"
    )]
    TwoMasks {
        /// The image.
        image: PathBuf,
        /// One mask.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A domain that the data set does not have.
    #[error("{root}: has no domain {name:?}; it has {}", existing.join(", "))]
    UnknownDomain {
        /// The data set.
        root: PathBuf,
        /// What was asked for.
        name: String,
        /// What there is.
        existing: Vec<String>,
    },
    /// A subject that the data set does not have.
    #[error("there is no subject {name:?}; there are {}", existing.join(", "))]
    UnknownSubject {
        /// What was asked for.
        name: String,
        /// What there is.
        existing: Vec<String>,
    },
    /// A single slice where an image is meant.
    #[error("{path}: is one slice of a DICOM series; give the folder of the series: {folders}")]
    Slice {
        /// The file; others of its folder are like it.
        path: PathBuf,
        /// The folders of such files.
        folders: String,
    },
    /// Two files that claim to be one subject.
    #[error("{first} and {second} are both named {name}; {remedy}")]
    SameName {
        /// The name without extension.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What helps.
        remedy: String,
    },
    /// An image without the mask that is needed.
    #[error("{image}: has no mask; add {expected}, or use it as unlabelled data")]
    NoMask {
        /// The image.
        image: PathBuf,
        /// Where the mask is looked for.
        expected: String,
    },
    /// A label that is no class.
    #[error(
        "{path}: voxel {voxel:?} has label {label}, the classes are 0 to {last}; \
         correct the mask, or train with more classes"
    )]
    LabelOutside {
        /// The mask.
        path: PathBuf,
        /// The label.
        label: u8,
        /// Its x, y, z index.
        voxel: [usize; 3],
        /// The last class.
        last: u8,
    },
    /// A file that is not the one whose header was read.
    #[error("{path}: has changed since its header was read; start again when it is whole")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A volume without contrast, from which nothing can be told.
    #[error("{path}: every voxel is {value}; export the volume again, or leave it out")]
    Constant {
        /// The image.
        path: PathBuf,
        /// The value of all its voxels.
        value: f32,
    },
    /// A volume whose contrast is lost to the chosen normalisation.
    #[error(
        "{path}: --intensity {intensity} takes every voxel to one value, since nearly all of them are equal; choose \
         another --intensity, such as min-max, crop the volume, or leave it out"
    )]
    Flat {
        /// The image.
        path: PathBuf,
        /// The normalisation.
        intensity: &'static str,
    },
    /// A set whose slices differ so much in size that no common one is sensible.
    #[error(
        "the slices would be padded to {height}x{width} pixels: {tallest} needs the height, {widest} the width; \
         leave one out, or crop it"
    )]
    SliceSize {
        /// Rows of the padded slices.
        height: usize,
        /// Columns of the padded slices.
        width: usize,
        /// The image with the tallest slices.
        tallest: PathBuf,
        /// The image with the widest slices.
        widest: PathBuf,
    },
    /// A CSV that does not say what is needed.
    #[error("{path}: {problem}; use the CSV that comes with the M&Ms data")]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// More subjects or folds asked for than there are.
    #[error("{wanted} are wanted of {available} subjects; ask for fewer")]
    TooFew {
        /// What was asked for, in words.
        wanted: String,
        /// How many there are.
        available: usize,
    },
    /// A setting without meaning.
    #[error("{0}")]
    Setting(String),
}

/// What to do about an error of the operating system, where that is known.
fn remedy(error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::NotFound { "; check the path" } else { "" }
}

impl Error {
    pub(crate) fn empty(path: &Path) -> Self {
        let remedy = "give a folder with .nii, .nii.gz, .hdr/.img, .png, .tif or .jpg files, or of the slices of a DICOM \
                      series; for those in folders within it, a pattern such as \"FOLDER/**/*.nii.gz\"";
        Self::Empty { path: path.into(), remedy: remedy.into() }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
