//! Predicted volumes: often what a study wants, and a check that works without labels.
use udas_record::{Better, Class, MetricDescription};

use super::{Section, folded};
use crate::Overview;
use crate::analysis::{Cell, cell};
use crate::index::Selection;
use crate::markup::Text;
use crate::plot::{Moved, Svg, scatter};

const PREDICTED: &str = "prediction_volume_ml";
const TRUE: &str = "truth_volume_ml";

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let mut parts = Vec::new();
    for pair in &overview.pairs {
        let plots: String = volume_plots(overview, *pair).iter().map(Svg::inline).collect();
        if !plots.is_empty() {
            parts.push((overview.pair_name(*pair), format!("<div class=\"grid\">{plots}</div>")));
        }
    }
    if parts.is_empty() {
        return None;
    }
    let mut body = format!(
        "<p>{}: volumes in ml, <span class=\"ring\"></span> before and <span class=\"dot\"></span> after, \
         mean over seeds. On the dashed line volumes are equal; a line connects the two of a subject.</p>\n",
        Text(&overview.focus.title)
    );
    for (index, (name, plots)) in parts.iter().enumerate() {
        body += &folded(name, plots, index == 0);
    }
    Some(Section { id: "volumes", short: "Volumes", title: "Predicted volumes", body })
}

/// A plot for each class of the method in question on one target.
pub(crate) fn volume_plots<'a>(overview: &Overview<'a>, pair: (&'a str, &'a str)) -> Vec<Svg> {
    let classes = &overview.experiment.data.classes;
    classes.iter().filter_map(|class| volume_plot(overview, pair, class)).collect()
}

fn volume_plot<'a>(
    overview: &Overview<'a>,
    pair: (&'a str, &'a str),
    class: &Class,
) -> Option<Svg> {
    let predicted = column(overview, pair, &class.label, PREDICTED)?;
    let truth = column(overview, pair, &class.label, TRUE);
    let points: Vec<Moved> = predicted
        .subjects
        .iter()
        .filter_map(|subject| {
            let (before, to) = (subject.before.finite(), subject.after.finite()?);
            let known = truth.as_ref().and_then(|cell| {
                cell.subjects.iter().find(|s| s.name == subject.name)?.after.finite()
            });
            Some(match known {
                Some(x) => Moved { name: subject.name, x, from: before, to },
                None => Moved { name: subject.name, x: before?, from: None, to },
            })
        })
        .collect();
    let axes = if truth.is_some() {
        ["true volume, ml", "predicted volume, ml"]
    } else {
        ["volume before, ml", "volume after, ml"]
    };
    (!points.is_empty()).then(|| scatter(&class.name, axes, &points))
}

fn column<'a>(
    overview: &Overview<'a>,
    pair: (&'a str, &'a str),
    class: &str,
    name: &str,
) -> Option<Cell<'a>> {
    let metric = MetricDescription {
        name: name.into(),
        title: String::new(),
        better: Better::Higher,
        smallest_change: 0.0,
        unit: "ml".into(),
    };
    let selection = Selection { metric: &metric, class: Some(class) };
    cell(&overview.index, pair, overview.focus, selection)
}
