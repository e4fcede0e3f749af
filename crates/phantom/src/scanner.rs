//! The scanners: sequence timing, grid, coil, sharpness and noise of every domain, with their sources.
//!
//! Fixed before any segmentation method was run on the phantom; not tuned to one.
//!
//! # Heads: the six domains of CC-359
//!
//! Souza et al. (NeuroImage 170:482, 2018) describe MP-RAGE on Philips and Siemens and a T1-weighted spoiled
//! gradient echo on GE, sagittal, about 1 mm; 0.889 mm in-plane at Philips 1.5 T and 1.33 mm thick slices at
//! Siemens 1.5 T are read from the files. What that paper leaves open is filled from protocols published
//! for the same vendor and field:
//!
//! | domain | sequence and times (ms) | source |
//! |---|---|---|
//! | GE_15 | spoiled, TR 13, TE 5, 20 degrees | MS-SMART trial protocol, table 4 (Connick et al., BMJ Open 8:e021944, 2018), without its inversion |
//! | GE_3 | IR-SPGR, preparation 400, echo spacing 7.4, TE 3.1 | Calgary-Campinas raw data (ccdataset.com); 11 degrees from ADNI-2's IR-SPGR |
//! | Philips_15 | MP-RAGE, TI 950, echo spacing 12, TE 4 | MS-SMART; 8 degrees as in IXI (Guy's, Philips 1.5 T) |
//! | Philips_3 | MP-RAGE, TI 830, echo spacing 6.9, TE 3.2 | MS-SMART; 9 degrees from ADNI-2 |
//! | Siemens_15 | MP-RAGE, TR 2400, TI 1000, TE 3.5, 8 degrees | MS-SMART and ADNI-1 (Jack et al., J Magn Reson Imaging 27:685, 2008) |
//! | Siemens_3 | MP-RAGE, TR 2300, TI 900, TE 2.98, 9 degrees | ADNI-1 and ADNI-2 at 3 T |
//!
//! *Typical protocol values*, not cited ones: the Siemens echo spacings (8 and 7.1 ms), the readouts per
//! inversion, the Philips shot interval of 3 s, the GE train without recovery, slice counts, coil layouts and
//! what the vendor's intensity correction leaves of their shading, sharpness, signal-to-noise ratios, intensity
//! scales. Transmit field: about 20 % from the centre to the surface of a head at 3 T and a quarter of that at
//! 1.5 T, after Collins et al., J Magn Reson Imaging 21:192 (2005).
//!
//! # Hearts: the four vendors of M&Ms
//!
//! Campello et al. (IEEE Trans Med Imaging 40:3543, 2021) give the scanners, the mean in-plane spacing and
//! slice thickness; these four are at 1.5 T: Siemens Avanto 1.32 and 9.2 mm, Philips Achieva 1.20 and 9.9 mm, GE Signa
//! Excite 1.36 and 10 mm, Canon Vantage Orian 0.85 and 10 mm, and the numbers of slices and frames. Balanced
//! SSFP at TR 2.9-4.2 ms and 45-70 degrees: *typical* for TrueFISP, b-FFE, FIESTA and True SSFP. Off-resonance:
//! a spread of about 70 Hz from peak to peak over the heart at 1.5 T (Reeder et al., Magn Reson Med 39:988,
//! 1998). Coils, sharpness, signal-to-noise ratios and intensity scales are *typical*.

use crate::signal::{InversionTrain, balanced, inversion_prepared, spoiled};
use crate::tissue::{FieldStrength, Tissue};

/// Sequence of a head scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadSequence {
    /// Spoiled gradient echo with its repetition time in ms.
    Spoiled {
        /// Repetition time, ms.
        tr_ms: f32,
    },
    /// Inversion-prepared trains of spoiled gradient echoes.
    InversionPrepared(InversionTrain),
}

/// Receive coil: loops on an elliptic cylinder around the object, combined as the root of the sum of squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coil {
    /// Loops around the object, in each of two rings.
    pub loops: u8,
    /// Radius of a loop, mm: the smaller, the steeper the shading.
    pub loop_radius_mm: f32,
    /// Exponent of the shading left by the vendor's correction: 0 none, 1 all.
    pub residual: f32,
}

/// One domain of the head task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadScanner {
    /// Domain name as in CC-359's folders.
    pub name: &'static str,
    /// Vendor as in CC-359's file names.
    pub vendor: &'static str,
    /// Field strength; `15` and `3` in CC-359's names.
    pub field: FieldStrength,
    /// Timing.
    pub sequence: HeadSequence,
    /// Echo time, ms.
    pub te_ms: f32,
    /// Nominal flip angle, degrees.
    pub flip_deg: f32,
    /// Voxels of a full scan: sagittal slices, anterior-posterior, inferior-superior.
    pub size: [usize; 3],
    /// Voxel size of a full scan, mm.
    pub spacing_mm: [f32; 3],
    /// Relative change of the transmit field from the head's centre to its surface.
    pub transmit_variation: f32,
    /// Receive coil.
    pub coil: Coil,
    /// Full width at half maximum of the point spread, in voxels per axis.
    pub blur_voxels: [f32; 3],
    /// Mean of white matter over the standard deviation of the noise.
    pub snr: f32,
    /// Grey level that white matter is scaled to.
    pub white_level: f32,
}

/// One domain of the heart task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeartScanner {
    /// Vendor letter as in M&Ms, also the domain's name.
    pub name: &'static str,
    /// Manufacturer as in M&Ms' table.
    pub vendor: &'static str,
    /// Centre number as in M&Ms' table.
    pub centre: u8,
    /// Field strength.
    pub field: FieldStrength,
    /// Repetition time, ms; the echo is at its half.
    pub tr_ms: f32,
    /// Flip angle, degrees.
    pub flip_deg: f32,
    /// Pixels of a full slice, along x and y.
    pub size: [usize; 2],
    /// Pixel size of a full slice, mm.
    pub spacing_mm: f32,
    /// Distance between slices and their thickness, mm.
    pub thickness_mm: f32,
    /// Slices from apex to above the base.
    pub slices: usize,
    /// Frames of a full cine.
    pub frames: usize,
    /// Standard deviation of the off-resonance left after shimming, Hz.
    pub off_resonance_hz: f32,
    /// Receive coil.
    pub coil: Coil,
    /// Full width at half maximum of the point spread within the slice, in pixels.
    pub blur_pixels: f32,
    /// Mean of left-ventricular blood over the standard deviation of the noise.
    pub snr: f32,
    /// Grey level that left-ventricular blood is scaled to.
    pub blood_level: f32,
}

impl HeadScanner {
    /// Signal of a tissue where the transmit field is `transmit` times the nominal one.
    pub fn signal(&self, tissue: Tissue, transmit: f32) -> f32 {
        let properties = tissue.properties(self.field);
        let flip = self.flip_deg.to_radians() * transmit;
        match &self.sequence {
            HeadSequence::Spoiled { tr_ms } => spoiled(&properties, *tr_ms, self.te_ms, flip),
            HeadSequence::InversionPrepared(train) => {
                inversion_prepared(&properties, train, self.te_ms, flip)
            }
        }
    }

    /// The scanner of a CC-359 domain name.
    pub fn named(name: &str) -> Option<&'static Self> {
        HEAD_SCANNERS.iter().find(|scanner| scanner.name == name)
    }
}

impl HeartScanner {
    /// Signal of a tissue where water is off resonance by `off_resonance_hz`.
    pub fn signal(&self, tissue: Tissue, off_resonance_hz: f32) -> f32 {
        let properties = tissue.properties(self.field);
        let shift_hz = properties.shift_ppm * self.field.larmor_mhz();
        let flip = self.flip_deg.to_radians();
        balanced(&properties, self.tr_ms, flip, off_resonance_hz + shift_hz)
    }

    /// The scanner of an M&Ms vendor letter.
    pub fn named(name: &str) -> Option<&'static Self> {
        HEART_SCANNERS.iter().find(|scanner| scanner.name == name)
    }
}

/// The six domains of CC-359, in the order of their names.
pub const HEAD_SCANNERS: [HeadScanner; 6] = [
    HeadScanner {
        name: "GE_15",
        vendor: "ge",
        field: FieldStrength::T1_5,
        sequence: HeadSequence::Spoiled { tr_ms: 13.0 },
        te_ms: 5.0,
        flip_deg: 20.0,
        size: [180, 256, 256],
        spacing_mm: [1.0, 1.0, 1.0],
        transmit_variation: 0.05,
        coil: Coil { loops: 4, loop_radius_mm: 90.0, residual: 0.6 },
        blur_voxels: [1.3, 1.1, 1.1],
        snr: 16.0,
        white_level: 420.0,
    },
    HeadScanner {
        name: "GE_3",
        vendor: "ge",
        field: FieldStrength::T3,
        sequence: HeadSequence::InversionPrepared(InversionTrain {
            delay_ms: 400.0,
            readouts: 192,
            spacing_ms: 7.4,
            recovery_ms: 0.0,
        }),
        te_ms: 3.1,
        flip_deg: 11.0,
        size: [180, 256, 256],
        spacing_mm: [1.0, 1.0, 1.0],
        transmit_variation: 0.20,
        coil: Coil { loops: 6, loop_radius_mm: 70.0, residual: 0.8 },
        blur_voxels: [1.2, 1.0, 1.0],
        snr: 26.0,
        white_level: 2600.0,
    },
    HeadScanner {
        name: "Philips_15",
        vendor: "philips",
        field: FieldStrength::T1_5,
        sequence: HeadSequence::InversionPrepared(InversionTrain::centred(
            3000.0, 950.0, 128, 12.0,
        )),
        te_ms: 4.0,
        flip_deg: 8.0,
        size: [170, 288, 288],
        spacing_mm: [1.0, 0.889, 0.889],
        transmit_variation: 0.05,
        coil: Coil { loops: 4, loop_radius_mm: 80.0, residual: 0.25 },
        blur_voxels: [1.2, 1.5, 1.5],
        snr: 22.0,
        white_level: 900.0,
    },
    HeadScanner {
        name: "Philips_3",
        vendor: "philips",
        field: FieldStrength::T3,
        sequence: HeadSequence::InversionPrepared(InversionTrain::centred(3000.0, 830.0, 192, 6.9)),
        te_ms: 3.2,
        flip_deg: 9.0,
        size: [180, 256, 256],
        spacing_mm: [1.0, 1.0, 1.0],
        transmit_variation: 0.20,
        coil: Coil { loops: 4, loop_radius_mm: 70.0, residual: 0.35 },
        blur_voxels: [1.1, 1.2, 1.2],
        snr: 24.0,
        white_level: 700.0,
    },
    HeadScanner {
        name: "Siemens_15",
        vendor: "siemens",
        field: FieldStrength::T1_5,
        sequence: HeadSequence::InversionPrepared(InversionTrain::centred(
            2400.0, 1000.0, 128, 8.0,
        )),
        te_ms: 3.5,
        flip_deg: 8.0,
        size: [132, 256, 256],
        spacing_mm: [1.33, 1.0, 1.0],
        transmit_variation: 0.05,
        coil: Coil { loops: 6, loop_radius_mm: 70.0, residual: 0.7 },
        blur_voxels: [1.1, 1.0, 1.0],
        snr: 18.0,
        white_level: 260.0,
    },
    HeadScanner {
        name: "Siemens_3",
        vendor: "siemens",
        field: FieldStrength::T3,
        sequence: HeadSequence::InversionPrepared(InversionTrain::centred(2300.0, 900.0, 160, 7.1)),
        te_ms: 2.98,
        flip_deg: 9.0,
        size: [176, 256, 256],
        spacing_mm: [1.0, 1.0, 1.0],
        transmit_variation: 0.20,
        coil: Coil { loops: 6, loop_radius_mm: 60.0, residual: 0.3 },
        blur_voxels: [1.1, 1.0, 1.0],
        snr: 30.0,
        white_level: 330.0,
    },
];

/// The four vendors of M&Ms.
pub const HEART_SCANNERS: [HeartScanner; 4] = [
    HeartScanner {
        name: "A",
        vendor: "Siemens",
        centre: 1,
        field: FieldStrength::T1_5,
        tr_ms: 2.9,
        flip_deg: 70.0,
        size: [256, 208],
        spacing_mm: 1.32,
        thickness_mm: 9.2,
        slices: 12,
        frames: 25,
        off_resonance_hz: 20.0,
        coil: Coil { loops: 3, loop_radius_mm: 70.0, residual: 1.0 },
        blur_pixels: 1.1,
        snr: 28.0,
        blood_level: 260.0,
    },
    HeartScanner {
        name: "B",
        vendor: "Philips",
        centre: 2,
        field: FieldStrength::T1_5,
        tr_ms: 3.2,
        flip_deg: 60.0,
        size: [288, 288],
        spacing_mm: 1.20,
        thickness_mm: 9.9,
        slices: 10,
        frames: 26,
        off_resonance_hz: 20.0,
        coil: Coil { loops: 3, loop_radius_mm: 90.0, residual: 0.4 },
        blur_pixels: 1.4,
        snr: 34.0,
        blood_level: 700.0,
    },
    HeartScanner {
        name: "C",
        vendor: "GE",
        centre: 4,
        field: FieldStrength::T1_5,
        tr_ms: 3.8,
        flip_deg: 45.0,
        size: [256, 256],
        spacing_mm: 1.36,
        thickness_mm: 10.0,
        slices: 12,
        frames: 25,
        off_resonance_hz: 25.0,
        coil: Coil { loops: 4, loop_radius_mm: 70.0, residual: 0.8 },
        blur_pixels: 1.6,
        snr: 20.0,
        blood_level: 1500.0,
    },
    HeartScanner {
        name: "D",
        vendor: "Canon",
        centre: 5,
        field: FieldStrength::T1_5,
        tr_ms: 4.2,
        flip_deg: 65.0,
        size: [400, 400],
        spacing_mm: 0.85,
        thickness_mm: 10.0,
        slices: 13,
        frames: 29,
        off_resonance_hz: 25.0,
        coil: Coil { loops: 4, loop_radius_mm: 60.0, residual: 0.6 },
        blur_pixels: 1.8,
        snr: 24.0,
        blood_level: 4000.0,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trains_fit_their_cycles() {
        for scanner in HEAD_SCANNERS {
            if let HeadSequence::InversionPrepared(train) = scanner.sequence {
                assert!(train.delay_ms > 0.0 && train.recovery_ms >= 0.0, "{train:?}");
                assert!(scanner.te_ms < train.spacing_ms);
            }
        }
    }

    #[test]
    fn heads_are_t1_weighted_with_another_contrast_on_every_scanner() {
        let mut ratios: Vec<f32> = Vec::new();
        for scanner in HEAD_SCANNERS {
            let signal = |tissue| scanner.signal(tissue, 1.0);
            let (white, grey) = (signal(Tissue::WhiteMatter), signal(Tissue::GreyMatter));
            let fluid = signal(Tissue::CerebrospinalFluid).abs();
            assert!(white > grey && grey > fluid, "{}: {white} {grey} {fluid}", scanner.name);
            assert!(signal(Tissue::CorticalBone) < 0.05 * white);
            ratios.push(white / grey);
        }
        ratios.sort_by(f32::total_cmp);
        assert!(ratios.windows(2).all(|pair| pair[1] > 1.01 * pair[0]), "{ratios:?}");
        let at = |name| {
            let scanner = HeadScanner::named(name).expect("a CC-359 domain");
            scanner.signal(Tissue::WhiteMatter, 1.0) / scanner.signal(Tissue::GreyMatter, 1.0)
        };
        assert!((at("Siemens_3") - at("Siemens_15")).abs() > 0.05);
    }

    #[test]
    fn blood_is_brighter_than_myocardium_on_every_cine() {
        for scanner in HEART_SCANNERS {
            let blood = scanner.signal(Tissue::ArterialBlood, 0.0);
            let muscle = scanner.signal(Tissue::Myocardium, 0.0);
            assert!((1.5..5.0).contains(&(blood / muscle)), "{}: {}", scanner.name, blood / muscle);
        }
    }
}
