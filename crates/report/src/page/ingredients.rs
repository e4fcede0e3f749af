//! What the methods start from: source models and early heads, and whether their trainings were finished.
use udas_record::{Convergence, Ingredient};

use super::{Section, scrolling};
use crate::Overview;
use crate::markup::{Text, number};

const INTRODUCTION: &str = "<p>Measured at the end of each training on labelled slices of its own domain. A network that is \
    right more often than it is sure has not converged, and a head that does not know the task on its own domain cannot \
    teach it.</p>\n";

const COLUMNS: [&str; 11] = [
    "What",
    "Domain",
    "Seed",
    "Steps",
    "Scale of the logits",
    "Slices",
    "Dice",
    "Right",
    "Sure",
    "Calibration error",
    "In short",
];

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let ingredients = &overview.experiment.ingredients;
    if ingredients.is_empty() {
        return None;
    }
    let rows: String = ingredients.iter().map(row).collect();
    let head: String = COLUMNS.map(|name| format!("<th scope=\"col\">{name}</th>")).concat();
    let table = format!(
        "<table><caption>Each on its own domain</caption><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>"
    );
    let body = format!("{INTRODUCTION}{}", scrolling("Source models and heads", "", &table));
    Some(Section {
        id: "ingredients",
        short: "Sources and heads",
        title: "What the methods start from",
        body,
    })
}

fn row(ingredient: &Ingredient) -> String {
    let Ingredient { domain, seed, measured, .. } = ingredient;
    let Convergence { steps, slices, dice, accuracy, confidence, calibration_error, .. } = measured;
    let scale = measured.logit_scale.map_or_else(|| "-".to_owned(), |scale| number(scale, 2));
    let unseen = if measured.held_out { "held out" } else { "of the training" };
    let percent = |share: f64| format!("{} %", number(100.0 * share, 1));
    format!(
        "<tr><td class=\"words\">{}</td><td class=\"words\">{}</td><td>{seed}</td><td>{steps}</td><td>{scale}</td>\
         <td class=\"words\">{slices} {unseen}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td class=\"words\">{}</td></tr>\n",
        Text(&ingredient.name()),
        Text(domain),
        number(*dice, 3),
        percent(*accuracy),
        percent(*confidence),
        number(*calibration_error, 3),
        ingredient.fault().unwrap_or("sound"),
    )
}
