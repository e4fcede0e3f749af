//! DICOM series as volumes, and volumes as series of made-up patients.

use std::fs;
use std::path::{Path, PathBuf};

use udas_dicom::{Export, Kind, Mask, Modality, Remark, Series};

use crate::{Affine, Error, Grid, Header, Image, Labels, Result, Volume, Warning};

/// A series whose headers have been read, and the grid that it lies on.
pub(crate) struct Opened {
    series: Series,
    pub(crate) grid: Grid,
    pub(crate) header: Header,
}

impl Opened {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let series = Series::open(path)?;
        let warning = |remark: &Remark| match *remark {
            Remark::Inverted => Some(Warning::Inverted),
            Remark::PassedOver { files } => Some(Warning::PassedOver { files }),
            Remark::OneSlice => Some(Warning::OneSlice),
            _ => None,
        };
        let mut warnings: Vec<Warning> = series.remarks().iter().filter_map(warning).collect();
        let grid = Grid { shape: series.shape(), affine: Affine::from_rows(series.affine()) };
        if !grid.affine.is_invertible() {
            let problem = format!("the affine {} is singular or not finite", grid.affine);
            return Err(Error::damaged(path, problem));
        }
        if let Some(degrees) = grid.affine.shear_degrees() {
            warnings.push(Warning::Sheared { degrees });
        }
        Ok(Self { series, grid, header: Header::with_warnings(warnings) })
    }

    pub(crate) fn read(self) -> Result<Volume> {
        Ok(Image::from_parts(self.series.voxels()?, self.grid, self.header))
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.series.paths()
    }
}

/// The mask of a DICOM SEG, on the grid from its first frame to its last.
pub(crate) fn read_mask(path: &Path) -> Result<Labels> {
    let Mask { shape, affine, labels } = Mask::open(path)?;
    Labels::new(labels, shape, Affine::from_rows(affine))
        .map_err(|error| Error::damaged(path, error.to_string()))
}

/// Whether a path is one volume as a DICOM series: a folder that holds its files, `FOLDER@HASH`, or a file `NAME.dcm`.
///
/// A folder that holds NIfTI files too is a folder of those.
pub fn is_dicom(path: &Path) -> bool {
    udas_dicom::is_series(path) || (udas_dicom::is_named_as_file(path) && !path.is_dir())
}

/// Whether a file, whatever its name, is one slice of a DICOM series, which makes no volume by itself.
pub fn is_dicom_slice(path: &Path) -> bool {
    udas_dicom::is_slice(path)
}

/// Writes a volume as a folder of slices, MR of a made-up patient; a folder that is there is replaced. The folder is
/// there when all of its files are.
///
/// Intensities come within half a step of 65,536, whole numbers within 16 bits as they are. What is written is meant for
/// trying things out: identifiers follow from `seed` alone, and nothing is said of an acquisition.
///
/// # Errors
/// [`Error::Write`] with the folder.
pub fn write_series(folder: &Path, volume: &Volume, patient: &str, seed: &str) -> Result<()> {
    let export = Export {
        voxels: volume.data(),
        shape: volume.shape(),
        affine: *volume.affine().rows(),
        kind: Kind::SingleFrame,
        modality: Modality::Mr,
        patient,
        seed,
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let part = folder.with_file_name(format!(".{name}.part"));
    let write = || {
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part)?;
        for file in export.files() {
            fs::write(part.join(&file.name), file.encode())?;
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::rename(&part, folder)
    };
    write().map_err(|source| Error::write(folder, source))
}
