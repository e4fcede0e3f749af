//! How well one number speaks of another: the area under the ROC curve, and Pearson's correlation.
use super::mean;

/// Chance that a positive has a higher score than a negative, ties counted half: the area under the ROC curve
/// (J. Hanley and B. McNeil, Radiology 143, 1982). None where either is missing.
///
/// ```
/// use udas_metrics::statistics::auroc;
///
/// assert_eq!(auroc(&[0.9, 0.5], &[0.1, 0.5]), Some(3.5 / 4.0));
/// ```
pub fn auroc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    let pairs = positives.len() * negatives.len();
    let wins = |p: &f64| -> f64 {
        let of = |n: &f64| if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 };
        negatives.iter().map(of).sum()
    };
    (pairs > 0).then(|| positives.iter().map(wins).sum::<f64>() / pairs as f64)
}

/// Pearson's correlation of pairs; none for fewer than two, or where one side never changes.
pub fn correlation(pairs: &[[f64; 2]]) -> Option<f64> {
    let side = |index: usize| -> Vec<f64> { pairs.iter().map(|pair| pair[index]).collect() };
    let centred = |values: Vec<f64>| -> Vec<f64> {
        let mean = mean(&values);
        values.into_iter().map(|value| value - mean).collect()
    };
    let (x, y) = (centred(side(0)), centred(side(1)));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = product(&x, &x) * product(&y, &y);
    (pairs.len() > 1 && spread > 0.0).then(|| product(&x, &y) / spread.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted() {
        assert_eq!(auroc(&[1.0, 2.0], &[0.0]), Some(1.0));
        assert_eq!(auroc(&[0.0], &[1.0, 2.0]), Some(0.0));
        assert_eq!(auroc(&[], &[0.1]), None);
        assert_eq!(auroc(&[0.1], &[]), None);
    }

    #[test]
    fn correlation_is_that_of_the_definition() {
        let close = |pairs: &[[f64; 2]], expected: f64| {
            let found = correlation(pairs).unwrap();
            assert!((found - expected).abs() < 1e-12, "{found}");
        };
        close(&[[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], 1.0);
        close(&[[1.0, 5.0], [2.0, 3.0]], -1.0);
        // By hand: deviations -1, 0, 1 and -1/3, 2/3, -1/3.
        close(&[[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], 0.0);
        assert_eq!(correlation(&[[1.0, 2.0]]), None);
        assert_eq!(correlation(&[[1.0, 2.0], [1.0, 3.0]]), None);
    }
}
