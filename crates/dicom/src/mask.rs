//! A DICOM SEG as a mask: the frames of its segments as one label a voxel, on the grid that their positions make.
//!
//! Source: PS3.3, A.51 and A.90 (the objects), C.8.20 (their modules); PS3.5, 8.1.1 (bits of pixels).

use std::path::Path;

use crate::dataset::DataSet;
use crate::folder::{LABEL_MAP, SEGMENTATION};
use crate::parse::{Parsed, PixelData, Stream, class_of, has_mark, parse};
use crate::pixels::{self, Layout};
use crate::series::{
    self, DIRECTION, MAX_VOXELS, SAME_PLACE_MM, SPACING, Slice, UNEVEN, cross, dot, length, minus,
};
use crate::tag::Tag;
use crate::{Error, Result};

/// More slices than this from the first frame to the last are refused: scans have a few thousand.
const MAX_SLICES: usize = 1 << 14;

/// Whether a file is a DICOM SEG, by its first elements.
pub fn is_segmentation(path: &Path) -> bool {
    let is_class = |class: String| [SEGMENTATION, LABEL_MAP].contains(&class.as_str());
    path.is_file() && has_mark(path) && class_of(path).is_some_and(is_class)
}

/// The mask that a DICOM SEG holds. Its grid reaches from the first frame to the last: slices without a segment have no
/// frame in most files, and are background.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Voxels along a row, along a column, and slices.
    pub shape: [usize; 3],
    /// From voxel indices to millimetres along right, anterior, superior: three rows.
    pub affine: [[f64; 4]; 3],
    /// Numbers of segments, the first index fastest; 0 is background.
    pub labels: Vec<u8>,
}

/// How a file stores its segments.
#[derive(Clone, Copy)]
enum Kind {
    /// A bit a pixel, a segment a frame.
    Binary,
    /// A share of `most` a pixel, a segment a frame; half of it and more is marked.
    Fractional { most: u32 },
    /// The number of a segment a pixel.
    LabelMap,
}

impl Mask {
    /// Reads a segmentation: binary, fractional (from one half on) or a label map.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Damaged`] with the file; [`Error::Refused`] for another object, segments that overlap or
    /// have numbers above 255, frames without a position or off an even stack, and pixels that are stored in a way that is
    /// not read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = parse(path)?;
        let kind = kind_of(&file)?;
        let frames = series::slices_of(&file, 0)?;
        let segments = match kind {
            Kind::LabelMap => Vec::new(),
            _ => segments_of(&file, frames.len())?,
        };
        let side = |tag| file.data.count(tag).unwrap_or(0) as usize;
        let (columns, rows) = (side(Tag::COLUMNS), side(Tag::ROWS));
        if columns == 0 || rows == 0 {
            return Err(Error::damaged(path, format!("states {columns}x{rows} pixels")));
        }
        let stack = Stack::of(&file, &frames, columns * rows)?;
        let mut mask =
            Self { shape: [columns, rows, stack.slices], affine: stack.affine, labels: Vec::new() };
        mask.fill(&file, kind, &segments, &stack.places)?;
        Ok(mask)
    }

    /// Puts the frames where they lie.
    fn fill(&mut self, file: &Parsed, kind: Kind, segments: &[u8], places: &[usize]) -> Result<()> {
        let [columns, rows, slices] = self.shape;
        let pixels = columns * rows;
        // What the file promises is there, before memory is taken.
        let layout = match kind {
            Kind::Binary => None,
            _ => Some(Layout::of(file, places.len())?),
        };
        let bits = match kind {
            Kind::Binary => packed_bits(file, places.len() * pixels)?,
            _ => Vec::new(),
        };
        let none = || Error::io(&file.path, std::io::ErrorKind::OutOfMemory.into());
        self.labels.try_reserve_exact(pixels * slices).map_err(|_| none())?;
        self.labels.resize(pixels * slices, 0);
        let (mut overlap, mut beyond) = (0u64, None);
        let labels = &mut self.labels;
        let mut put = |frame: usize, marks: &mut dyn Iterator<Item = Result<u8, i32>>| {
            let start = places.get(frame).copied().unwrap_or(0) * pixels;
            let own = labels.get_mut(start..start + pixels).unwrap_or_default();
            for (voxel, mark) in own.iter_mut().zip(marks) {
                match mark {
                    Ok(0) => {}
                    Ok(label) if *voxel != 0 && *voxel != label => overlap += 1,
                    Ok(label) => *voxel = label,
                    Err(number) => beyond = Some(number),
                }
            }
        };
        let segment = |frame: usize| segments.get(frame).copied().unwrap_or(0);
        if let Some(layout) = &layout {
            pixels::frames(file, layout, places.len(), |frame, numbers| {
                let marked = |number: i32| match kind {
                    Kind::LabelMap => u8::try_from(number).map_err(|_| number),
                    Kind::Fractional { most } if 2 * i64::from(number) >= i64::from(most) => {
                        Ok(segment(frame))
                    }
                    _ => Ok(0),
                };
                put(frame, &mut numbers.into_iter().map(marked));
                Ok(())
            })?;
        } else {
            let bit = |at: usize| bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
            for frame in 0..places.len() {
                let own = frame * pixels..(frame + 1) * pixels;
                put(frame, &mut own.map(|at| Ok(if bit(at) { segment(frame) } else { 0 })));
            }
        }
        if let Some(number) = beyond {
            return Err(too_many(file, number.into()));
        }
        if overlap > 0 {
            let problem = format!(
                "has segments that overlap in {overlap} voxels; a mask has one class a voxel"
            );
            let remedy = "export each segment as a file of its own";
            return Err(Error::refused(&file.path, problem, remedy));
        }
        Ok(())
    }
}

fn too_many(file: &Parsed, number: i64) -> Error {
    let problem = format!("has a segment number {number}; 1 to 255 are read");
    Error::refused(&file.path, problem, "number the segments from 1 on")
}

fn kind_of(file: &Parsed) -> Result<Kind> {
    let class = file.data.text(Tag::SOP_CLASS_UID).unwrap_or_default();
    let bits = file.data.count(Tag::BITS_ALLOCATED).unwrap_or(0);
    let stated = file.data.text(Tag::SEGMENTATION_TYPE).unwrap_or_default();
    match (class.as_str(), stated.as_str(), bits) {
        (SEGMENTATION, "BINARY", 1) => Ok(Kind::Binary),
        (SEGMENTATION, "FRACTIONAL", 8) => {
            let most = file.data.count(Tag::MAXIMUM_FRACTIONAL_VALUE).unwrap_or(255);
            Ok(Kind::Fractional { most: most.max(1) })
        }
        (LABEL_MAP, _, 8 | 16) => Ok(Kind::LabelMap),
        (SEGMENTATION | LABEL_MAP, _, _) => {
            let shown: String = stated.chars().filter(char::is_ascii_alphanumeric).collect();
            let problem = format!("is a DICOM SEG of the type {shown:?} with {bits} bits a pixel");
            let remedy =
                "binary (1 bit), fractional (8 bits) and label maps (8 or 16 bits) are read";
            Err(Error::refused(&file.path, problem, remedy))
        }
        _ => Err(Error::refused(&file.path, "is no DICOM SEG", "name a segmentation")),
    }
}

/// The segment of each frame.
fn segments_of(file: &Parsed, frames: usize) -> Result<Vec<u8>> {
    let shared = file.data.item(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    let number = |groups: &DataSet| {
        groups.item(Tag::SEGMENT_IDENTIFICATION_SEQUENCE)?.count(Tag::REFERENCED_SEGMENT_NUMBER)
    };
    let common = shared.and_then(number);
    let own = file.data.items(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter().take(frames);
    own.enumerate()
        .map(|(frame, groups)| {
            let number = number(groups).or(common).ok_or_else(|| {
                let problem = format!("does not say which segment frame {} is of", frame + 1);
                Error::damaged(&file.path, problem)
            })?;
            u8::try_from(number)
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| too_many(file, number.into()))
        })
        .collect()
}

/// One bit a pixel, frames without gaps between them.
fn packed_bits(file: &Parsed, pixels: usize) -> Result<Vec<u8>> {
    let path = &file.path;
    let Some(PixelData::Native { start, length }) = file.pixels else {
        let problem = "has compressed pixels of one bit";
        return Err(Error::refused(path, problem, "write it without compression"));
    };
    if file.syntax.storage.big_endian {
        let problem = "has pixels of one bit in big-endian order";
        return Err(Error::refused(path, problem, "write it as Explicit VR Little Endian"));
    }
    let wanted = pixels.div_ceil(8) as u64;
    if wanted > length {
        let problem = format!("holds {length} bytes of pixels; its frames need {wanted}");
        return Err(Error::damaged(path, problem));
    }
    let (mut stream, syntax, _) = Stream::open(path)?;
    if syntax != file.syntax {
        return Err(Error::damaged(path, "has changed while it was read"));
    }
    stream.advance_to(start)?;
    stream.bytes(wanted)
}

/// The even stack of slices that frames lie in.
struct Stack {
    slices: usize,
    affine: [[f64; 4]; 3],
    /// Of each frame.
    places: Vec<usize>,
}

impl Stack {
    fn of(file: &Parsed, frames: &[Slice], pixels: usize) -> Result<Self> {
        let path = &file.path;
        let refuse = |problem: String| {
            let remedy = "resample it onto an even stack of slices, and export it again";
            Err(Error::refused(path, problem, remedy))
        };
        let Some(first) = frames.first() else {
            return Err(Error::damaged(path, "holds no frames"));
        };
        for frame in frames {
            let turned = first.orientation().into_iter().zip(frame.orientation());
            let scaled = first.spacing().into_iter().zip(frame.spacing());
            if turned.into_iter().any(|(a, b)| (a - b).abs() > DIRECTION)
                || scaled.into_iter().any(|(a, b)| (a - b).abs() > SPACING * a)
            {
                return refuse("has frames of several orientations or pixel spacings".into());
            }
        }
        let [a, b, c, d, e, f] = first.orientation();
        let (row, column) = ([a, b, c], [d, e, f]);
        let normal = cross(row, column);
        let mut stacked: Vec<(f64, [f64; 3])> =
            frames.iter().map(|frame| (dot(frame.position, normal), frame.position)).collect();
        stacked.sort_by(|a, b| a.0.total_cmp(&b.0));
        stacked.dedup_by(|next, kept| next.0 - kept.0 < SAME_PLACE_MM);
        let gaps: Vec<f64> = stacked
            .windows(2)
            .map(|pair| if let [a, b] = pair { b.0 - a.0 } else { 0.0 })
            .collect();
        let least = gaps.iter().copied().reduce(f64::min);
        let stated = series::thickness(file, 0);
        // The stated distance, unless frames lie nearer to each other.
        let even = match (stated, least) {
            (Some(stated), Some(least)) if least < (1.0 - UNEVEN) * stated => least,
            (Some(stated), _) => stated,
            (None, least) => least.unwrap_or(1.0),
        };
        // The place of each position: steps from the one before it, so that rounding does not add up.
        let mut steps = vec![0usize];
        for gap in &gaps {
            let count = (gap / even).round();
            if (gap - count * even).abs() > UNEVEN * even {
                return refuse(format!("has frames {gap:.3} mm apart in a stack of {even:.3} mm"));
            }
            let before = steps.last().copied().unwrap_or(0);
            // As many as fit: the limit is below.
            steps.push(before.saturating_add(count as usize));
        }
        let slices = steps.last().copied().unwrap_or(0).saturating_add(1);
        if slices > MAX_SLICES || slices as u128 * pixels as u128 > MAX_VOXELS {
            let problem = format!("reaches over {slices} slices of {pixels} pixels");
            return Err(Error::refused(path, problem, "crop or resample it"));
        }
        let (origin, last) = match stacked.as_slice() {
            [(_, origin), .., (_, last)] => (*origin, *last),
            _ => (first.position, first.position),
        };
        let step = match slices {
            1 => normal.map(|part| part * even),
            _ => minus(last, origin).map(|part| part / (slices - 1) as f64),
        };
        let nearest = first.spacing().into_iter().fold(even, f64::min);
        let mut places = Vec::with_capacity(frames.len());
        for frame in frames {
            let depth = dot(frame.position, normal);
            // Of frames at one place, the lowest is kept.
            let above = stacked.partition_point(|(known, _)| *known <= depth);
            let place = steps.get(above.saturating_sub(1)).copied().unwrap_or(0);
            let way = minus(frame.position, origin);
            let off = length(minus(way, step.map(|part| part * place as f64)));
            if off > UNEVEN * nearest {
                return refuse(format!(
                    "has a frame {off:.3} mm beside its place in an even stack"
                ));
            }
            places.push(place);
        }
        let affine = series::affine_of([row, column], first.spacing(), step, origin);
        Ok(Self { slices, affine, places })
    }
}
