//! Overlays: the slice that differs most, contours where the masks end, sides as radiologists see them.
use udas_report::{
    Choice, Colour, Contour, Crop, Error, Overlay, Panel, Picture, Plane, Stroke, before_after,
};
use udas_volume::{Affine, Labels, Volume};

const SHAPE: [usize; 3] = [12, 16, 20];

fn volume(affine: Affine, value: impl Fn([usize; 3]) -> f32) -> Volume {
    Volume::new(fill(value), SHAPE, affine).unwrap()
}

fn labels(affine: Affine, inside: impl Fn([usize; 3]) -> bool) -> Labels {
    Labels::new(fill(|at| u8::from(inside(at))), SHAPE, affine).unwrap()
}

fn fill<T>(value: impl Fn([usize; 3]) -> T) -> Vec<T> {
    let [nx, ny, nz] = SHAPE;
    let at = |i: usize| [i % nx, i / nx % ny, i / nx / ny];
    (0..nx * ny * nz).map(|i| value(at(i))).collect()
}

fn unit() -> Affine {
    Affine::from_spacing([1.0; 3])
}

/// Pixels of about this colour.
fn coloured(picture: &Picture, Colour(colour): Colour) -> usize {
    let near = |pixel: &&[u8]| pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 40);
    picture.rgb().chunks_exact(3).filter(near).count()
}

#[test]
fn the_slice_is_the_one_where_before_and_after_differ_most() {
    let image = volume(unit(), |[x, y, z]| (x + y + z) as f32);
    let before = labels(unit(), |[_, y, z]| (4..10).contains(&y) && (4..10).contains(&z));
    let after = labels(unit(), |[x, y, z]| {
        let wide = if x == 7 { 14 } else { 11 };
        (4..wide).contains(&y) && (4..10).contains(&z)
    });
    for (plane, words) in [
        (Plane::Sagittal, "Sagittal slice 8 of 12."),
        (Plane::Coronal, "Coronal slice 11 of 16."),
        (Plane::Axial, "Axial slice 5 of 20."),
    ] {
        let picture = before_after(&image, None, &before, &after, plane).draw().unwrap();
        assert_eq!(picture.description(), words);
        assert!(coloured(&picture, Colour::BEFORE) > 50, "{words}");
        assert!(coloured(&picture, Colour::AFTER) > 50, "{words}");
        assert_eq!(coloured(&picture, Colour::TRUTH), 0, "{words}");
    }
}

#[test]
fn a_contour_runs_along_the_edge_of_the_mask_and_nowhere_else() {
    let image = volume(unit(), |_| 0.0);
    let mask = labels(unit(), |[_, y, z]| (4..12).contains(&y) && (5..15).contains(&z));
    let contour =
        Contour { name: "", labels: &mask, colour: Colour([255, 0, 0]), stroke: Stroke::Wide };
    let overlay = Overlay {
        image: &image,
        plane: Plane::Sagittal,
        slice: Choice::At(3),
        crop: Crop::Whole,
        panel_pixels: 160,
        panels: vec![Panel { title: "", contours: vec![contour] }],
    };
    let picture = overlay.draw().unwrap();
    // 8 pixels a voxel, below a bar for titles. Anterior is left and superior up, so that both run backwards.
    let bar = picture.height() - 160;
    let red = |voxel: [f64; 2]| {
        let x = ((16.0 - 0.5 - voxel[0]) * 8.0) as usize;
        let y = bar + ((20.0 - 0.5 - voxel[1]) * 8.0) as usize;
        let start = 3 * (y * picture.width() + x);
        let pixel = &picture.rgb()[start..start + 3];
        pixel[0] > 200 && pixel[1] < 60
    };
    for [y, z] in [[3.5, 8.0], [11.5, 8.0], [8.0, 4.5], [8.0, 14.5]] {
        assert!(red([y, z]), "on the edge at {y}, {z}");
    }
    for [y, z] in [[8.0, 8.0], [1.0, 1.0], [5.0, 6.0], [13.0, 16.0]] {
        assert!(!red([y, z]), "off the edge at {y}, {z}");
    }
}

#[test]
fn the_picture_does_not_depend_on_how_voxels_are_stored() {
    let bright = |[x, y, z]: [usize; 3]| x < 3 && y < 5 && z < 6;
    let draw = |codes: &str| {
        let affine = Affine::from_codes(codes, [1.0; 3]).unwrap();
        // The same corner of the body: right, posterior and inferior.
        let flipped = |at: [usize; 3]| {
            let flips = codes.chars().zip("RAS".chars()).map(|(own, ras)| own != ras);
            let moved = at.into_iter().zip(SHAPE).zip(flips);
            let mut out = [0; 3];
            for (slot, ((index, size), flip)) in out.iter_mut().zip(moved) {
                *slot = if flip { size - 1 - index } else { index };
            }
            out
        };
        let image = volume(affine, |at| f32::from(u8::from(bright(flipped(at)))));
        let mask = labels(affine, |at| bright(flipped(at)));
        before_after(&image, None, &mask, &mask, Plane::Axial).draw().unwrap()
    };
    assert_eq!(draw("RAS").rgb(), draw("LPI").rgb());
}

#[test]
fn masks_on_another_grid_and_slices_outside_are_refused() {
    let image = volume(unit(), |_| 0.0);
    let mask = labels(unit(), |_| true);
    let other = labels(Affine::from_spacing([1.0, 1.0, 2.0]), |_| true);
    let error = before_after(&image, Some(&mask), &mask, &other, Plane::Axial).draw().unwrap_err();
    assert!(matches!(&error, Error::Grid { name, .. } if name == "after"), "{error}");
    let mut overlay = before_after(&image, None, &mask, &mask, Plane::Axial);
    overlay.slice = Choice::At(20);
    let error = overlay.draw().unwrap_err();
    assert!(matches!(error, Error::Slice { index: 20, slices: 20 }), "{error}");
}

#[test]
fn pictures_are_png_of_their_size() {
    let image = volume(unit(), |[x, ..]| x as f32);
    let mask = labels(unit(), |[x, ..]| x > 5);
    let picture = before_after(&image, None, &mask, &mask, Plane::Axial).draw().unwrap();
    let decoded = image::load_from_memory(&picture.png().unwrap()).unwrap().to_rgb8();
    assert_eq!(
        (decoded.width() as usize, decoded.height() as usize),
        (picture.width(), picture.height())
    );
    assert_eq!(decoded.as_raw(), picture.rgb());
}
