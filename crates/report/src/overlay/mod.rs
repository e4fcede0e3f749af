//! A slice in grey with the contours of masks on it, enlarged, with a legend: as pixels and as PNG.
// Pixels are indexed by loops over the size of their own picture, and all grids are compared before.
#![allow(clippy::indexing_slicing)]

mod draw;
mod font;
mod slice;

use udas_volume::{Labels, Volume};

use crate::{Error, Result};
use draw::{Canvas, Frame};
use slice::{Slice, differing_slice, indicator, window};

pub use slice::Plane;

/// A colour of three bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// Yellow.
    pub const TRUTH: Self = Self([240, 228, 66]);
    /// Orange.
    pub const BEFORE: Self = Self([255, 122, 43]);
    /// Sky blue.
    pub const AFTER: Self = Self([86, 180, 233]);
}

/// How a contour is drawn. Where a thin one lies on a wide one, both stay visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Three pixels.
    Wide,
    /// One pixel and a half.
    Thin,
}

/// Which slice is drawn.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// Counted from 0 along the plane, in RAS order.
    At(usize),
    /// Where these two differ in most voxels; where they do not, that with most of the second one.
    MostDifferent(&'a Labels, &'a Labels),
}

/// The outline of a mask.
#[derive(Clone, Copy, Debug)]
pub struct Contour<'a> {
    /// In the legend.
    pub name: &'a str,
    /// On the grid of the image. Every class other than 0 is outlined.
    pub labels: &'a Labels,
    /// Its colour.
    pub colour: Colour,
    /// Its line.
    pub stroke: Stroke,
}

/// One of the pictures side by side: the slice with some contours.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// Above the picture.
    pub title: &'a str,
    /// Drawn one over the other.
    pub contours: Vec<Contour<'a>>,
}

/// Which part of the slice is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crop {
    /// All of it.
    Whole,
    /// The surroundings of all masks.
    AroundMasks {
        /// Margin on every side.
        margin_mm: f64,
    },
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    /// The image.
    pub image: &'a Volume,
    /// How the slice lies in the body.
    pub plane: Plane,
    /// Which slice along it.
    pub slice: Choice<'a>,
    /// Which part of it.
    pub crop: Crop,
    /// Height or width of a panel in pixels, whichever is longer; enlarged to at most 8 pixels a voxel.
    pub panel_pixels: usize,
    /// Side by side, from left to right.
    pub panels: Vec<Panel<'a>>,
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    description: String,
}

/// The slice alone, truth with before, truth with after. Without a truth: the slice, before, after.
pub fn before_after<'a>(
    image: &'a Volume,
    truth: Option<&'a Labels>,
    before: &'a Labels,
    after: &'a Labels,
    plane: Plane,
) -> Overlay<'a> {
    side_by_side(
        image,
        plane,
        Choice::MostDifferent(before, after),
        vec![
            Panel { title: "slice", contours: Vec::new() },
            against(truth, "before", before, Colour::BEFORE),
            against(truth, "after", after, Colour::AFTER),
        ],
    )
}

/// The slice alone and truth with after, on the slice where the two differ most (without a truth, on that
/// with most of the prediction): for a model that there is no earlier prediction to compare with.
pub fn after_only<'a>(
    image: &'a Volume,
    truth: Option<&'a Labels>,
    after: &'a Labels,
    plane: Plane,
) -> Overlay<'a> {
    side_by_side(
        image,
        plane,
        Choice::MostDifferent(truth.unwrap_or(after), after),
        vec![
            Panel { title: "slice", contours: Vec::new() },
            against(truth, "after", after, Colour::AFTER),
        ],
    )
}

fn side_by_side<'a>(
    image: &'a Volume,
    plane: Plane,
    slice: Choice<'a>,
    panels: Vec<Panel<'a>>,
) -> Overlay<'a> {
    let crop = Crop::AroundMasks { margin_mm: 25.0 };
    Overlay { image, plane, slice, crop, panel_pixels: 300, panels }
}

/// A thin contour on the wide one of the truth.
fn against<'a>(
    truth: Option<&'a Labels>,
    title: &'a str,
    labels: &'a Labels,
    colour: Colour,
) -> Panel<'a> {
    let contour = |name, labels, colour, stroke| Contour { name, labels, colour, stroke };
    let truth = truth.map(|labels| contour("truth", labels, Colour::TRUTH, Stroke::Wide));
    let last = contour(title, labels, colour, Stroke::Thin);
    Panel { title, contours: truth.into_iter().chain([last]).collect() }
}

impl Overlay<'_> {
    /// Draws it. Anterior and superior are up; axial and coronal slices show the patient's right on the
    /// left, as radiologists read them, and letters say so. Flat pictures keep their own sides.
    ///
    /// # Errors
    /// [`Error::Grid`] for a mask on another grid, [`Error::Slice`] for a slice outside.
    pub fn draw(&self) -> Result<Picture> {
        self.check_grids()?;
        let (image, _) = self.image.to_ras();
        let plane = if image.shape()[2] == 1 { Plane::Axial } else { self.plane };
        let slices = plane.slices(image.shape());
        let index = match self.slice {
            Choice::At(index) => index,
            Choice::MostDifferent(a, b) => differing_slice(&a.to_ras().0, &b.to_ras().0, plane),
        };
        if index >= slices {
            return Err(Error::Slice { index, slices });
        }
        let masks = self.contours().map(|c| Slice::of(&c.labels.to_ras().0, plane, index));
        let masks: Vec<Slice<u8>> = masks.collect();
        let grey = Slice::of(&image, plane, index);
        let frame = Frame::new(&grey, &masks, self.crop, self.panel_pixels);
        let mut canvas = Canvas::new(&frame, self.panels.len());
        let window = window(&grey);
        let mut masks = masks.iter();
        for (column, panel) in self.panels.iter().enumerate() {
            canvas.grey(&frame, column, &grey, window);
            for (contour, mask) in panel.contours.iter().zip(&mut masks) {
                for class in mask.classes() {
                    canvas.contour(&frame, column, &indicator(mask, class), contour);
                }
            }
            canvas.letters(&frame, column, grey.letters);
            canvas.title(&frame, column, panel);
        }
        let (width, height, rgb) = canvas.finish();
        let description = format!("{} slice {} of {slices}.", plane.name(), index + 1);
        Ok(Picture { width, height, rgb, description })
    }

    fn check_grids(&self) -> Result<()> {
        let chosen = match self.slice {
            Choice::At(_) => [None, None],
            Choice::MostDifferent(a, b) => [Some(a), Some(b)],
        };
        let chosen = chosen.into_iter().flatten().map(|labels| ("compared mask", labels));
        let all = self.contours().map(|contour| (contour.name, contour.labels)).chain(chosen);
        for (name, labels) in all {
            if let Some(difference) = self.image.grid().difference(labels.grid()) {
                return Err(Error::Grid { name: name.to_owned(), difference });
            }
        }
        Ok(())
    }

    fn contours(&self) -> impl Iterator<Item = &Contour<'_>> {
        self.panels.iter().flat_map(|panel| &panel.contours)
    }
}

impl Picture {
    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Three bytes a pixel, rows from top to bottom.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Which slice it shows, in words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`Error::Picture`] where it is too large.
    pub fn png(&self) -> Result<Vec<u8>> {
        use image::ImageEncoder;
        use image::codecs::png::{CompressionType, FilterType, PngEncoder};
        let Self { width, height, rgb, .. } = self;
        let (width, height) = (*width, *height);
        let fail = |problem: String| Error::Picture { width, height, problem };
        let [Ok(w), Ok(h)] = [width, height].map(u32::try_from) else {
            return Err(fail("too many pixels".into()));
        };
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
            .write_image(rgb, w, h, image::ExtendedColorType::Rgb8)
            .map_err(|error| fail(error.to_string()))?;
        Ok(png)
    }
}
