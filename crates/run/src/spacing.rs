//! How a setting names the voxel size of slices, and what is said where a target's voxels or field of view are unlike the
//! source's.
use crate::error::{Error, Result};
use crate::host::Host;
use udas_data::{BODY_AXES, Geometry, Plane, Preprocessing, Range, Spacing, Subject};
use udas_model::ModelInfo;
use udas_volume::{FileKind, probe};

/// A size beyond the source's by more than this factor is worth a word.
pub const BEYOND: f64 = 1.25;

/// The voxel size to train with: `native`, `median` of the subjects' pixels, `MM` of both sides of a pixel, or `MM,MM` of
/// these and between slices.
///
/// # Errors
/// [`Error::Usage`] for other words, and for pictures, which have no millimetres; those of headers that cannot be read.
pub fn for_training(
    text: &str,
    subjects: &[Subject],
    preprocessing: &Preprocessing,
) -> Result<Spacing> {
    let spacing = match text {
        "native" => return Ok(Spacing::Native),
        "median" => match preprocessing.median_pixel_mm(subjects)? {
            Some(pixel_mm) => Spacing::Slices { pixel_mm, between_mm: None },
            None => return Err(Error::usage("--spacing median: there is no subject to take it of")),
        },
        sizes => in_millimetres(sizes).ok_or_else(|| {
            Error::usage(format!(
                "--spacing {text}: give native, median, MM for the pixels of slices, or MM,MM for these and between \
                 slices, in millimetres above 0"
            ))
        })?,
    };
    let resampled = Preprocessing { spacing, ..preprocessing.clone() };
    for Subject { image, .. } in subjects {
        let probe = probe(image).map_err(udas_data::Error::from)?;
        let problem = match (probe.header.kind(), resampled.slicing(&probe)) {
            (FileKind::Picture, _) => "is a picture, which has no millimetres; leave it out".into(),
            (FileKind::Volume, Err(error)) => error.to_string(),
            (FileKind::Volume, Ok(_)) => continue,
        };
        return Err(Error::usage(format!("--spacing {text}: {}: {problem}", image.display())));
    }
    Ok(spacing)
}

fn in_millimetres(text: &str) -> Option<Spacing> {
    let sizes: Vec<f64> =
        text.split(',').map(|size| size.trim().parse().ok()).collect::<Option<_>>()?;
    let spacing = match sizes[..] {
        [pixel] => Spacing::Slices { pixel_mm: [pixel; 2], between_mm: None },
        [pixel, between] => Spacing::Slices { pixel_mm: [pixel; 2], between_mm: Some(between) },
        _ => return None,
    };
    spacing.check().is_ok().then_some(spacing)
}

/// A spacing in words; none where voxels stay as they are.
pub fn words(spacing: Spacing) -> Option<String> {
    let mm = udas_volume::format_mm;
    match spacing {
        Spacing::Native => None,
        Spacing::Slices { pixel_mm: [rows, columns], between_mm } => {
            let between = between_mm
                .map_or("as far apart as they are".into(), |size| format!("{} mm apart", mm(size)));
            Some(format!("pixels of {} x {} mm, slices {between}", mm(rows), mm(columns)))
        }
        Spacing::Millimetres(sizes) => Some(format!("voxels of {} mm", sizes.map(mm).join(" x "))),
    }
}

/// What differs between the voxels and fields of view of images and those that a model has learned from, and what follows;
/// nothing where the model's file does not say.
pub fn differences(model: &ModelInfo, here: &Geometry) -> Vec<String> {
    let Some(seen) = &model.geometry else { return Vec::new() };
    let axes = BODY_AXES.into_iter().zip(&seen.spacing_mm).zip(&here.spacing_mm).enumerate();
    let differs = axes.filter_map(|(axis, ((name, seen), here))| {
        let follows = match fate(&model.preprocessing, axis) {
            Fate::AsItIs if seen.beyond(here) > BEYOND => {
                "structures have another size in pixels; train the source with --spacing, or resample the images to its \
                 voxels"
            }
            Fate::Resampled if is_coarser(seen, here) => {
                "they are resampled to the model's, but finer detail than they have is not to be had"
            }
            _ => return None,
        };
        Some(format!("voxels {name}: {here} here, {seen} in training: {follows}"))
    });
    let extents = BODY_AXES.into_iter().zip(&seen.extent_mm).zip(&here.extent_mm);
    let views = extents.filter(|((_, seen), here)| seen.beyond(here) > BEYOND).map(
        |((name, seen), here)| {
            format!(
                "field of view {name}: {here} here, {seen} in training: other anatomy is in view than the model knows"
            )
        },
    );
    differs.chain(views).collect()
}

/// What becomes of an axis of the body before slices are seen.
enum Fate {
    AsItIs,
    Resampled,
}

fn fate(preprocessing: &Preprocessing, axis: usize) -> Fate {
    let across = match preprocessing.plane {
        Plane::Sagittal => Some(0),
        Plane::Coronal => Some(1),
        Plane::Axial => Some(2),
        // It may be any, and another one in every volume.
        Plane::Stored => None,
    };
    match preprocessing.spacing {
        Spacing::Native => Fate::AsItIs,
        Spacing::Slices { between_mm: None, .. } if across == Some(axis) => Fate::AsItIs,
        Spacing::Slices { .. } | Spacing::Millimetres(_) => Fate::Resampled,
    }
}

fn is_coarser(seen: &Range, here: &Range) -> bool {
    here.high > BEYOND * seen.high
}

/// Says where a target's voxels or field of view are unlike those that a model has learned from. Returns what was said. What cannot be read
/// is refused where it is read.
pub fn warn(model: &ModelInfo, subjects: &[Subject], host: &dyn Host) -> Vec<String> {
    let Ok(Some(here)) = Geometry::of(subjects) else { return Vec::new() };
    let said = differences(model, &here);
    said.iter().for_each(|text| host.warn(text));
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_model::Provenance;
    use udas_network::Spec;

    const UPRIGHT: Preprocessing = Preprocessing::upright(Plane::Axial);

    #[test]
    fn sizes_are_of_pixels_then_between_slices() {
        let of = |text: &str| for_training(text, &[], &UPRIGHT);
        assert_eq!(of("native").unwrap(), Spacing::Native);
        let pixel = Spacing::Slices { pixel_mm: [1.5; 2], between_mm: None };
        assert_eq!(of("1.5").unwrap(), pixel);
        let both = Spacing::Slices { pixel_mm: [1.5; 2], between_mm: Some(4.0) };
        assert_eq!(of("1.5, 4").unwrap(), both);
        assert_eq!(
            words(pixel).unwrap(),
            "pixels of 1.50 x 1.50 mm, slices as far apart as they are"
        );
        assert_eq!(words(both).unwrap(), "pixels of 1.50 x 1.50 mm, slices 4.00 mm apart");
        for wrong in ["", "0", "-1", "1,0", "1,2,3", "inf", "nan", "fine", "1;2"] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("give native, median, MM"), "{wrong}: {error}");
        }
        assert!(of("median").unwrap_err().to_string().contains("no subject"));
    }

    #[test]
    fn an_axis_that_stays_is_compared_both_ways_and_one_that_is_resampled_for_detail() {
        let range = |mm: f64| Range { low: mm, high: mm };
        let geometry =
            |mm: [f64; 3]| Geometry { spacing_mm: mm.map(range), extent_mm: [range(200.0); 3] };
        let of = |spacing: Spacing, here: [f64; 3]| {
            let seen = Preprocessing { spacing, ..UPRIGHT };
            let mut info = ModelInfo::new(Spec::default(), seen, Provenance::default());
            info.geometry = Some(geometry([1.0, 1.0, 5.0]));
            differences(&info, &geometry(here))
        };
        let plane = Spacing::Slices { pixel_mm: [1.0; 2], between_mm: None };
        let all = Spacing::Slices { pixel_mm: [1.0; 2], between_mm: Some(5.0) };
        let finer = [0.5, 0.5, 1.0];
        assert_eq!(of(Spacing::Native, finer).len(), 3);
        let one = of(plane, finer);
        assert!(one.len() == 1 && one[0].contains("superior-inferior"), "{one:?}");
        assert!(of(all, finer).is_empty() && of(Spacing::Native, [1.2, 1.0, 4.5]).is_empty());
        let coarser = of(plane, [2.0, 1.0, 5.0]);
        assert!(coarser.len() == 1 && coarser[0].contains("finer detail"), "{coarser:?}");
    }

    #[test]
    fn another_field_of_view_is_named_by_its_axis() {
        let range = |mm: f64| Range { low: mm, high: mm };
        let geometry = |superior: f64| Geometry {
            spacing_mm: [range(1.0); 3],
            extent_mm: [200.0, 200.0, superior].map(range),
        };
        let mut info = ModelInfo::new(Spec::default(), UPRIGHT, Provenance::default());
        info.geometry = Some(geometry(200.0));
        assert!(differences(&info, &geometry(170.0)).is_empty());
        for other in [100.0, 400.0] {
            let said = differences(&info, &geometry(other));
            assert!(said.len() == 1 && said[0].starts_with("field of view"), "{said:?}");
            assert!(said[0].contains("superior"), "{said:?}");
        }
    }
}
