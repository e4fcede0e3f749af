//! Intensities of the domains: the shift that adaptation is meant to bridge.
use udas_record::Histogram;

use super::{Section, figure};
use crate::Overview;
use crate::markup::Text;
use crate::plot::{Svg, histograms};

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let plots = intensity_plots(overview);
    if plots.is_empty() {
        return None;
    }
    let figures =
        plots.iter().map(|(caption, svg)| figure(&svg.inline(), &Text(caption).to_string()));
    let body = format!(
        "<p>How intensities are distributed in each domain, as the network sees them where it says so. Domains \
         that differ here differ for the network.</p>\n<div class=\"grid\">{}</div>\n",
        figures.collect::<String>()
    );
    Some(Section {
        id: "intensities",
        short: "Intensities",
        title: "Intensities of the domains",
        body,
    })
}

/// A plot for each kind of intensity, with its caption. Source domains come first.
pub(crate) fn intensity_plots(overview: &Overview) -> Vec<(String, Svg)> {
    let sources = overview.sources();
    let drawable = |h: &&Histogram| h.high > h.low && h.counts.iter().any(|count| *count > 0);
    let mut all: Vec<&Histogram> = overview.experiment.histograms.iter().filter(drawable).collect();
    all.sort_by_key(|h| !sources.contains(&h.domain.as_str()));
    let mut kinds: Vec<&str> = all.iter().map(|h| h.intensities.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let plot = |kind: &str| {
        let shown: Vec<&Histogram> =
            all.iter().copied().filter(|h| h.intensities == kind).collect();
        let caption = format!("Intensities, {kind}: {} domains.", shown.len());
        let svg = histograms(&format!("Intensities, {kind}"), &shown);
        (caption, svg)
    };
    kinds.into_iter().map(plot).collect()
}
