//! From values to pixels, and round numbers to mark on an axis.

/// A linear axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// An axis over all finite values, widened by a little, drawn between two pixels.
    pub(crate) fn over(values: impl IntoIterator<Item = f64>, [from, to]: [f64; 2]) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let bounds = finite.fold(None, |bounds, value| match bounds {
            None => Some((value, value)),
            Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
        });
        let (low, high) = bounds.unwrap_or((0.0, 1.0));
        let least = 1e-3f64.max(low.abs().max(high.abs()) * 1e-6);
        let margin = (0.04 * (high - low)).max(least);
        Self { low: low - margin, high: high + margin, from, to }
    }

    /// An axis between two values, drawn between two pixels.
    pub(crate) fn between([low, high]: [f64; 2], [from, to]: [f64; 2]) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    /// The pixel of a value; values outside stay at the edge.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + part * (self.to - self.from)
    }

    /// Whether a value lies on the axis.
    pub(crate) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// About `wanted` round values on the axis, and how to print them.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough * 0.99).unwrap_or(power);
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let first = (self.low / step).ceil();
        let last = (self.high / step).floor();
        let count = (last - first).clamp(0.0, 50.0) as usize;
        let values = (0..=count).map(|i| (first + i as f64) * step);
        values.filter(|v| self.holds(*v)).map(|v| (v, tick(v, decimals))).collect()
    }
}

fn tick(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e6 { format!("{value:e}") } else { crate::markup::number(value, decimals) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::between([0.0, 1.0], [0.0, 100.0]);
        let ticks: Vec<String> = scale.ticks(5).into_iter().map(|t| t.1).collect();
        assert_eq!(ticks, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let scale = Scale::between([-0.37, 0.11], [0.0, 100.0]);
        let ticks: Vec<String> = scale.ticks(4).into_iter().map(|t| t.1).collect();
        assert_eq!(ticks, ["−0.2", "0.0"]);
    }

    #[test]
    fn constant_and_absent_values_make_an_axis_too() {
        for values in [vec![], vec![3.0], vec![f64::NAN, f64::INFINITY]] {
            let scale = Scale::over(values, [10.0, 0.0]);
            assert!(scale.at(3.0).is_finite() && !scale.ticks(4).is_empty());
        }
    }
}
