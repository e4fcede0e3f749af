//! What the processor can do at most: the measure that kernels' speed is told against.
use crate::simd::{InstructionSet, Job, Lanes};
use std::hint::black_box;
use std::time::Instant;

/// Independent sums: enough to hide the latency of a multiply-add on two units.
const SUMS: usize = 12;
/// Multiply-adds of each sum in one measurement.
const STEPS: usize = 1 << 22;

/// Operations a second of fused multiply-adds in registers, on `threads` threads at once; a multiply-add
/// counts as two. The best of five measurements of some milliseconds.
pub fn peak_flops(threads: usize) -> f64 {
    let set = InstructionSet::current();
    let measure = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| set.run(MultiplyAdd));
            }
        });
        (threads * set.lanes() * SUMS * STEPS * 2) as f64 / start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| measure()).fold(0.0, f64::max)
}

struct MultiplyAdd;

impl Job for MultiplyAdd {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        // SAFETY: `InstructionSet::run` chose a set that the processor has; `lanes` holds a vector of any.
        unsafe {
            let (factor, term) = (L::splat(black_box(0.5)), L::splat(black_box(1.0)));
            let mut sums = [term; SUMS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = L::fma(*sum, factor, term);
                }
            }
            let mut lanes = [0.0f32; 16];
            for sum in sums {
                L::store(lanes.as_mut_ptr(), sum);
                black_box(&lanes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_a_positive_number() {
        let peak = peak_flops(1);
        assert!(peak.is_finite() && peak > 1e8, "{peak}");
    }
}
