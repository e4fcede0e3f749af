//! The page of a quality control: masks worst first, and pictures of the first ones.
use super::document;
use crate::markup::{Text, optional};
use crate::{Picture, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Write;

/// A class of a mask, as a row of the table.
#[derive(Clone, Debug, Default)]
pub struct MaskRow {
    /// The case.
    pub case: String,
    /// The class.
    pub class: u8,
    /// Expected Dice, and the ends of its interval.
    pub expected: Option<[f64; 3]>,
    /// Mean Dice with others' masks.
    pub agreement: Option<f64>,
    /// Volume in ml.
    pub volume_ml: f64,
    /// What is odd about it.
    pub note: String,
}

/// Masks of a scanner, a month or a site.
#[derive(Clone, Debug, Default)]
pub struct MaskGroup {
    /// Its name.
    pub name: String,
    /// Mean of what the order goes by; none where every class is absent.
    pub mean: Option<f64>,
    /// Cases.
    pub cases: usize,
    /// Classes that are absent in a case and present in others.
    pub absent: usize,
}

/// Masks of a tool, worst first.
#[derive(Debug, Default)]
pub struct MaskPage {
    /// Heading.
    pub title: String,
    /// What the order goes by, and how far it is to be trusted.
    pub basis: String,
    /// What the order goes by, in a word or two; groups show its mean.
    pub quantity: String,
    /// Groups, in the order of their names; empty where there are none.
    pub groups: Vec<MaskGroup>,
    /// The masks.
    pub rows: Vec<MaskRow>,
    /// Pictures of the first cases.
    pub pictures: Vec<(String, Picture)>,
}

/// The page as one HTML document without links to anything outside it.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn masks_page(page: &MaskPage) -> Result<String> {
    let (title, basis) = (Text(&page.title), Text(&page.basis));
    let mut body = format!(
        "<header><p class=\"eyebrow\">Quality of masks, without labels</p><h1>{title}</h1>\
         <p class=\"data\">{basis}</p></header><main id=\"main\">"
    );
    if !page.pictures.is_empty() {
        body += "<section class=\"cases\"><h2>Look at these first</h2><div class=\"grid\">";
        for (case, picture) in &page.pictures {
            let png = BASE64_STANDARD.encode(picture.png()?);
            let (case, words) = (Text(case), Text(picture.description()));
            let _ = write!(
                body,
                "<figure><img alt=\"{words}\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{png}\">\
                 <figcaption><strong>{case}</strong></figcaption></figure>",
                picture.width(),
                picture.height()
            );
        }
        body += "</div></section>";
    }
    body += &groups(page);
    body += &table(page);
    Ok(document(&page.title, &format!("{body}</main>")))
}

fn groups(page: &MaskPage) -> String {
    if page.groups.is_empty() {
        return String::new();
    }
    let rows = page.groups.iter().map(|MaskGroup { name, mean, cases, absent }| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{cases}</td><td>{absent}</td></tr>",
            Text(name),
            optional(*mean, 3)
        )
    });
    let quantity = Text(&page.quantity);
    format!(
        "<section><h2>Groups</h2><div class=\"scroll\"><table class=\"dense\"><caption>Means over all classes that are \
         there</caption><thead><tr><th>group</th><th>mean {quantity}</th><th>cases</th><th>absent classes</th></tr></thead>\
         <tbody>{}</tbody></table></div></section>",
        rows.collect::<String>()
    )
}

fn table(page: &MaskPage) -> String {
    let row = |row: &MaskRow| {
        let expected =
            row.expected.map(|[dice, low, high]| format!("{dice:.3} ({low:.3} to {high:.3})"));
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td></tr>",
            Text(&row.case),
            row.class,
            expected.unwrap_or_else(|| "\u{2013}".into()),
            optional(row.agreement, 3),
            row.volume_ml,
            Text(&row.note)
        )
    };
    format!(
        "<section><h2>All masks, worst first</h2><div class=\"scroll tall\"><table class=\"dense\"><thead><tr><th>case</th><th>class</th>\
         <th>expected Dice (90&nbsp;%)</th><th>agreement</th><th>volume, ml</th><th>odd</th></tr></thead><tbody>{}</tbody></table></div></section>",
        page.rows.iter().map(row).collect::<String>()
    )
}
