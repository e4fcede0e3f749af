//! How far the statistics that batch norm keeps lie from those of the images before it.
use crate::segmenter::LayerStatistics;

/// Below this a variance says nothing.
const SMALLEST: f64 = 1e-5;

/// ln(1 + d) of the mean d over layers and channels of the Kullback-Leibler divergence of the target's
/// Gaussian from the running one, (v / s + (m - r)^2 / s - 1 - ln(v / s)) / 2 with target mean m and variance
/// v, running mean r and variance s.
///
/// A method that re-estimates these statistics makes this small by construction; it tells such methods
/// nothing about themselves.
pub fn distance(running: &[LayerStatistics], target: &[LayerStatistics]) -> f64 {
    let layers = running.iter().zip(target);
    let of_layer = |(running, target): (&LayerStatistics, &LayerStatistics)| {
        let channels = running.mean.iter().zip(&running.variance);
        let channels = channels.zip(target.mean.iter().zip(&target.variance));
        let count = running.mean.len().max(1) as f64;
        channels.map(|((r, s), (m, v))| divergence([*r, *s], [*m, *v])).sum::<f64>() / count
    };
    let mean = layers.map(of_layer).sum::<f64>() / running.len().max(1) as f64;
    mean.ln_1p()
}

fn divergence(running: [f32; 2], target: [f32; 2]) -> f64 {
    let [r, s] = running.map(f64::from);
    let [m, v] = target.map(f64::from);
    let (s, v) = (s.max(SMALLEST), v.max(SMALLEST));
    ((v + (m - r).powi(2)) / s - 1.0 - (v / s).ln()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(mean: f32, variance: f32) -> LayerStatistics {
        LayerStatistics { mean: vec![mean], variance: vec![variance] }
    }

    #[test]
    fn the_divergence_is_that_of_two_gaussians() {
        let running = [layer(0.0, 1.0), layer(1.0, 4.0)];
        assert_eq!(distance(&running, &running), 0.0);
        // (2^2 / 1) / 2 = 2 in the first layer, nothing in the second: a mean of 1.
        let target = [layer(2.0, 1.0), layer(1.0, 4.0)];
        assert!((distance(&running, &target) - 2f64.ln()).abs() < 1e-12);
    }
}
