//! Ridge regression on standardized columns, and the quantile that makes an interval of residuals.

/// Of each column's own square sum: enough to keep columns that say the same from fighting.
const RIDGE: f64 = 0.01;
/// A column that spreads no more than this says nothing.
const LEAST_SPREAD: f64 = 1e-12;

/// A linear mapping of standardized columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    /// Centre and spread of each column.
    pub scale: Vec<[f64; 2]>,
    /// Weight of each standardized column.
    pub weights: Vec<f64>,
    /// What is predicted at the columns' centres.
    pub intercept: f64,
}

impl Ridge {
    /// Fits `y` to `rows` (Hoerl and Kennard 1970). A column of one value gets no weight.
    pub fn fit(rows: &[Vec<f64>], y: &[f64]) -> Self {
        let n = rows.len().max(1) as f64;
        let mean = |of: &dyn Fn(usize) -> f64| (0..rows.len()).map(of).sum::<f64>() / n;
        let scale = (0..rows.first().map_or(0, Vec::len))
            .map(|column| {
                let centre = mean(&|row| rows[row][column]);
                [centre, mean(&|row| (rows[row][column] - centre).powi(2)).sqrt()]
            })
            .collect();
        Self::with(scale, mean(&|row| y[row]), rows, y, &vec![1.0; rows.len()])
    }

    /// The same without an intercept, and with a weight for each row: zeros are predicted to be zero.
    pub fn through_origin(rows: &[Vec<f64>], y: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let square = |column: usize| {
            rows.iter().zip(weights).map(|(row, w)| w * row[column].powi(2)).sum::<f64>() / total
        };
        let columns = rows.first().map_or(0, Vec::len);
        let scale = (0..columns).map(|column| [0.0, square(column).sqrt()]).collect();
        Self::with(scale, 0.0, rows, y, weights)
    }

    fn with(
        scale: Vec<[f64; 2]>,
        intercept: f64,
        rows: &[Vec<f64>],
        y: &[f64],
        weights: &[f64],
    ) -> Self {
        let columns = scale.len();
        let mut normal = vec![vec![0.0; columns]; columns];
        let mut right = vec![0.0; columns];
        for ((row, y), weight) in rows.iter().zip(y).zip(weights) {
            let row = standardized(row, &scale);
            for i in 0..columns {
                right[i] += weight * row[i] * (y - intercept);
                (0..columns).for_each(|j| normal[i][j] += weight * row[i] * row[j]);
            }
        }
        let total = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        (0..columns).for_each(|i| normal[i][i] += RIDGE * total);
        Self { scale, weights: solve(normal, right), intercept }
    }

    /// The prediction for a row.
    pub fn predict(&self, row: &[f64]) -> f64 {
        let row = standardized(row, &self.scale);
        self.intercept + row.iter().zip(&self.weights).map(|(x, w)| x * w).sum::<f64>()
    }

    /// What one unit of each column adds.
    pub fn slopes(&self) -> Vec<f64> {
        let slope = |(weight, [_, spread]): (&f64, &[f64; 2])| {
            if *spread > LEAST_SPREAD { weight / spread } else { 0.0 }
        };
        self.weights.iter().zip(&self.scale).map(slope).collect()
    }
}

fn standardized(row: &[f64], scale: &[[f64; 2]]) -> Vec<f64> {
    let of = |(x, [centre, spread]): (&f64, &[f64; 2])| {
        if *spread > LEAST_SPREAD { (x - centre) / spread } else { 0.0 }
    };
    row.iter().zip(scale).map(of).collect()
}

/// Gauss's elimination for a symmetric positive definite matrix, which needs no pivoting.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        let pivot = a[i].clone();
        for row in i + 1..n {
            let factor = a[row][i] / pivot[i];
            let columns = a[row].iter_mut().zip(&pivot).skip(i);
            columns.for_each(|(value, above)| *value -= factor * above);
            b[row] -= factor * b[i];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b
}

/// The value that at least the share `level` of future absolute residuals stays below, if they are drawn as
/// these were: the ceil((n + 1) level)-th smallest, the largest where there are too few; 1 where there are none. With
/// residuals of groups that were left out in turn this is cross-conformal (Vovk 2015; Barber et al. 2021, CV+:
/// guaranteed for 2 level - 1 only, close to `level` as a rule).
pub fn half_width(residuals: &[f64], level: f64) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = ((sizes.len() + 1) as f64 * level).ceil() as usize;
    sizes.get(rank.clamp(1, sizes.len().max(1)) - 1).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_relation_is_recovered() {
        // Two columns without correlation, and one that never changes.
        let rows: Vec<Vec<f64>> =
            (0..64).map(|i| vec![f64::from(i % 8), f64::from(i / 8) * 10.0, 3.0]).collect();
        let truth = |row: &[f64]| 0.2 + 0.05 * row[0] - 0.004 * row[1];
        let y: Vec<f64> = rows.iter().map(|row| truth(row)).collect();
        let ridge = Ridge::fit(&rows, &y);
        for row in &rows {
            assert!((ridge.predict(row) - truth(row)).abs() < 0.005);
        }
        // By its definition, the ridge takes one part in 101 from each weight.
        let slope = ridge.weights[0] / ridge.scale[0][1];
        assert!((slope - 0.05 / 1.01).abs() < 1e-12, "{slope}");
        assert_eq!(ridge.weights[2], 0.0);
    }

    #[test]
    fn columns_that_say_the_same_share_their_weight() {
        let rows: Vec<Vec<f64>> = (0..10).map(|i| vec![f64::from(i), f64::from(i)]).collect();
        let y: Vec<f64> = (0..10).map(f64::from).collect();
        let ridge = Ridge::fit(&rows, &y);
        assert!((ridge.weights[0] - ridge.weights[1]).abs() < 1e-9);
    }

    #[test]
    fn through_the_origin_heavy_rows_decide() {
        // Of two slopes, the one whose rows weigh a hundred times as much.
        let rows: Vec<Vec<f64>> = (1..=20).map(|i| vec![f64::from(i % 10 + 1), 0.0]).collect();
        let y: Vec<f64> = (0..20).map(|i| rows[i][0] * if i < 10 { 0.3 } else { -0.2 }).collect();
        let weights: Vec<f64> = (0..20).map(|i| if i < 10 { 100.0 } else { 1.0 }).collect();
        let ridge = Ridge::through_origin(&rows, &y, &weights);
        let expected = (100.0 * 0.3 - 0.2) / 101.0 / 1.01;
        assert!((ridge.slopes()[0] - expected).abs() < 1e-12, "{:?}", ridge.slopes());
        assert_eq!((ridge.predict(&[0.0, 0.0]), ridge.slopes()[1]), (0.0, 0.0));
    }

    #[test]
    fn the_interval_counts_one_more_than_it_has() {
        let residuals = [0.1, -0.2, 0.3, -0.4];
        assert_eq!(half_width(&residuals, 0.6), 0.3);
        assert_eq!(half_width(&residuals, 0.9), 0.4);
        assert_eq!(half_width(&[], 0.9), 1.0);
    }
}
