//! Dice of two label maps, the mean over the classes that either has.

/// 2 |A and B| / (|A| + |B|), the mean over classes 1 to `classes` that occur in `a` or `b`; none where
/// none does.
pub fn dice(a: &[u8], b: &[u8], classes: usize) -> Option<f64> {
    let mut both = [0u64; 256];
    let mut total = [0u64; 256];
    for (&a, &b) in a.iter().zip(b) {
        total[usize::from(a)] += 1;
        total[usize::from(b)] += 1;
        if a == b {
            both[usize::from(a)] += 1;
        }
    }
    let occurring = (1..=classes.min(255)).filter(|&class| total[class] > 0);
    let (sum, count) = occurring.fold((0.0, 0), |(sum, count), class| {
        (sum + 2.0 * both[class] as f64 / total[class] as f64, count + 1)
    });
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_count_alike_and_absent_ones_not_at_all() {
        assert_eq!(dice(&[0, 0], &[0, 0], 2), None);
        assert_eq!(dice(&[1, 1, 0], &[1, 0, 0], 1), Some(2.0 / 3.0));
        assert_eq!(dice(&[1, 2, 2], &[1, 2, 0], 3), Some((1.0 + 2.0 / 3.0) / 2.0));
    }
}
