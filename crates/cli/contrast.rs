//! What is odd about a volume's intensities before it is normalised.

/// Share of voxels at the largest value beyond which a volume counts as clipped.
const CLIPPED: f64 = 0.005;
/// Share of voxels at either end that a few hot or cold ones may be.
const FEW: f64 = 0.001;
/// Part of the range that all others fill, below which those few take the contrast.
const CROWDED: f64 = 0.05;
/// Percentiles of `--intensity percentile`.
const PERCENTILES: [f64; 2] = [0.01, 0.99];

/// The risks of a volume's intensities in ascending order, in words; they are not all equal.
pub fn risks(sorted: &[f32]) -> Vec<String> {
    let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let at = |share: f64| {
        let place = share * (sorted.len() - 1) as f64;
        sorted.get(place.floor() as usize).copied().unwrap_or(min)
    };
    let mut risks = Vec::new();
    let at_top = sorted.iter().rev().take_while(|&&value| value == max).count();
    if at_top as f64 > CLIPPED * sorted.len() as f64 {
        let share = 100.0 * at_top as f64 / sorted.len() as f64;
        risks.push(format!("{share:.1}% of voxels have the largest value: clipped?"));
    }
    let (low, high) = (at(FEW), at(1.0 - FEW));
    if f64::from(high) - f64::from(low) < CROWDED * (f64::from(max) - f64::from(min)) {
        risks.push(format!(
            "values reach from {min} to {max}, and all but a few lie between {low} and {high}: hot voxels take the contrast \
             of min-max; clip them, or train and predict with --intensity percentile"
        ));
    }
    let [one, other] = PERCENTILES.map(at);
    if one == other {
        risks
            .push(format!("nearly all voxels are {one}: --intensity percentile is refused for it"));
    }
    risks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize, value: impl Fn(usize) -> f32) -> Vec<String> {
        let mut values: Vec<f32> = (0..count).map(value).collect();
        values.sort_unstable_by(f32::total_cmp);
        risks(&values)
    }

    #[test]
    fn hot_and_cold_voxels_are_said_and_ordinary_volumes_are_not() {
        assert!(of(5000, |i| (i % 500) as f32).is_empty());
        for odd in [3e7, -3e7, 1e5] {
            let risks = of(5000, |i| if i == 77 { odd } else { (i % 500) as f32 });
            assert!(risks.len() == 1 && risks[0].contains("hot voxels"), "{risks:?}");
        }
        // Bright vessels are more than a few voxels.
        assert!(
            of(5000, |i| if i % 100 == 0 { 4000.0 + i as f32 } else { (i % 50) as f32 }).is_empty()
        );
    }

    #[test]
    fn volumes_that_are_nearly_empty_and_clipped_ones_are_said() {
        let risks = of(5000, |i| if i % 500 == 0 { 100.0 + i as f32 } else { 0.0 });
        assert!(risks.iter().any(|risk| risk.contains("percentile is refused")), "{risks:?}");
        let risks = of(5000, |i| (i as f32).min(4000.0));
        assert!(risks.len() == 1 && risks[0].contains("clipped"), "{risks:?}");
    }
}
