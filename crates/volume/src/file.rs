//! Reading and writing any supported file by its extension.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::ImageFormat;
use udas_files::write_whole_with;

use crate::dicom::{Opened, is_dicom, read_mask};
use crate::header::FileKind;
use crate::nifti::{self, Reader};
use crate::{Error, Grid, Header, Image, Labels, Result, Volume, Warning, picture};

/// File name endings that are read, the longest match first.
pub const EXTENSIONS: [&str; 11] = [
    ".nii.gz", ".hdr.gz", ".img.gz", ".nii", ".hdr", ".img", ".png", ".tiff", ".tif", ".jpeg",
    ".jpg",
];

const REMEDY: &str =
    "use .nii, .nii.gz, .hdr/.img, .png, .tif or .jpg, or the folder of a DICOM series";
/// Gzip level 1: at level 6 masks shrink little further and take several times as long.
const COMPRESSION: Compression = Compression::fast();

enum Format {
    Nifti,
    Picture(ImageFormat),
    Dicom,
}

fn split_name(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let lower = name.to_ascii_lowercase();
    let extension = EXTENSIONS.into_iter().find(|extension| lower.ends_with(extension))?;
    let stem = name.get(..name.len() - extension.len())?.to_owned();
    (!stem.is_empty()).then_some((stem, extension))
}

fn format(path: &Path) -> Result<Format> {
    // What a folder holds is said by whoever looks for a series in it.
    if path.is_dir() || is_dicom(path) {
        return Ok(Format::Dicom);
    }
    let extension = split_name(path).map(|(_, extension)| extension);
    match extension {
        Some(".png") => Ok(Format::Picture(ImageFormat::Png)),
        Some(".tif" | ".tiff") => Ok(Format::Picture(ImageFormat::Tiff)),
        Some(".jpg" | ".jpeg") => Ok(Format::Picture(ImageFormat::Jpeg)),
        Some(_) => Ok(Format::Nifti),
        None => Err(Error::unsupported(path, "has an unknown file name extension", REMEDY)),
    }
}

/// Whether a file of this name is a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    matches!(format(path), Ok(Format::Picture(_)))
}

/// Whether a file of this name can be read.
pub fn is_supported(path: &Path) -> bool {
    split_name(path).is_some()
}

/// The files that a volume is made of: header and voxels of a pair, the slices of a DICOM series from the first position
/// on, otherwise the file itself.
///
/// # Errors
/// Those of a series that is no volume.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if is_dicom(path) {
        return Ok(Opened::new(path)?.files());
    }
    Ok(nifti::files_of(path))
}

/// The file name without folder and extension: `scan.nii.gz` and `scan.png` are both `scan`.
///
/// A name with another extension is returned whole.
pub fn stem(path: &Path) -> String {
    if let Some((stem, _)) = split_name(path) {
        return stem;
    }
    let name = if udas_dicom::is_named_as_file(path) { path.file_stem() } else { path.file_name() };
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What a file holds, by its header alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Shape and affine of a frame.
    pub grid: Grid,
    /// Frames along the fourth dimension; 1 for a 3-D file.
    pub frames: usize,
    /// What else the header says, with its warnings.
    pub header: Header,
}

/// Reads a file's header and holds its sizes against the file's length; no voxel is read.
pub fn probe(path: &Path) -> Result<Probe> {
    match format(path)? {
        Format::Nifti => {
            let Reader { grid, frames, header, .. } = Reader::open(path)?;
            Ok(Probe { grid, frames, header })
        }
        Format::Picture(_) => {
            let (grid, header) = picture::probe(path)?;
            Ok(Probe { grid, frames: 1, header })
        }
        Format::Dicom => {
            let Opened { grid, header, .. } = Opened::new(path)?;
            Ok(Probe { grid, frames: 1, header })
        }
    }
}

/// Reads a volume: NIfTI (1 or 2) with one frame, a DICOM series, or a picture as one slice.
///
/// NaN and infinite voxels are read as they are: see [`Volume::check_finite`].
pub fn read(path: &Path) -> Result<Volume> {
    match format(path)? {
        Format::Nifti => Reader::open(path)?.read_single(),
        Format::Picture(_) => picture::read(path),
        Format::Dicom => Opened::new(path)?.read(),
    }
}

/// Reads frames of a 4-D file, counted from 0, in the order given and in one pass.
pub fn read_frames(path: &Path, frames: &[usize]) -> Result<Vec<Volume>> {
    match format(path)? {
        Format::Nifti => Reader::open(path)?.read_frames(frames),
        Format::Picture(_) | Format::Dicom => {
            if let Some(index) = frames.iter().find(|&&index| index != 0) {
                let problem = format!("not a frame number {index}: they count from 0");
                return Err(Error::Frames { path: path.into(), frames: 1, problem });
            }
            Ok(vec![read(path)?; frames.len()])
        }
    }
}

/// Reads a mask or label map. Whole numbers from 0 to 255 in any datatype are labels; a picture of
/// just 0 and 255 is a mask of 0 and 1. A DICOM SEG is read on a grid of its own: see [`read_labels_on`].
pub fn read_labels(path: &Path) -> Result<Labels> {
    if is_segmentation(path) { read_mask(path) } else { labels_of(path, read(path)?) }
}

/// Reads a mask that belongs onto the grid of an image. A DICOM SEG is placed there by its frames' positions, whatever its
/// axes; any other file is read as it is, as by [`read_labels`].
pub fn read_labels_on(path: &Path, grid: &Grid) -> Result<Labels> {
    let labels = read_labels(path)?;
    if is_segmentation(path) { labels.placed_on(grid, path) } else { Ok(labels) }
}

/// Whether a file is a DICOM SEG: `NAME.dcm`, by its content.
pub fn is_segmentation(path: &Path) -> bool {
    udas_dicom::is_named_as_file(path) && udas_dicom::is_segmentation(path)
}

/// Reads frames of a 4-D label map; see [`read_frames`] and [`read_labels`].
pub fn read_label_frames(path: &Path, frames: &[usize]) -> Result<Vec<Labels>> {
    read_frames(path, frames)?.into_iter().map(|volume| labels_of(path, volume)).collect()
}

/// [`probe`] of a mask; what cannot be one by its format is refused.
pub fn probe_labels(path: &Path) -> Result<Probe> {
    if is_segmentation(path) {
        let mask = read_mask(path)?;
        return Ok(Probe { grid: *mask.grid(), frames: 1, header: mask.header().clone() });
    }
    let probe = probe(path)?;
    if probe.header.kind() == FileKind::Picture {
        picture::refuse_blurred_labels(path)?;
    }
    Ok(probe)
}

fn labels_of(path: &Path, volume: Volume) -> Result<Labels> {
    if volume.header().kind() == FileKind::Picture {
        picture::refuse_blurred_labels(path)?;
    }
    if volume.header().warnings().contains(&Warning::Colour) {
        return Err(Error::unsupported(
            path,
            "is a mask in colour",
            "save the labels as grey values",
        ));
    }
    // A scaled integer may miss a whole number by rounding.
    let is_label =
        |value: f32| (value - value.round()).abs() < 1e-3 && (-0.5..255.5).contains(&value);
    let mut values = volume.data().iter().copied().enumerate();
    if let Some((offset, value)) = values.find(|&(_, value)| !is_label(value)) {
        let [nx, ny, _] = volume.shape();
        let voxel = [offset % nx, offset / nx % ny, offset / nx / ny];
        return Err(Error::NotLabels { path: path.into(), value: value.into(), voxel });
    }
    let mut labels = volume.map(|value| value.round() as u8);
    let is_picture = labels.header().kind() == FileKind::Picture;
    if is_picture
        && labels.data().contains(&255)
        && labels.data().iter().all(|label| [0, 255].contains(label))
    {
        labels.data_mut().iter_mut().for_each(|label| *label /= 255);
        labels.header_mut().warn(Warning::MaskOf255);
    }
    Ok(labels)
}

/// Writes labels as uint8 NIfTI (.nii, .nii.gz), or one slice as an 8-bit picture (.png, .tif), whole
/// or not at all. The header's version, units, forms, codes and description are kept; what NIfTI-1 has no room for (more
/// than 32,767 voxels along an axis) becomes NIfTI-2.
pub fn write_labels(path: &Path, labels: &Labels) -> Result<()> {
    match format(path)? {
        Format::Picture(ImageFormat::Jpeg) => {
            Err(Error::unsupported(path, "would blur the labels", "write .png instead"))
        }
        Format::Picture(format) => picture::write_labels(path, labels, format),
        Format::Dicom => Err(not_written(path)),
        Format::Nifti => {
            write_nifti(path, labels, 2, 8, |labels, out| out.extend_from_slice(labels))
        }
    }
}

/// Writes a volume as float32 NIfTI (.nii, .nii.gz), whole or not at all. The header is kept as by
/// [`write_labels`].
pub fn write_volume(path: &Path, volume: &Volume) -> Result<()> {
    match format(path)? {
        Format::Picture(_) => {
            Err(Error::unsupported(path, "cannot hold float32 values", "write .nii.gz instead"))
        }
        Format::Dicom => Err(not_written(path)),
        Format::Nifti => write_nifti(path, volume, 16, 32, |values, out| {
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }),
    }
}

fn not_written(path: &Path) -> Error {
    Error::unsupported(path, "is a folder or a DICOM file", "write .nii.gz instead")
}

fn write_nifti<T: Copy>(
    path: &Path,
    image: &Image<T>,
    datatype: i64,
    bits: i64,
    encode: impl Fn(&[T], &mut Vec<u8>),
) -> Result<()> {
    let extension = split_name(path).map(|(_, extension)| extension);
    let compress = match extension {
        Some(".nii") => false,
        Some(".nii.gz") => true,
        _ => {
            return Err(Error::unsupported(
                path,
                "would be a pair of files",
                "write .nii or .nii.gz instead",
            ));
        }
    };
    let header = image.header().for_writing(image.grid(), 1, datatype, bits);
    let body = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(header.bytes())?;
        out.write_all(&[0; 4])?; // no extensions
        let mut bytes = Vec::new();
        for voxels in image.data().chunks(1 << 16) {
            bytes.clear();
            encode(voxels, &mut bytes);
            out.write_all(&bytes)?;
        }
        Ok(())
    };
    write_whole_with(path, |file: &mut BufWriter<File>| {
        if !compress {
            return body(file);
        }
        let mut encoder = GzEncoder::new(file, COMPRESSION);
        body(&mut encoder)?;
        encoder.finish().map(drop)
    })
    .map_err(|source| Error::write(path, source))
}
