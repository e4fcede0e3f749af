//! PNG, TIFF and JPEG: greyscale pictures as one-slice volumes, masks and colour pictures out.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind};
use std::path::Path;

use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
};
use udas_files::write_whole_with;

use crate::{Affine, Error, Grid, Header, Image, Labels, Result, Volume, Warning};
use crate::{png_checksums, tiff};

/// Pixels along a side of a picture.
const MAX_SIDE: u32 = 1 << 15;
/// Bytes a decoder may allocate.
const MAX_ALLOCATION: u64 = 1 << 30;

/// A picture's rows run from top to bottom, so y points down; 1 mm a pixel for want of better.
fn grid(width: u32, height: u32) -> Grid {
    let affine =
        Affine::from_rows([[1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    Grid { shape: [width as usize, height as usize, 1], affine }
}

fn open(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    let error = |source| Error::io(path, source);
    let mut file = BufReader::new(File::open(path).map_err(error)?);
    let kind = tiff::check(&mut file, path)?;
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(error)?;
    if kind == tiff::Kind::Big {
        // Its first bytes are not among those that are guessed by.
        reader.set_format(ImageFormat::Tiff);
    }
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Tiff | ImageFormat::Jpeg) => {}
        _ => {
            let error = Error::damaged(path, "is neither PNG, TIFF nor JPEG inside");
            return Err(error.or_stand_in(path));
        }
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    Ok(reader)
}

/// The grid of a picture, from its header alone.
pub(crate) fn probe(path: &Path) -> Result<(Grid, Header)> {
    let (width, height) =
        open(path)?.into_dimensions().map_err(|error| decode_error(path, error))?;
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(Error::damaged(path, format!("its header gives {width}x{height} pixels")));
    }
    Ok((grid(width, height), Header::for_picture(Vec::new())))
}

/// Grey values as they are stored (0 to 255 or 0 to 65535); colours become luminance, with a warning.
pub(crate) fn read(path: &Path) -> Result<Volume> {
    check_png(path)?;
    let picture = open(path)?.decode().map_err(|error| decode_error(path, error))?;
    let (width, height) = (picture.width(), picture.height());
    if width == 0 || height == 0 {
        return Err(Error::damaged(path, "has no pixels"));
    }
    let warnings = if has_colour(&picture) { vec![Warning::Colour] } else { Vec::new() };
    let data = match &picture {
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => {
            picture.into_luma16().iter().map(|&v| f32::from(v)).collect()
        }
        DynamicImage::ImageRgb32F(pixels) => pixels.pixels().map(|p| luminance(p.0)).collect(),
        DynamicImage::ImageRgba32F(pixels) => {
            pixels.pixels().map(|p| luminance([p.0[0], p.0[1], p.0[2]])).collect()
        }
        _ => picture.into_luma8().iter().map(|&v| f32::from(v)).collect(),
    };
    Ok(Image::from_parts(data, grid(width, height), Header::for_picture(warnings)))
}

fn check_png(path: &Path) -> Result<()> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    match png_checksums::are_right(&mut BufReader::new(file)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::damaged(path, "a checksum is wrong")),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(Error::damaged(path, "is cut short"))
        }
        Err(source) => Err(Error::io(path, source)),
    }
}

/// Weights of ITU-R BT.709, as the `image` crate takes for integer pixels.
fn luminance([r, g, b]: [f32; 3]) -> f32 {
    if r == g && g == b { r } else { 0.2126 * r + 0.7152 * g + 0.0722 * b }
}

fn has_colour(picture: &DynamicImage) -> bool {
    fn differ<T: PartialEq>(rgb: &[T]) -> bool {
        matches!(rgb, [r, g, b, ..] if r != g || g != b)
    }
    match picture {
        DynamicImage::ImageRgb8(p) => p.pixels().any(|p| differ(&p.0)),
        DynamicImage::ImageRgba8(p) => p.pixels().any(|p| differ(&p.0)),
        DynamicImage::ImageRgb16(p) => p.pixels().any(|p| differ(&p.0)),
        DynamicImage::ImageRgba16(p) => p.pixels().any(|p| differ(&p.0)),
        DynamicImage::ImageRgb32F(p) => p.pixels().any(|p| differ(&p.0)),
        DynamicImage::ImageRgba32F(p) => p.pixels().any(|p| differ(&p.0)),
        _ => false,
    }
}

fn decode_error(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => {
            Error::io(path, source)
        }
        ImageError::IoError(_) => Error::damaged(path, "is cut short"),
        ImageError::Unsupported(error) => {
            Error::unsupported(path, error.to_string(), "save it as 8- or 16-bit greyscale PNG")
        }
        ImageError::Limits(_) => Error::unsupported(
            path,
            "is larger than 32768 pixels a side or 1 GiB decoded",
            "crop it or make it smaller",
        ),
        error => Error::damaged(path, error.to_string()),
    }
}

/// Whether a picture has pixels that are not grey; what is no picture has none. Only pictures stored in colour are
/// decoded.
pub fn is_coloured(path: &Path) -> Result<bool> {
    Ok(is_stored_in_colour(path)? && read(path)?.header().warnings().contains(&Warning::Colour))
}

/// Whether a picture has three channels, be they equal or not; what is no picture has one. No pixel is read.
pub fn is_stored_in_colour(path: &Path) -> Result<bool> {
    if !crate::file::is_picture(path) {
        return Ok(false);
    }
    let decoder = open(path)?.into_decoder().map_err(|error| decode_error(path, error))?;
    Ok(decoder.color_type().has_color())
}

/// Refuses a mask as JPEG, whatever its name: compression blurs labels into values that nobody gave.
pub(crate) fn refuse_blurred_labels(path: &Path) -> Result<()> {
    match open(path)?.format() {
        Some(ImageFormat::Jpeg) => Err(Error::unsupported(
            path,
            "is a mask as JPEG, whose compression changes labels",
            "export the mask again, as PNG, TIFF or NIfTI",
        )),
        _ => Ok(()),
    }
}

/// Writes a one-slice mask as an 8-bit greyscale picture, a pixel holding its label.
pub(crate) fn write_labels(path: &Path, labels: &Labels, format: ImageFormat) -> Result<()> {
    let [width, height, depth] = labels.shape();
    if depth != 1 {
        let problem = format!("cannot hold {depth} slices");
        return Err(Error::unsupported(path, problem, "write .nii.gz instead"));
    }
    write(path, labels.data(), [width, height], ExtendedColorType::L8, format)
}

/// Writes a colour PNG of `width` by `height` pixels, three bytes each (red, green, blue), rows from
/// top to bottom; whole or not at all.
pub fn write_rgb_png(path: &Path, rgb: &[u8], width: usize, height: usize) -> Result<()> {
    if width.checked_mul(height).and_then(|n| n.checked_mul(3)) != Some(rgb.len()) {
        return Err(Error::NotAVolume(format!("{} bytes for {width}x{height} pixels", rgb.len())));
    }
    write(path, rgb, [width, height], ExtendedColorType::Rgb8, ImageFormat::Png)
}

fn write(
    path: &Path,
    bytes: &[u8],
    size: [usize; 2],
    color: ExtendedColorType,
    format: ImageFormat,
) -> Result<()> {
    let [Ok(width), Ok(height)] = size.map(u32::try_from) else {
        return Err(Error::NotAVolume(format!("{size:?} pixels")));
    };
    write_whole_with(path, |file: &mut BufWriter<File>| {
        image::write_buffer_with_format(file, bytes, width, height, color, format).map_err(
            |error| match error {
                ImageError::IoError(source) => source,
                error => std::io::Error::other(error),
            },
        )
    })
    .map_err(|source| Error::write(path, source))
}
