//! How masks that were judged are shown: on the screen, as a table, on a page with pictures.
use super::{CaseImages, Group, Judged, Others, Row, masks};
use crate::console::Console;
use anyhow::Result;
use std::path::Path;
use udas_data::Subject;
use udas_record::plain_in_tables;
use udas_report::{
    Choice, Colour, Contour, Crop, MaskGroup, MaskPage, MaskRow, Overlay, Panel, Picture, Plane,
    Stroke,
};
use udas_volume::{Labels, Volume};

/// Pictures on a page.
const PICTURES: usize = 6;

/// Rows on the screen; the files have all.
const SHOWN: usize = 15;

/// Beyond so many robust spreads a mask is called odd.
const ODD: f64 = 3.5;

/// What is odd about a mask.
fn note(row: &Row) -> String {
    let mut notes = Vec::new();
    if row.look.is_empty() {
        notes.push("the class is absent".to_owned());
    }
    if let Some(unlike) = row.unlike.as_ref().filter(|unlike| unlike.distance.abs() > ODD) {
        let side = if unlike.distance < 0.0 { "low" } else { "high" };
        notes.push(format!(
            "{} is {side} beside the others ({:+.1} spreads)",
            unlike.column, unlike.distance
        ));
    }
    if row.expected.is_some_and(|expected| expected.unseen) {
        notes.push("unlike the reference".into());
    }
    notes.join("; ")
}

/// What is to be said where most masks are beyond what the reference has seen.
pub fn strangers(rows: &[Row]) -> Option<String> {
    let unseen = rows.iter().filter(|row| row.expected.is_some_and(|e| e.unseen)).count();
    (2 * unseen > rows.len()).then(|| {
        format!(
            "{unseen} of {} masks are unlike all that the reference was learned from: what it expects of them says little; learn a reference \
             of this structure and these images (udas calibrate --masks)",
            rows.len()
        )
    })
}

pub fn text(judged: &Judged, page: Option<&Path>) -> String {
    let mut text = format!(
        "{}\n{:<28}{:>6}{:>26}{:>11}{:>12}  {}\n",
        judged.basis.words(),
        "case",
        "class",
        "expected Dice (90 %)",
        "agreement",
        "volume, ml",
        "odd"
    );
    for row in judged.masks.iter().take(SHOWN) {
        let expected = row.expected.map_or("-".into(), |estimate| {
            format!("{:.3} ({:.3} to {:.3})", estimate.dice, estimate.low, estimate.high)
        });
        let agreement = row.look.agreement.map_or("-".into(), |with| format!("{:.3}", with.mean));
        text += &format!(
            "{:<28}{:>6}{expected:>26}{agreement:>11}{:>12.1}  {}\n",
            row.case,
            row.class,
            row.look.volume_ml,
            note(row)
        );
    }
    if judged.masks.len() > SHOWN {
        text += &format!("... and {} more (--out FILE has all)\n", judged.masks.len() - SHOWN);
    }
    for Group { name, mean, cases, absent } in &judged.groups {
        let mean = mean.map_or("-".into(), |mean| format!("{mean:.3}"));
        let what = judged.basis.quantity();
        text +=
            &format!("group {name}: mean {what} {mean}, {cases} cases, {absent} absent classes\n");
    }
    if let Some(page) = page {
        text += &format!("page: {}\n", page.display());
    }
    text
}

pub fn as_csv(rows: &[Row]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "case",
        "class",
        "group",
        "expected_dice",
        "low",
        "high",
        "unlike_reference",
        "mean_agreement",
        "least_agreement",
        "reverse_dice",
        "confidence",
        "soft_volume",
        "volume_ml",
        "parts",
        "largest_part",
        "smoothness",
        "compactness",
        "at_border",
        "most_unlike",
        "spreads",
    ])?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for row in rows {
        let (expected, agreement, look) = (row.expected, row.look.agreement, row.look);
        let unlike = row.unlike.as_ref();
        writer.write_record([
            plain_in_tables(&row.case),
            row.class.to_string(),
            row.group.as_deref().map(plain_in_tables).unwrap_or_default(),
            number(expected.map(|estimate| estimate.dice)),
            number(expected.map(|estimate| estimate.low)),
            number(expected.map(|estimate| estimate.high)),
            expected.map_or_else(String::new, |estimate| estimate.unseen.to_string()),
            number(agreement.map(|with| with.mean)),
            number(agreement.map(|with| with.least)),
            number(look.reverse),
            number(look.confidence.map(|own| own.mean)),
            number(look.confidence.map(|own| own.soft_volume)),
            look.volume_ml.to_string(),
            look.parts.to_string(),
            look.largest_part.to_string(),
            look.smoothness.to_string(),
            look.compactness.to_string(),
            look.at_border.to_string(),
            unlike.map_or_else(String::new, |unlike| unlike.column.clone()),
            number(unlike.map(|unlike| unlike.distance)),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// A slice without and with its mask, and with the first of the others' masks: where they differ most.
fn overlay<'a>(image: &'a Volume, mask: &'a Labels, other: Option<&'a Labels>) -> Overlay<'a> {
    let contour = |name, labels, colour, stroke| Contour { name, labels, colour, stroke };
    let other = other.map(|labels| contour("other", labels, Colour::TRUTH, Stroke::Wide));
    let slice = Choice::MostDifferent(other.map_or(mask, |other| other.labels), mask);
    let own = contour("mask", mask, Colour::AFTER, Stroke::Thin);
    let panels = vec![
        Panel { title: "slice", contours: Vec::new() },
        Panel { title: "mask", contours: other.into_iter().chain([own]).collect() },
    ];
    let crop = Crop::AroundMasks { margin_mm: 25.0 };
    Overlay { image, plane: Plane::Axial, slice, crop, panel_pixels: 300, panels }
}

/// Pictures of the worst cases whose images are there.
pub fn pictures(
    rows: &[Row],
    (masks, others): (&[Subject], &Others),
    case_images: &CaseImages,
    console: &Console,
) -> Result<Vec<(String, Picture)>> {
    let images = &case_images.by_case;
    let mut drawn: Vec<(String, Picture)> = Vec::new();
    for row in rows {
        if drawn.len() == PICTURES || drawn.iter().any(|(case, _)| *case == row.case) {
            continue;
        }
        let image = images.get(&row.case).or_else(|| images.get(&format!("{}_0000", row.case)));
        let mask = masks.iter().find(|mask| mask.id == row.case);
        let (Some(image), Some(mask)) = (image, mask) else { continue };
        let volume = match udas_volume::read(image) {
            Ok(volume) => volume,
            Err(error) => {
                console.warn(format!("no picture: {error}"));
                continue;
            }
        };
        let grid = case_images.grid_of(mask, others)?;
        let labels = masks::labels(&mask.image, grid.as_ref())?;
        let other = others.of(&row.case, grid.as_ref())?.into_iter().next();
        let overlay = overlay(&volume, &labels, other.as_ref());
        match overlay.draw() {
            Ok(picture) => drawn.push((row.case.clone(), picture)),
            Err(error) => console.warn(format!("{}: {error}", mask.image.display())),
        }
    }
    if drawn.is_empty() && !images.is_empty() {
        console.warn("no image has the name of a mask: the page has no pictures");
    }
    Ok(drawn)
}

pub fn page(title: String, judged: &Judged, pictures: Vec<(String, Picture)>) -> MaskPage {
    let row = |row: &Row| MaskRow {
        case: row.case.clone(),
        class: row.class,
        expected: row.expected.map(|estimate| [estimate.dice, estimate.low, estimate.high]),
        agreement: row.look.agreement.map(|with| with.mean),
        volume_ml: row.look.volume_ml,
        note: note(row),
    };
    let group = |group: &Group| MaskGroup {
        name: group.name.clone(),
        mean: group.mean,
        cases: group.cases,
        absent: group.absent,
    };
    MaskPage {
        title,
        quantity: judged.basis.quantity().into(),
        basis: judged.basis.words().into(),
        groups: judged.groups.iter().map(group).collect(),
        rows: judged.masks.iter().map(row).collect(),
        pictures,
    }
}
