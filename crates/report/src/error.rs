//! What can go wrong between records and pictures, and the remedy.
use std::path::PathBuf;

/// Why a picture or file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be written.
    #[error(
        "{path} cannot be written: {source}; is there space, and may the folder be written?",
        path = path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A mask on another grid than its image.
    #[error("{name}: its grid differs from the image's ({difference}); resample it to the image")]
    Grid {
        /// Name of the contour.
        name: String,
        /// How the grids differ.
        difference: String,
    },
    /// A volume that cannot be read.
    #[error(transparent)]
    Volume(#[from] udas_volume::Error),
    /// A frame that is not in its file.
    #[error("{path}: it has no frame {frame}; frames are counted from 0", path = path.display())]
    Frame {
        /// The file.
        path: PathBuf,
        /// Frame asked for.
        frame: usize,
    },
    /// A subject whose files are not known.
    #[error("{subject}: neither an image with a prediction nor a picture is named in the results")]
    NoVolumes {
        /// Name of the subject.
        subject: String,
    },
    /// A slice that is not there.
    #[error("slice {index} of {slices}: slices are counted from 0")]
    Slice {
        /// Slice asked for.
        index: usize,
        /// Slices of the volume along the plane.
        slices: usize,
    },
    /// A picture too large to encode.
    #[error("a picture of {width}x{height} pixels cannot be encoded; draw it smaller ({problem})")]
    Picture {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// What the encoder said.
        problem: String,
    },
}
