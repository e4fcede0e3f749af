//! Writing several frames on one grid as a 4-D NIfTI file; `read_frames` reads them back.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use udas_files::write_whole_with;

use crate::{Error, Header, Image, Labels, Result, Volume};

/// Writes the frames of a cine as 4-D int16 NIfTI (.nii, .nii.gz), whole or not at all. Values are rounded to
/// whole grey levels within int16. `frame_ms` is the time from one frame to the next in milliseconds. All frames
/// share the first one's grid, and its header is written.
pub fn write_frames(path: &Path, frames: &[Volume], frame_ms: f32) -> Result<()> {
    // `as` keeps to the range of int16 and turns NaN into 0.
    write_series(path, frames, frame_ms, (4, 16), |value, out| {
        out.extend_from_slice(&(value.round() as i16).to_le_bytes());
    })
}

/// Writes labels frame by frame as 4-D uint8 NIfTI; otherwise as [`write_frames`].
pub fn write_label_frames(path: &Path, frames: &[Labels], frame_ms: f32) -> Result<()> {
    write_series(path, frames, frame_ms, (2, 8), |label, out| out.push(label))
}

fn write_series<T: Copy>(
    path: &Path,
    frames: &[Image<T>],
    frame_ms: f32,
    (datatype, bits): (i64, i64),
    encode: impl Fn(T, &mut Vec<u8>),
) -> Result<()> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    if !name.ends_with(".nii") && !name.ends_with(".nii.gz") {
        return Err(Error::unsupported(
            path,
            "cannot hold frames",
            "write .nii or .nii.gz instead",
        ));
    }
    let header = series_header(path, frames, frame_ms, datatype, bits)?;
    let body = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(header.bytes())?;
        out.write_all(&[0; 4])?; // no extensions
        let mut bytes = Vec::new();
        for voxels in frames.iter().flat_map(|frame| frame.data().chunks(1 << 16)) {
            bytes.clear();
            voxels.iter().for_each(|&voxel| encode(voxel, &mut bytes));
            out.write_all(&bytes)?;
        }
        Ok(())
    };
    write_whole_with(path, |file| {
        if name.ends_with(".nii") {
            return body(file);
        }
        let mut encoder = GzEncoder::new(file, Compression::fast());
        body(&mut encoder)?;
        encoder.finish().map(drop)
    })
    .map_err(|source| Error::write(path, source))
}

/// The first frame's header with a fourth dimension.
fn series_header<T: Copy>(
    path: &Path,
    frames: &[Image<T>],
    frame_ms: f32,
    datatype: i64,
    bits: i64,
) -> Result<Header> {
    let refused = |problem: String| Error::unsupported(path, problem, "write frames of one grid");
    let first = frames.first().ok_or_else(|| refused("no frames".to_owned()))?;
    let other = frames.iter().find_map(|frame| first.grid().difference(frame.grid()));
    if let Some(difference) = other {
        return Err(refused(format!("the frames' grids differ: {difference}")));
    }
    let mut header = first.header().for_writing(first.grid(), frames.len(), datatype, bits);
    header.set_time(frame_ms);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Affine, probe, read_frames, read_label_frames};

    fn frame(start: f32) -> Volume {
        let affine = Affine::from_spacing([1.25, 1.25, 9.0]).with_origin([-3.0, 4.0, 5.0]);
        Volume::new((0..24).map(|v| start + v as f32).collect(), [2, 3, 4], affine).unwrap()
    }

    #[test]
    fn frames_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let frames = [frame(-7.0), frame(100.0), frame(1e6)];
        for name in ["a.nii", "a.nii.gz"] {
            let path = folder.path().join(name);
            write_frames(&path, &frames, 40.0).unwrap();
            assert_eq!(probe(&path).unwrap().frames, 3);
            let back = read_frames(&path, &[1, 0, 2]).unwrap();
            assert_eq!(back[0].data(), frames[1].data());
            assert_eq!(back[1].data(), frames[0].data());
            assert!(back[2].data().iter().all(|&v| v == 32767.0));
            assert_eq!(back[0].affine(), frames[0].affine());
        }
        let path = folder.path().join("labels.nii.gz");
        let labels = [frame(0.0).map(|v| v as u8), frame(3.0).map(|v| v as u8)];
        write_label_frames(&path, &labels, 40.0).unwrap();
        assert_eq!(read_label_frames(&path, &[1]).unwrap()[0].data(), labels[1].data());
    }

    #[test]
    fn frames_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nii.gz");
        assert!(write_frames(&path, &[], 40.0).unwrap_err().to_string().contains("no frames"));
        let other = Volume::new(vec![0.0; 24], [4, 3, 2], *frame(0.0).affine()).unwrap();
        let error = write_frames(&path, &[frame(0.0), other], 40.0).unwrap_err().to_string();
        assert!(error.contains("differ") && error.contains("a.nii.gz"), "{error}");
        assert!(write_frames(&folder.path().join("a.hdr"), &[frame(0.0)], 40.0).is_err());
        assert!(!path.exists());
    }
}
