//! Reading NIfTI of both versions: .nii, .nii.gz and .hdr/.img pairs of either byte order and any scalar datatype.
//!
//! The file is hostile until proven otherwise: nothing is allocated before the header's sizes have
//! been held against what the file can contain.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::fields::Version;
use crate::gzip::Members;
use crate::header::{self, Endian};
use crate::{Error, Grid, Header, Image, Result, Volume, Warning};

/// More voxels a frame than this are refused (4 GiB of float32).
const MAX_VOXELS: u128 = 1 << 30;
/// Deflate cannot compress better than this (zlib's documentation, "Maximum Compression Factor").
const MAX_INFLATION: u64 = 1032;
/// Bytes decoded at a time; a multiple of every datatype's width.
const CHUNK: usize = 1 << 18;

/// A file whose header has been read and found possible.
pub(crate) struct Reader {
    path: PathBuf,
    pub(crate) header: Header,
    pub(crate) grid: Grid,
    pub(crate) frames: usize,
    datatype: Datatype,
    endian: Endian,
    /// Starts at the first voxel.
    voxels: Box<dyn Read + Send>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_files(path).map_err(|error| error.or_stand_in(path))
    }

    fn open_files(path: &Path) -> Result<Self> {
        let (header_path, voxel_path) = pair(path);
        let mut stream = Stream::open(&header_path)?;
        let (mut header, endian) = read_header(&mut stream.reader, &header_path)?;
        let datatype = Datatype::of(&mut header, &header_path)?;
        let (shape, frames) = header.dimensions(&header_path)?;
        let affine = header.affine(shape, &header_path)?;
        header.check_geometry(shape, &affine, &header_path);

        let mut consumed = header.bytes().len() as u64;
        if voxel_path != header_path {
            stream = Stream::open(&voxel_path)?;
            consumed = 0;
        }
        let offset = voxel_offset(&mut header, consumed > 0, path)?;
        check_size(&voxel_path, shape, frames, datatype, offset, stream.capacity)?;
        skip(&mut stream.reader, offset - consumed, &voxel_path)?;
        let grid = Grid { shape, affine };
        Ok(Self { path: voxel_path, header, grid, frames, datatype, endian, voxels: stream.reader })
    }

    /// The only frame.
    pub(crate) fn read_single(self) -> Result<Volume> {
        if self.frames != 1 {
            let problem = "one is wanted: split the file".into();
            return Err(Error::Frames { path: self.path, frames: self.frames, problem });
        }
        let mut frames = self.read_frames(&[0])?;
        frames.pop().ok_or_else(|| Error::NotAVolume("no frame".into()))
    }

    /// The frames asked for, in that order, by one pass over the file.
    pub(crate) fn read_frames(mut self, wanted: &[usize]) -> Result<Vec<Volume>> {
        if let Some(index) = wanted.iter().find(|&&index| index >= self.frames) {
            let problem = format!("not a frame number {index}: they count from 0");
            return Err(Error::Frames { path: self.path, frames: self.frames, problem });
        }
        let mut volumes: Vec<Option<Volume>> = vec![None; wanted.len()];
        let last = wanted.iter().max().map_or(0, |&last| last + 1);
        for frame in 0..last {
            if !wanted.contains(&frame) {
                let bytes = (self.grid.len() * self.datatype.width()) as u64;
                skip(&mut self.voxels, bytes, &self.path)?;
                continue;
            }
            let volume = Image::from_parts(self.next_frame()?, self.grid, self.header.clone());
            for (slot, _) in volumes.iter_mut().zip(wanted).filter(|(_, index)| **index == frame) {
                *slot = Some(volume.clone());
            }
        }
        if last == self.frames {
            // Reaching the end verifies a gzip checksum; bytes after the voxels are tolerated.
            self.voxels.read(&mut [0]).map_err(|source| read_error(source, &self.path))?;
        }
        Ok(volumes.into_iter().flatten().collect())
    }

    fn next_frame(&mut self) -> Result<Vec<f32>> {
        let voxels = self.grid.len();
        let mut data = Vec::new();
        data.try_reserve_exact(voxels)
            .map_err(|_| Error::io(&self.path, io::ErrorKind::OutOfMemory.into()))?;
        let scaling = self.header.scaling();
        let mut left = voxels * self.datatype.width();
        let mut buffer = vec![0; CHUNK.min(left)];
        while left > 0 {
            buffer.truncate(left);
            read_exact(&mut self.voxels, &mut buffer, &self.path)?;
            self.datatype.decode(&buffer, self.endian, scaling, &mut data);
            left -= buffer.len();
        }
        Ok(data)
    }
}

/// The header that `reader` begins with, of whichever version, and the byte order of the file.
fn read_header(reader: &mut impl Read, path: &Path) -> Result<(Header, Endian)> {
    let mut bytes = vec![0; Version::One.len()];
    read_exact(reader, &mut bytes, path)?;
    let (version, endian) = header::version_of(&bytes, path)?;
    let mut rest = vec![0; version.len() - bytes.len()];
    read_exact(reader, &mut rest, path)?;
    bytes.append(&mut rest);
    Ok((Header::parse(bytes, (version, endian), path)?, endian))
}

/// An open file, inflated if it is gzip, and the most bytes it can hold.
struct Stream {
    reader: Box<dyn Read + Send>,
    capacity: u64,
}

impl Stream {
    fn open(path: &Path) -> Result<Self> {
        let error = |source| Error::io(path, source);
        let file = File::open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        if !metadata.is_file() {
            return Err(Error::unsupported(path, "is not a file", "name a NIfTI file"));
        }
        let length = metadata.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        if file.fill_buf().map_err(error)?.starts_with(&[0x1f, 0x8b]) {
            let reader = Box::new(Members::new(file));
            return Ok(Self { reader, capacity: length.saturating_mul(MAX_INFLATION) });
        }
        Ok(Self { reader: Box::new(file), capacity: length })
    }
}

/// The files that a volume is made of: header and voxels of a pair, otherwise the file itself.
pub(crate) fn files_of(path: &Path) -> Vec<PathBuf> {
    let (header, voxels) = pair(path);
    if header == voxels { vec![header] } else { vec![header, voxels] }
}

/// Where header and voxels are: two files for .hdr/.img, the same one otherwise.
fn pair(path: &Path) -> (PathBuf, PathBuf) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let (base, gz) = match lower.strip_suffix(".gz") {
        Some(base) => (base, name.get(base.len()..).unwrap_or_default()),
        None => (lower.as_str(), ""),
    };
    if !base.ends_with(".hdr") && !base.ends_with(".img") {
        return (path.into(), path.into());
    }
    let base = name.get(..base.len()).unwrap_or_default();
    let stem = base.get(..base.len() - 3).unwrap_or_default();
    let upper = base.ends_with(|c: char| c.is_ascii_uppercase());
    let partner = |lower: &str| {
        let extension = if upper { lower.to_ascii_uppercase() } else { lower.into() };
        path.with_file_name(format!("{stem}{extension}{gz}"))
    };
    (partner("hdr"), partner("img"))
}

fn voxel_offset(header: &mut Header, single: bool, path: &Path) -> Result<u64> {
    let offset = header.voxel_offset();
    if !single {
        let valid = (0.0..1e9).contains(&offset);
        return if valid { Ok(offset as u64) } else { Err(bad_offset(path, offset)) };
    }
    if !header.is_single_file() {
        return Err(Error::damaged(path, "is the header of a .hdr/.img pair under another name"));
    }
    if offset == 0.0 {
        header.warn(Warning::VoxelOffset);
        return Ok(header.version().first_voxel());
    }
    let valid = (header.version().len() as f64..1e9).contains(&offset);
    if valid { Ok(offset as u64) } else { Err(bad_offset(path, offset)) }
}

fn bad_offset(path: &Path, offset: f64) -> Error {
    Error::damaged(path, format!("the header puts the first voxel at byte {offset:.0}"))
}

fn check_size(
    path: &Path,
    shape: [usize; 3],
    frames: usize,
    datatype: Datatype,
    offset: u64,
    capacity: u64,
) -> Result<()> {
    // NIfTI-2 states sizes up to 2^63. Below the limit, nothing overflows.
    let voxels = shape.iter().fold(1u128, |product, &n| product.saturating_mul(n as u128));
    if voxels > MAX_VOXELS {
        return Err(Error::TooLarge { path: path.into(), voxels, limit: MAX_VOXELS });
    }
    let needed = u128::from(offset) + voxels * frames as u128 * datatype.width() as u128;
    if needed > u128::from(capacity) {
        let problem = format!(
            "is cut short: the header needs {needed} bytes, the file holds at most {capacity}"
        );
        return Err(Error::damaged(path, problem));
    }
    Ok(())
}

fn skip(reader: &mut impl Read, bytes: u64, path: &Path) -> Result<()> {
    match io::copy(&mut reader.take(bytes), &mut io::sink()) {
        Ok(skipped) if skipped == bytes => Ok(()),
        Ok(_) => Err(Error::damaged(path, "is cut short")),
        Err(source) => Err(read_error(source, path)),
    }
}

fn read_exact(reader: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<()> {
    reader.read_exact(buffer).map_err(|source| read_error(source, path))
}

/// An end too early or bytes that do not inflate are the file's fault, anything else the system's.
fn read_error(source: io::Error, path: &Path) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => Error::damaged(path, "is cut short, or no NIfTI file"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Error::damaged(path, format!("its gzip stream is corrupt ({source})"))
        }
        _ => Error::io(path, source),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Datatype {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Datatype {
    fn of(header: &mut Header, path: &Path) -> Result<Self> {
        let datatype = match header.datatype() {
            2 => Self::U8,
            256 => Self::I8,
            4 => Self::I16,
            512 => Self::U16,
            8 => Self::I32,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            16 => Self::F32,
            64 => Self::F64,
            32 | 1792 | 2048 => {
                return Err(Self::refused(path, "complex voxels", "take the magnitude"));
            }
            128 | 2304 => {
                return Err(Self::refused(path, "colour voxels", "convert to one channel"));
            }
            1 | 1536 => {
                return Err(Self::refused(path, "1-bit or 128-bit voxels", "convert to float32"));
            }
            code => {
                return Err(Error::damaged(
                    path,
                    format!("the datatype code {code} does not exist"),
                ));
            }
        };
        if usize::try_from(header.bits()) != Ok(8 * datatype.width()) {
            header.warn(Warning::Bits);
        }
        Ok(datatype)
    }

    fn refused(path: &Path, what: &str, remedy: &'static str) -> Error {
        Error::unsupported(path, format!("holds {what}, which are not read"), remedy)
    }

    /// Bytes a voxel.
    const fn width(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Appends the voxels in `raw`, scaled in f64 and rounded once to f32.
    fn decode(self, raw: &[u8], endian: Endian, scaling: Option<(f64, f64)>, out: &mut Vec<f32>) {
        macro_rules! decode {
            ($type:ty) => {{
                const WIDTH: usize = size_of::<$type>();
                let value = |bytes: &[u8]| {
                    let mut array = [0; WIDTH];
                    array.copy_from_slice(bytes);
                    match endian {
                        Endian::Little => <$type>::from_le_bytes(array),
                        Endian::Big => <$type>::from_be_bytes(array),
                    }
                };
                let values = raw.chunks_exact(WIDTH).map(value);
                match scaling {
                    None => out.extend(values.map(|value| value as f32)),
                    Some((slope, intercept)) => {
                        out.extend(values.map(|value| (value as f64 * slope + intercept) as f32));
                    }
                }
            }};
        }
        match self {
            Self::U8 => decode!(u8),
            Self::I8 => decode!(i8),
            Self::I16 => decode!(i16),
            Self::U16 => decode!(u16),
            Self::I32 => decode!(i32),
            Self::U32 => decode!(u32),
            Self::I64 => decode!(i64),
            Self::U64 => decode!(u64),
            Self::F32 => decode!(f32),
            Self::F64 => decode!(f64),
        }
    }
}
