//! Pixels: grey values, contour lines of a given width, letters.
use super::font::{SIZE, glyph};
use super::slice::Slice;
use super::{Contour, Crop, Panel, Stroke};

const GAP: usize = 6;
const BAR: usize = 22;
const LETTER: usize = 2;
const BACKGROUND: [u8; 3] = [16, 18, 22];
const WHITE: [u8; 3] = [235, 238, 242];
/// Beyond this, a voxel is large enough.
const MOST_PIXELS_PER_VOXEL: f64 = 8.0;

/// Which voxels a panel shows, and how large.
pub(super) struct Frame {
    /// First voxel shown.
    first: [f64; 2],
    /// Pixels a voxel.
    scale: [f64; 2],
    width: usize,
    height: usize,
}

impl Frame {
    pub(super) fn new(
        grey: &Slice<f32>,
        masks: &[Slice<u8>],
        crop: Crop,
        panel_pixels: usize,
    ) -> Self {
        let [columns, rows] = shown(grey, masks, crop);
        let count = |range: [usize; 2]| (range[1] - range[0]) as f64;
        let [sx, sy] = grey.spacing_mm;
        let longest = (count(columns) * sx).max(count(rows) * sy);
        let scale = (panel_pixels as f64 / longest).min(MOST_PIXELS_PER_VOXEL / sx.min(sy));
        let pixels =
            |range, spacing: f64| ((count(range) * spacing * scale).round() as usize).max(1);
        let (width, height) = (pixels(columns, sx), pixels(rows, sy));
        let scale = [width as f64 / count(columns), height as f64 / count(rows)];
        Self { first: [columns[0] as f64, rows[0] as f64], scale, width, height }
    }

    /// Place of a pixel's centre in voxels from the centre of the slice's first one.
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let along =
            |pixel: f64, axis: usize| self.first[axis] + (pixel + 0.5) / self.scale[axis] - 0.5;
        (along(x, 0), along(y, 1))
    }

    fn left(&self, column: usize) -> usize {
        column * (self.width + GAP)
    }
}

/// Columns and rows that are shown, from and to.
fn shown(grey: &Slice<f32>, masks: &[Slice<u8>], crop: Crop) -> [[usize; 2]; 2] {
    let whole = [[0, grey.width], [0, grey.height]];
    let Crop::AroundMasks { margin_mm } = crop else { return whole };
    let occupied = |x: usize, y: usize| masks.iter().any(|m| m.values[y * m.width + x] > 0);
    let mut found: Option<[[usize; 2]; 2]> = None;
    for y in 0..grey.height {
        for x in (0..grey.width).filter(|x| occupied(*x, y)) {
            let [[x0, x1], [y0, y1]] = found.unwrap_or([[x, x + 1], [y, y + 1]]);
            found = Some([[x0.min(x), x1.max(x + 1)], [y0.min(y), y1.max(y + 1)]]);
        }
    }
    let Some(box_) = found else { return whole };
    let widen = |[from, to]: [usize; 2], size: usize, spacing: f64| {
        let margin = (margin_mm / spacing).ceil().max(0.0) as usize;
        [from.saturating_sub(margin), to.saturating_add(margin).min(size)]
    };
    [
        widen(box_[0], grey.width, grey.spacing_mm[0]),
        widen(box_[1], grey.height, grey.spacing_mm[1]),
    ]
}

/// Panels side by side below a bar with their titles.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(frame: &Frame, panels: usize) -> Self {
        let width = frame.left(panels).saturating_sub(GAP).max(1);
        let height = BAR + frame.height;
        Self { width, height, rgb: BACKGROUND.repeat(width * height) }
    }

    pub(super) fn finish(self) -> (usize, usize, Vec<u8>) {
        (self.width, self.height, self.rgb)
    }

    pub(super) fn grey(
        &mut self,
        frame: &Frame,
        column: usize,
        slice: &Slice<f32>,
        [black, white]: [f32; 2],
    ) {
        for y in 0..frame.height {
            for x in 0..frame.width {
                let (px, py) = frame.place(x as f64, y as f64);
                let value = (slice.between(px, py) - black) / (white - black);
                // NaN becomes black.
                let grey = (255.0 * value.clamp(0.0, 1.0)) as u8;
                self.blend(frame.left(column) + x, BAR + y, [grey; 3], 1.0);
            }
        }
    }

    /// Draws the line where the interpolated mask is one half. The distance to it is, to first order, the
    /// difference from one half over the gradient.
    pub(super) fn contour(
        &mut self,
        frame: &Frame,
        column: usize,
        mask: &Slice<f32>,
        contour: &Contour,
    ) {
        let half_width = match contour.stroke {
            Stroke::Wide => 1.5,
            Stroke::Thin => 0.75,
        };
        let at = |x: f64, y: f64| {
            let (px, py) = frame.place(x, y);
            f64::from(mask.between(px, py))
        };
        for y in 0..frame.height {
            for x in 0..frame.width {
                let (fx, fy) = (x as f64, y as f64);
                let slope = f64::hypot(
                    at(fx + 0.5, fy) - at(fx - 0.5, fy),
                    at(fx, fy + 0.5) - at(fx, fy - 0.5),
                );
                if slope > 0.0 {
                    let distance = (at(fx, fy) - 0.5).abs() / slope;
                    let cover = (half_width + 0.5 - distance).clamp(0.0, 1.0);
                    self.blend(frame.left(column) + x, BAR + y, contour.colour.0, cover);
                }
            }
        }
    }

    /// Names of the sides, at the edges: left, right, top, bottom.
    pub(super) fn letters(&mut self, frame: &Frame, column: usize, letters: Option<[char; 4]>) {
        let Some([left, right, top, bottom]) = letters else { return };
        let (w, h) = (SIZE.0 * LETTER, SIZE.1 * LETTER);
        if frame.width < 5 * w || frame.height < 5 * h {
            return;
        }
        let (x0, y0) = (frame.left(column), BAR);
        let (middle_x, middle_y) = (x0 + (frame.width - w) / 2, y0 + (frame.height - h) / 2);
        let places = [
            (left, x0 + 3, middle_y),
            (right, x0 + frame.width - w - 3, middle_y),
            (top, middle_x, y0 + 3),
            (bottom, middle_x, y0 + frame.height - h - 3),
        ];
        for (letter, x, y) in places {
            self.letter(letter, x, y, [190, 196, 204]);
        }
    }

    /// The legend above a panel: its contours in their colours, or its title where there are none.
    pub(super) fn title(&mut self, frame: &Frame, column: usize, panel: &Panel) {
        let (mut x, end) = (frame.left(column) + 4, frame.left(column) + frame.width);
        if panel.contours.is_empty() {
            self.word(panel.title, x, end, WHITE);
            return;
        }
        for contour in &panel.contours {
            x = self.word(contour.name, x, end, contour.colour.0) + 3 * LETTER * SIZE.0 / 2;
        }
    }

    /// Writes a word as far as it fits; returns where it ends.
    fn word(&mut self, word: &str, mut x: usize, end: usize, colour: [u8; 3]) -> usize {
        for letter in word.chars() {
            if x + SIZE.0 * LETTER > end {
                break;
            }
            self.letter(letter, x, 4, colour);
            x += (SIZE.0 + 1) * LETTER;
        }
        x
    }

    fn letter(&mut self, letter: char, left: usize, top: usize, colour: [u8; 3]) {
        let Some(rows) = glyph(letter) else { return };
        for (row, bits) in rows.into_iter().enumerate() {
            for column in (0..SIZE.0).filter(|column| bits >> (SIZE.0 - 1 - column) & 1 == 1) {
                for (dx, dy) in (0..LETTER).flat_map(|dx| (0..LETTER).map(move |dy| (dx, dy))) {
                    self.blend(left + column * LETTER + dx, top + row * LETTER + dy, colour, 1.0);
                }
            }
        }
    }

    fn blend(&mut self, x: usize, y: usize, colour: [u8; 3], cover: f64) {
        if x >= self.width || y >= self.height || cover <= 0.0 {
            return;
        }
        let start = 3 * (y * self.width + x);
        for (old, new) in self.rgb[start..start + 3].iter_mut().zip(colour) {
            *old = (f64::from(*old) * (1.0 - cover) + f64::from(new) * cover).round() as u8;
        }
    }
}
