//! Steady-state signal equations of the sequences: spoiled, inversion-prepared and balanced gradient echo.
//!
//! Every function returns the transverse magnetisation at the echo for unit receive sensitivity, in
//! units of the equilibrium magnetisation of water. Signed: an inverted tissue is negative, so that the
//! tissues of one voxel cancel as they do in a scanner before the magnitude is taken.

use crate::tissue::Properties;

/// Timing of an inversion-prepared gradient-echo train, one cycle of which is
/// inversion, delay, readouts, recovery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InversionTrain {
    /// From the inversion to the first excitation, ms.
    pub delay_ms: f32,
    /// Excitations in a train; the middle one fills the centre of k-space.
    pub readouts: u16,
    /// From one excitation to the next, ms.
    pub spacing_ms: f32,
    /// From the end of the train to the next inversion, ms.
    pub recovery_ms: f32,
}

impl InversionTrain {
    /// The train given as MP-RAGE protocols give it: cycle time TR, and TI from the inversion to the
    /// centre of k-space in the middle of the train.
    pub const fn centred(cycle_ms: f32, ti_ms: f32, readouts: u16, spacing_ms: f32) -> Self {
        let length_ms = readouts as f32 * spacing_ms;
        let delay_ms = ti_ms - 0.5 * length_ms;
        Self { delay_ms, readouts, spacing_ms, recovery_ms: cycle_ms - delay_ms - length_ms }
    }
}

/// Spoiled gradient echo in its steady state (Ernst, Anderson, Rev Sci Instrum 37:93, 1966).
pub fn spoiled(tissue: &Properties, tr_ms: f32, te_ms: f32, flip_rad: f32) -> f32 {
    let e1 = (-tr_ms / tissue.t1_ms).exp();
    let saturation = (1.0 - e1) / (1.0 - flip_rad.cos() * e1);
    tissue.proton_density * flip_rad.sin() * saturation * (-te_ms / tissue.t2_star_ms).exp()
}

/// Inversion-prepared spoiled gradient echo (MP-RAGE, IR-SPGR) in the steady state of its cycles.
///
/// Within the train the longitudinal magnetisation follows `m' = m cos(flip) E + (1 - E)` from pulse to
/// pulse; the state before the inversion repeats from cycle to cycle (Deichmann et al., NeuroImage 12:112,
/// 2000; Wang et al., PLoS ONE 9:e96899, 2014). The inversion is complete.
pub fn inversion_prepared(
    tissue: &Properties,
    train: &InversionTrain,
    te_ms: f32,
    flip_rad: f32,
) -> f32 {
    let decay = |time_ms: f32| (-time_ms / tissue.t1_ms).exp();
    let (delay, step, recovery) =
        (decay(train.delay_ms), decay(train.spacing_ms), decay(train.recovery_ms));
    let factor = flip_rad.cos() * step;
    let driven = (1.0 - step) / (1.0 - factor);
    let (whole, half) =
        (factor.powi(i32::from(train.readouts)), factor.powi(i32::from(train.readouts / 2)));
    // With m before the inversion: start = 1 - (1 + m) delay; end = start whole + driven (1 - whole);
    // m = 1 - (1 - end) recovery. Linear in m.
    let constant = 1.0 - recovery + recovery * ((1.0 - delay) * whole + driven * (1.0 - whole));
    let before = constant / (1.0 + recovery * whole * delay);
    let start = 1.0 - (1.0 + before) * delay;
    let centre = start * half + driven * (1.0 - half);
    tissue.proton_density * flip_rad.sin() * centre * (-te_ms / tissue.t2_star_ms).exp()
}

/// Balanced steady-state free precession with alternating pulses and the echo at half the repetition time
/// (Freeman, Hill, J Magn Reson 4:366, 1971), along the phase of water on resonance.
///
/// `off_resonance_hz` includes the tissue's chemical shift. Every 1/TR the sign alternates, with a dark
/// band at the change.
pub fn balanced(tissue: &Properties, tr_ms: f32, flip_rad: f32, off_resonance_hz: f32) -> f32 {
    let (e1, e2) = ((-tr_ms / tissue.t1_ms).exp(), (-tr_ms / tissue.t2_ms).exp());
    let (sin_flip, cos_flip) = flip_rad.sin_cos();
    let precession = std::f32::consts::TAU * off_resonance_hz * tr_ms * 1e-3;
    let (sin, cos) = (precession + std::f32::consts::PI).sin_cos();
    let denominator = (1.0 - e1 * cos_flip) * (1.0 - e2 * cos) - e2 * (e1 - cos_flip) * (e2 - cos);
    let scale = tissue.proton_density * (1.0 - e1) * sin_flip / denominator;
    let (across, along) = (scale * e2 * sin, scale * (1.0 - e2 * cos));
    // From the pulse to the echo the spins turn by half of the precession.
    let (turn_sin, turn_cos) = (0.5 * precession).sin_cos();
    (along * turn_cos - across * turn_sin) * (-0.5 * tr_ms / tissue.t2_ms).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Properties = Properties {
        t1_ms: 800.0,
        t2_ms: 80.0,
        t2_star_ms: 50.0,
        proton_density: 0.7,
        shift_ppm: 0.0,
    };

    #[test]
    fn spoiled_peaks_at_the_ernst_angle() {
        let e1 = (-10.0_f32 / 800.0).exp();
        let ernst = e1.acos();
        let peak = spoiled(&WHITE, 10.0, 0.0, ernst);
        // At the Ernst angle the signal is sqrt((1 - E1) / (1 + E1)).
        assert!((peak - 0.7 * ((1.0 - e1) / (1.0 + e1)).sqrt()).abs() < 1e-5);
        assert!(peak > spoiled(&WHITE, 10.0, 0.0, ernst * 1.1));
        assert!(peak > spoiled(&WHITE, 10.0, 0.0, ernst * 0.9));
    }

    #[test]
    fn inversion_train_repeats_the_cycle_it_was_solved_for() {
        let train = InversionTrain::centred(2300.0, 900.0, 160, 7.0);
        let flip = 9.0_f32.to_radians();
        let (relax, step) = (|m: f32, t: f32| 1.0 - (1.0 - m) * (-t / 800.0).exp(), 7.0);
        let mut m = 1.0_f32;
        let mut centre = 0.0;
        for _ in 0..20 {
            m = relax(-m, train.delay_ms);
            for pulse in 0..train.readouts {
                if pulse == train.readouts / 2 {
                    centre = m;
                }
                m = relax(m * flip.cos(), step);
            }
            m = relax(m, train.recovery_ms);
        }
        let expected = 0.7 * flip.sin() * centre * (-3.0_f32 / 50.0).exp();
        let closed = inversion_prepared(&WHITE, &train, 3.0, flip);
        assert!((closed - expected).abs() < 1e-5, "{closed} {expected}");
        assert!((train.delay_ms + 80.0 * 7.0 - 900.0).abs() < 1e-3);
    }

    #[test]
    fn inversion_nulls_at_t1_ln_2() {
        let train = InversionTrain {
            delay_ms: 800.0 * 2.0_f32.ln(),
            readouts: 0,
            spacing_ms: 5.0,
            recovery_ms: 1e5,
        };
        assert!(inversion_prepared(&WHITE, &train, 0.0, 0.1).abs() < 1e-6);
    }

    #[test]
    fn balanced_on_resonance_is_the_closed_form() {
        let (tr, flip) = (3.0_f32, 60.0_f32.to_radians());
        let (e1, e2) = ((-tr / 800.0).exp(), (-tr / 80.0).exp());
        let expected = 0.7 * (1.0 - e1) * flip.sin() / (1.0 - (e1 - e2) * flip.cos() - e1 * e2)
            * (-0.5 * tr / 80.0).exp();
        assert!((balanced(&WHITE, tr, flip, 0.0) - expected).abs() < 1e-5);
    }

    #[test]
    fn balanced_has_bands_and_alternates_sign() {
        let (tr, flip) = (4.0, 1.0);
        let centre = balanced(&WHITE, tr, flip, 0.0);
        assert!(balanced(&WHITE, tr, flip, 125.0).abs() < 0.1 * centre);
        let next = balanced(&WHITE, tr, flip, 250.0);
        assert!((next + centre).abs() < 1e-3 * centre);
    }
}
