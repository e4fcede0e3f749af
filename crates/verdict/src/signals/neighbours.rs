//! Whether a slice's prediction goes on in the next slice, as anatomy does.
use crate::overlap::dice;

/// Dice of the labels of neighbouring slices, all pairs pooled; none without pairs, 0 without foreground.
pub fn agreement(
    labels: &[u8],
    pixels: usize,
    neighbours: &[[usize; 2]],
    classes: usize,
) -> Option<f64> {
    if neighbours.is_empty() {
        return None;
    }
    let side = |which: usize| {
        let slices: Vec<usize> = neighbours.iter().map(|pair| pair[which]).collect();
        crate::sample::chosen(labels, pixels, &slices)
    };
    Some(dice(&side(0), &side(1), classes).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_pooled() {
        // Slices of two pixels: (1, 1) beside (1, 0), and (0, 0) beside (0, 1).
        let labels = [1, 1, 1, 0, 0, 0, 0, 1];
        let pairs = [[0, 1], [2, 3]];
        assert_eq!(agreement(&labels, 2, &pairs, 1), Some(2.0 / 4.0));
        assert_eq!(agreement(&labels, 2, &[], 1), None);
        assert_eq!(agreement(&[0; 8], 2, &pairs, 1), Some(0.0));
    }
}
