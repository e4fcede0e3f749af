//! Magnetic properties of the tissues at 1.5 T and 3 T, each with its source; no geometry, no signal.
//!
//! The values were taken from the sources below before any segmentation method was run on the
//! phantom and are not tuned. *Typical* marks a value that no single study fixes.
//!
//! | tissue | T1 1.5 T / 3 T (ms) | T2 1.5 T / 3 T (ms) | T2* 1.5 T / 3 T (ms) | proton density |
//! |---|---|---|---|---|
//! | white matter | 646 / 838 (W) | 80 / 71 (C) | 66.2 / 53.2 (P) | 0.77 (B) |
//! | cortical grey matter | 1197 / 1607 (W) | 87 / 76 (C) | 84.0 / 66.0 (P) | 0.86 (B) |
//! | deep grey matter | 1000 / 1300 typical | 80 / 70 typical | 55.5 / 31.5 (P), putamen | 0.86 (B) |
//! | cerebrospinal fluid, vitreous | 4300 / 4300 (R) | 329 (B) | 58 (B) | 1.00 (B) |
//! | fat | 343 / 382 (dB) | 58 / 68 (dB) | 40 / 25 typical | 1.00 (B) |
//! | fatty marrow (skull, jaw) | 288 / 365 (G) | 165 / 133 (G) | 15 / 8 typical | 0.70 typical |
//! | red marrow (vertebrae, ribs) | 549 / 586 (dB) | 49 / 49 (dB) | 12 / 6 typical | 0.70 typical |
//! | muscle, mucosa | 1130 / 1420 (G) | 35.3 / 31.7 (G) | 30 (B) / 25 typical | 1.00 (B) |
//! | skin | 900 (B) / 1130 typical | 47 (B) | 30 (B) / 25 typical | 1.00 (B) |
//! | cortical bone | 200 / 223 (Re, D) | 0.45 / 0.39 | 0.45 / 0.39 (Re, D) | 0.20 typical |
//! | arterial blood | 1441 / 1932 (S) | 290 / 275 (S) | 250 / 150 typical | 0.90 typical |
//! | venous blood | 1441 / 1932 (S) | 180 / 100 typical, after (Wr) | 120 / 50 typical | 0.90 typical |
//! | myocardium | 980 (M) / 1157 (K) | 52.2 (Gi) / 45.1 (K) | 35 / 25 typical | 0.80 typical |
//! | liver | 586 / 809 (dB) | 46 / 34 (dB) | 25 / 15 typical | 0.72 typical |
//! | lung | 1200 / 1280 typical | 40 / 30 typical | 2.1 / 0.74 (Y) | 0.20 typical |
//!
//! * (B) Kwan, Evans, Pike, IEEE Trans Med Imaging 18:1085 (1999), the BrainWeb simulator.
//! * (C) Cox, Gowland, Magn Reson Med 64:1440 (2010); frontal grey matter and white matter.
//! * (D) Du et al., J Magn Reson 207:304 (2010).
//! * (dB) de Bazelaire et al., Radiology 230:652 (2004).
//! * (G) Gold et al., AJR 183:343 (2004).
//! * (Gi) Giri et al., J Cardiovasc Magn Reson 11:56 (2009).
//! * (K) von Knobelsdorff-Brenkenhoff et al., J Cardiovasc Magn Reson 15:53 (2013).
//! * (M) Messroghli et al., Radiology 238:1004 (2006).
//! * (P) Peters et al., Magn Reson Imaging 25:748 (2007).
//! * (R) Rooney et al., Magn Reson Med 57:308 (2007).
//! * (Re) Reichert et al., Magn Reson Imaging 23:611 (2005).
//! * (S) Stanisz et al., Magn Reson Med 54:507 (2005).
//! * (W) Wright et al., MAGMA 21:121 (2008).
//! * (Wr) Wright, Hu, Macovski, J Magn Reson Imaging 1:275 (1991).
//! * (Y) Yu, Xue, Song, Magn Reson Med 66:248 (2011).

/// Main magnetic field of a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldStrength {
    /// 1.5 tesla.
    T1_5,
    /// 3 tesla.
    T3,
}

impl FieldStrength {
    /// Larmor frequency of protons in MHz: 42.577 MHz per tesla.
    pub fn larmor_mhz(self) -> f32 {
        match self {
            Self::T1_5 => 63.87,
            Self::T3 => 127.73,
        }
    }
}

/// What fills a point of a phantom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the anatomy's own")]
pub enum Tissue {
    Air,
    Skin,
    Fat,
    Muscle,
    CorticalBone,
    FattyMarrow,
    RedMarrow,
    CerebrospinalFluid,
    GreyMatter,
    WhiteMatter,
    DeepGreyMatter,
    ArterialBlood,
    VenousBlood,
    Myocardium,
    Liver,
    Lung,
}

/// What the signal equations need to know of a tissue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Properties {
    /// Longitudinal relaxation time, ms.
    pub t1_ms: f32,
    /// Transverse relaxation time of a refocused signal, ms.
    pub t2_ms: f32,
    /// Transverse relaxation time of a gradient echo, ms.
    pub t2_star_ms: f32,
    /// Density of protons that give signal, relative to water.
    pub proton_density: f32,
    /// Chemical shift against water, parts per million.
    pub shift_ppm: f32,
}

/// Methylene protons of fat precess 3.4 ppm slower than water.
const FAT_SHIFT_PPM: f32 = -3.4;

impl Tissue {
    /// All tissues, in the order of their discriminants.
    pub const ALL: [Tissue; 16] = [
        Self::Air,
        Self::Skin,
        Self::Fat,
        Self::Muscle,
        Self::CorticalBone,
        Self::FattyMarrow,
        Self::RedMarrow,
        Self::CerebrospinalFluid,
        Self::GreyMatter,
        Self::WhiteMatter,
        Self::DeepGreyMatter,
        Self::ArterialBlood,
        Self::VenousBlood,
        Self::Myocardium,
        Self::Liver,
        Self::Lung,
    ];

    /// Number of tissues.
    pub const COUNT: usize = Self::ALL.len();

    /// The tissue's published properties at a field strength; the sources are in the
    /// [module documentation](self).
    pub fn properties(self, field: FieldStrength) -> Properties {
        // [1.5 T, 3 T] for T1, T2 and T2*, then the proton density.
        let (t1, t2, t2_star, proton_density) = match self {
            Self::Air => ([1.0, 1.0], [1.0, 1.0], [1.0, 1.0], 0.0),
            Self::Skin => ([900.0, 1130.0], [47.0, 47.0], [30.0, 25.0], 1.0),
            Self::Fat => ([343.0, 382.0], [58.0, 68.0], [40.0, 25.0], 1.0),
            Self::Muscle => ([1130.0, 1420.0], [35.3, 31.7], [30.0, 25.0], 1.0),
            Self::CorticalBone => ([200.0, 223.0], [0.45, 0.39], [0.45, 0.39], 0.2),
            Self::FattyMarrow => ([288.0, 365.0], [165.0, 133.0], [15.0, 8.0], 0.7),
            Self::RedMarrow => ([549.0, 586.0], [49.0, 49.0], [12.0, 6.0], 0.7),
            Self::CerebrospinalFluid => ([4300.0, 4300.0], [329.0, 329.0], [58.0, 58.0], 1.0),
            Self::GreyMatter => ([1197.0, 1607.0], [87.0, 76.0], [84.0, 66.0], 0.86),
            Self::WhiteMatter => ([646.0, 838.0], [80.0, 71.0], [66.2, 53.2], 0.77),
            Self::DeepGreyMatter => ([1000.0, 1300.0], [80.0, 70.0], [55.5, 31.5], 0.86),
            Self::ArterialBlood => ([1441.0, 1932.0], [290.0, 275.0], [250.0, 150.0], 0.9),
            Self::VenousBlood => ([1441.0, 1932.0], [180.0, 100.0], [120.0, 50.0], 0.9),
            Self::Myocardium => ([980.0, 1157.0], [52.2, 45.1], [35.0, 25.0], 0.8),
            Self::Liver => ([586.0, 809.0], [46.0, 34.0], [25.0, 15.0], 0.72),
            Self::Lung => ([1200.0, 1280.0], [40.0, 30.0], [2.1, 0.74], 0.2),
        };
        let column = match field {
            FieldStrength::T1_5 => 0,
            FieldStrength::T3 => 1,
        };
        let shift_ppm = match self {
            Self::Fat | Self::FattyMarrow => FAT_SHIFT_PPM,
            _ => 0.0,
        };
        Properties {
            t1_ms: t1[column],
            t2_ms: t2[column],
            t2_star_ms: t2_star[column],
            proton_density,
            shift_ppm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminants_index_the_list() {
        for (index, tissue) in Tissue::ALL.into_iter().enumerate() {
            assert_eq!(tissue as usize, index);
        }
    }

    #[test]
    fn longitudinal_relaxation_slows_with_the_field() {
        for tissue in Tissue::ALL {
            let (low, high) =
                (tissue.properties(FieldStrength::T1_5), tissue.properties(FieldStrength::T3));
            assert!(high.t1_ms >= low.t1_ms, "{tissue:?}");
            assert!(low.t2_star_ms <= low.t2_ms && high.t2_star_ms <= high.t2_ms, "{tissue:?}");
        }
    }
}
