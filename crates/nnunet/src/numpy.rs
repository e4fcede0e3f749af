//! Sums of f32 in numpy's order: their last digits are part of what a network was trained on.

/// Values that numpy adds up in one run.
const RUN: usize = 128;

/// Values of the buffer through which numpy takes an array that does not lie in one piece (numpy 2.3 and later).
const BUFFER: usize = 8192;

/// The pairwise sum of values that lie in one piece.
pub(crate) fn sum(values: &[f32]) -> f32 {
    let count = values.len();
    if count < 8 {
        return values.iter().fold(-0.0, |sum, value| sum + value);
    }
    if count > RUN {
        let half = count / 2 - count / 2 % 8;
        return sum(&values[..half]) + sum(&values[half..]);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut r = [-0.0f32; 8];
    for eight in eights {
        for (sum, value) in r.iter_mut().zip(eight) {
            *sum += value;
        }
    }
    let sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    rest.iter().fold(sum, |sum, value| sum + value)
}

/// The sum over a box cut out of a larger array; `values` are the box's alone, `whole` the array's shape.
pub(crate) fn sum_of_box(values: &[f32], shape: [usize; 3], whole: [usize; 3]) -> f32 {
    let run = run_length(shape, whole);
    if run.0 >= values.len() {
        return 0.0 + sum(values);
    }
    let (run, period) = run;
    let periods = values.chunks(period);
    periods.flat_map(|period| period.chunks(run)).fold(0.0, |total, run| total + sum(run))
}

/// How many values are added up in one run, and after how many a new run begins in any case.
fn run_length(shape: [usize; 3], whole: [usize; 3]) -> (usize, usize) {
    // Axes from the inside out that do not lie in one piece: size and step.
    let mut axes: Vec<(usize, usize)> = Vec::new();
    let mut step = 1;
    for axis in (0..3).rev() {
        match axes.last_mut() {
            _ if shape[axis] == 1 => {}
            Some((size, inner)) if *size * *inner == step => *size *= shape[axis],
            _ => axes.push((shape[axis], step)),
        }
        step *= whole[axis];
    }
    let sizes: Vec<usize> = axes.into_iter().map(|(size, _)| size).collect();
    let Some((&inner, outer)) = sizes.split_first() else { return (usize::MAX, usize::MAX) };
    let mut core = inner;
    if inner > BUFFER {
        return (inner, inner);
    }
    for &size in outer {
        if core * size > BUFFER {
            return (BUFFER / core * core, core * size);
        }
        core *= size;
    }
    (usize::MAX, usize::MAX)
}

/// Mean and population deviation of a box cut out of a larger array.
pub(crate) fn mean_and_deviation(
    values: &[f32],
    shape: [usize; 3],
    whole: [usize; 3],
) -> (f32, f32) {
    let count = values.len() as f32;
    let mean = sum_of_box(values, shape, whole) / count;
    // Differences are a new array, which lies in one piece.
    let squares: Vec<f32> = values.iter().map(|value| (value - mean) * (value - mean)).collect();
    (mean, (sum(&squares) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_cut_as_numpy_cuts_them() {
        for (shape, whole, run) in [
            ([16, 34, 285], [20, 40, 300], (28 * 285, 34 * 285)),
            ([16, 27, 300], [20, 40, 300], (27 * 300, 16 * 27 * 300)),
            ([16, 37, 300], [20, 40, 300], (37 * 300, 37 * 300)),
            ([20, 40, 6], [20, 40, 300], (usize::MAX, usize::MAX)),
            ([60, 50, 70], [70, 60, 80], (2 * 50 * 70, 60 * 50 * 70)),
            ([1, 300, 290], [1, 310, 300], (28 * 290, 300 * 290)),
        ] {
            assert_eq!(run_length(shape, whole), run, "{shape:?} of {whole:?}");
        }
        // In one piece there is one axis.
        assert_eq!(run_length([20, 40, 300], [20, 40, 300]).0, 240_000);
        assert_eq!(run_length([5, 40, 300], [20, 40, 300]).0, 60_000);
    }
}
