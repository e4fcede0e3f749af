//! Histograms of several domains over one axis, as outlines with a light filling.
use super::{Anchor, At, Scale, Svg};
use udas_record::Histogram;

/// Shares of voxels over intensity; the first histogram is the source.
pub(crate) fn histograms(title: &str, shown: &[&Histogram]) -> Svg {
    let (width, left, right) = (520.0, 44.0, 512.0);
    let top = 10.0 + 16.0 * shown.len() as f64;
    let bottom = top + 170.0;
    let description = shown.iter().map(|h| words(h)).collect::<Vec<_>>().join("; ");
    let mut svg = Svg::new(width, bottom + 40.0, title, &description);
    let x = Scale::between(range(shown), [left, right]);
    let highest = shown.iter().flat_map(|h| density(h)).fold(0.0, f64::max);
    let y = Scale::between([0.0, highest * 1.05], [bottom, top]);
    for (index, histogram) in shown.iter().enumerate() {
        let key = 6.0 + 16.0 * index as f64;
        svg.rect(&format!("f s{}", index + 1), [left, key], [14.0, 4.0], "");
        svg.text("k", [left + 20.0, key + 6.0], Anchor::Start, &histogram.domain);
        let data = outline(histogram, &x, &y);
        let class = format!("s{}", index + 1);
        svg.path(&format!("area {class}"), &data, "");
        svg.path(&format!("l {class}"), &data, &words(histogram));
    }
    svg.line("g", [left, bottom], [right, bottom]);
    for (value, text) in x.ticks(6) {
        svg.text("k", [x.at(value), bottom + 15.0], Anchor::Middle, &text);
    }
    let axis = shown.first().map_or("intensity", |h| h.intensities.as_str());
    svg.text("t", [(left + right) / 2.0, bottom + 33.0], Anchor::Middle, axis);
    svg.vertical_text([left - 14.0, (top + bottom) / 2.0], "density of voxels");
    svg
}

fn range(shown: &[&Histogram]) -> [f64; 2] {
    let low = shown.iter().map(|h| h.low).fold(f64::INFINITY, f64::min);
    let high = shown.iter().map(|h| h.high).fold(f64::NEG_INFINITY, f64::max);
    if low.is_finite() && high.is_finite() { [low, high] } else { [0.0, 1.0] }
}

/// Share of voxels per unit of intensity, so that bins of unequal width compare.
fn density(histogram: &Histogram) -> Vec<f64> {
    let total: u64 = histogram.counts.iter().sum();
    let width = (histogram.high - histogram.low) / histogram.counts.len().max(1) as f64;
    let scale = 1.0 / (total.max(1) as f64 * width.max(f64::MIN_POSITIVE));
    histogram.counts.iter().map(|count| *count as f64 * scale).collect()
}

fn outline(histogram: &Histogram, x: &Scale, y: &Scale) -> String {
    let step = (histogram.high - histogram.low) / histogram.counts.len().max(1) as f64;
    let mut data = format!("M{} {}", At(x.at(histogram.low)), At(y.at(0.0)));
    for (index, value) in density(histogram).into_iter().enumerate() {
        let end = histogram.low + step * (index + 1) as f64;
        data += &format!("V{}H{}", At(y.at(value)), At(x.at(end)));
    }
    data + &format!("V{}", At(y.at(0.0)))
}

/// Quartiles in words.
fn words(histogram: &Histogram) -> String {
    let total: u64 = histogram.counts.iter().sum();
    let step = (histogram.high - histogram.low) / histogram.counts.len().max(1) as f64;
    let quantile = |part: f64| {
        let mut below = 0;
        let reached = |count: &u64| {
            below += count;
            below as f64 >= part * total as f64
        };
        let bin = histogram.counts.iter().position(reached).unwrap_or(0);
        histogram.low + (bin as f64 + 0.5) * step
    };
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(quantile);
    format!("{}: quartiles {lower:.3}, {median:.3}, {upper:.3}", histogram.domain)
}
