//! What is odd about a file that could be read all the same.

use std::fmt;

use crate::format_mm;

/// A remark on a file, for the user to judge.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Neither qform nor sform: axes are taken to be right, anterior, superior.
    NoOrientation,
    /// qform and sform put a corner of the volume at different places; the sform is used.
    QformSform {
        /// Largest distance between the two, in millimetres.
        distance_mm: f64,
    },
    /// The axes do not stand at right angles.
    Sheared {
        /// How far from it, in degrees.
        degrees: f64,
    },
    /// The voxel sizes are zero, negative or NaN; those of the sform are used.
    VoxelSizes,
    /// The unit of length is not the millimetre; the affine was converted.
    Units,
    /// The bits a voxel do not fit the datatype; the datatype is used.
    Bits,
    /// The voxels' place in the file is not given; 352 is used.
    VoxelOffset,
    /// A colour picture was converted to luminance.
    Colour,
    /// A picture mask of 0 and 255 was read as 0 and 1.
    MaskOf255,
    /// The lowest value of a DICOM series is meant to be shown white (MONOCHROME1); values are as they are stored.
    Inverted,
    /// Files in a DICOM series' folder that are no images of CT or MR.
    PassedOver {
        /// How many.
        files: usize,
    },
    /// A DICOM series of one slice, whose thickness is taken for its extent.
    OneSlice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrientation => f.write_str(
                "neither qform nor sform is set: axes are taken as right, anterior, superior, \
                 and left cannot be told from right",
            ),
            Self::QformSform { distance_mm } => {
                write!(
                    f,
                    "qform and sform disagree by up to {} mm: the sform is used",
                    format_mm(*distance_mm)
                )
            }
            Self::Sheared { degrees } => write!(
                f,
                "the axes are sheared by {degrees:.1} degrees, as by a tilted gantry: distances along them are not \
                 those between their planes; resample the volume onto a grid with right angles to score surfaces"
            ),
            Self::VoxelSizes => {
                f.write_str("voxel sizes (pixdim) are invalid: those of the sform are used")
            }
            Self::Units => f.write_str("lengths are not in millimetres: they were converted"),
            Self::Bits => f.write_str("bitpix does not fit the datatype: the datatype is used"),
            Self::VoxelOffset => f.write_str("vox_offset is missing: 352 is used"),
            Self::Colour => f.write_str("a colour picture: its luminance is used"),
            Self::MaskOf255 => f.write_str("a mask of 0 and 255: read as 0 and 1"),
            Self::Inverted => f.write_str(
                "MONOCHROME1: its lowest values are meant to be shown white; values are taken as they are stored, so \
                 bright and dark are exchanged beside other series",
            ),
            Self::PassedOver { files } => write!(
                f,
                "{files} files in the folder are no images of CT or MR as DICOM: they were passed over"
            ),
            Self::OneSlice => {
                f.write_str("one slice: its thickness stands for the distance to others")
            }
        }
    }
}
