//! Frames that are JPEG or JPEG 2000. Both decoders are others': a panic of theirs is the file's fault, not the program's end.

use dicom_toolkit_jpeg2000::{DecodeError, DecodeSettings, Image, RawBitmap};
use jpeg_decoder::{Decoder, PixelFormat};

use crate::pixels::Layout;

const OTHER_SIZE: &str = "have another size than the file says";

/// The numbers of a frame that is a JPEG file, baseline or lossless.
pub(crate) fn baseline_or_lossless(bytes: &[u8], layout: &Layout) -> Result<Vec<i32>, String> {
    let decoded = std::panic::catch_unwind(|| {
        let mut decoder = Decoder::new(bytes);
        decoder.set_max_decoding_buffer_size(4 * layout.pixels() + (1 << 16));
        decoder.read_info()?;
        let info = decoder.info();
        let fits = info.is_some_and(|info| {
            let [width, height] = [info.width, info.height].map(usize::from);
            [width, height] == [layout.columns, layout.rows]
        });
        let pixels = if fits { Some(decoder.decode()?) } else { None };
        Ok::<_, jpeg_decoder::Error>(info.zip(pixels))
    });
    let decoded = decoded.map_err(|_| "are no JPEG that can be read".to_owned())?;
    let decoded = decoded.map_err(|error| format!("are no JPEG that can be read: {error}"))?;
    let (info, pixels) = decoded.ok_or(OTHER_SIZE)?;
    let numbers: Vec<i32> = match info.pixel_format {
        PixelFormat::L8 => pixels.iter().map(|&byte| layout.number(byte.into())).collect(),
        PixelFormat::L16 => {
            let pair = |pair: &[u8]| <[u8; 2]>::try_from(pair).unwrap_or_default();
            pixels
                .chunks_exact(2)
                .map(|bytes| layout.number(u16::from_ne_bytes(pair(bytes))))
                .collect()
        }
        _ => return Err("are in colour".into()),
    };
    if numbers.len() == layout.pixels() { Ok(numbers) } else { Err("are cut short".into()) }
}

/// The numbers of a frame that is a codestream of JPEG 2000 (ISO/IEC 15444-1), whether alone or in a JP2 file.
pub(crate) fn jpeg_2000(bytes: &[u8], layout: &Layout) -> Result<Vec<i32>, String> {
    let begin = bytes.windows(4).position(|marks| marks == CODESTREAM);
    let codestream = begin.and_then(|begin| bytes.get(begin..)).unwrap_or_default();
    let size = Size::of(codestream).ok_or("are no JPEG 2000 that can be read")?;
    if size.components != 1 {
        return Err("are in colour".into());
    }
    if size.precision > layout.allocated() {
        return Err(format!("have {} bits, more than the file says", size.precision));
    }
    if size.tiles > MAX_TILES {
        return Err(format!("come in {} tiles; the standard ends at {MAX_TILES}", size.tiles));
    }
    // Strict: what is cut short is an error, not half a picture.
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let decoded = std::panic::catch_unwind(|| {
        let image = Image::new(codestream, &settings)?;
        let fits = [image.width(), image.height()].map(|side| side as usize)
            == [layout.columns, layout.rows];
        Ok::<_, DecodeError>(if fits { Some(image.decode_native()?) } else { None })
    });
    let decoded = decoded.map_err(|_| "are no JPEG 2000 that can be read".to_owned())?;
    let decoded = decoded.map_err(|error| format!("are no JPEG 2000 that can be read: {error}"))?;
    let RawBitmap { data, bytes_per_sample, .. } = decoded.ok_or(OTHER_SIZE)?;
    // The decoder moves signed samples up by half their range, as if they had none below 0.
    let below = if size.signed { 1 << (size.precision - 1) } else { 0 };
    let layout = layout.narrowed(size.precision);
    let number = |sample: u16| layout.number((i32::from(sample) - below) as u16);
    let numbers: Vec<i32> = match bytes_per_sample {
        1 => data.iter().map(|&byte| number(byte.into())).collect(),
        _ => {
            let pair = |pair: &[u8]| <[u8; 2]>::try_from(pair).unwrap_or_default();
            data.chunks_exact(2).map(|bytes| number(u16::from_le_bytes(pair(bytes)))).collect()
        }
    };
    if numbers.len() == layout.pixels() { Ok(numbers) } else { Err("are cut short".into()) }
}

/// The markers that a codestream begins with: start, and its size.
const CODESTREAM: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];

/// A tile-part names its tile in sixteen bits.
const MAX_TILES: u64 = 65_535;

/// What a codestream says of its size (table A.9), as far as it decides whether and how it is read.
struct Size {
    components: u16,
    /// Bits of a sample of the first component.
    precision: u32,
    signed: bool,
    tiles: u64,
}

impl Size {
    fn of(codestream: &[u8]) -> Option<Self> {
        let word = |place: usize| {
            let bytes = codestream.get(place..place + 4)?;
            bytes.try_into().ok().map(|bytes| u64::from(u32::from_be_bytes(bytes)))
        };
        let tiles = |end, tile, first| {
            let (end, tile, first) = (word(end)?, word(tile)?, word(first)?);
            (tile > 0).then(|| end.saturating_sub(first).div_ceil(tile))
        };
        let components = codestream.get(40..42)?.try_into().ok().map(u16::from_be_bytes)?;
        let depth = codestream.get(42)?;
        Some(Self {
            components,
            precision: u32::from(depth & 0x7F) + 1,
            signed: depth & 0x80 != 0,
            tiles: tiles(8, 24, 32)?.saturating_mul(tiles(12, 28, 36)?),
        })
    }
}
