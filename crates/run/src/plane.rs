//! The plane of slices that a training takes where nobody names one: across the thick axis of the voxels, if they have one.
use crate::error::Result;
use std::collections::BTreeSet;
use udas_data::{Plane, Preprocessing, Subject};
use udas_volume::{FileKind, Grid, probe};

/// Voxels more than this many times as thick as wide have a thick axis (nnU-Net's bound for anisotropy, Isensee et al., Nature
/// Methods 2021).
const THICK: f64 = 3.0;

/// The plane across the thick axis of the subjects' voxels where that is not the one suggested, with a word on why; none where
/// some have no such axis, or not the same.
///
/// # Errors
/// When a header cannot be read.
pub fn across_thick_voxels(
    suggestion: &Preprocessing,
    subjects: &[Subject],
) -> Result<Option<(Plane, String)>> {
    let (mut planes, mut stored) = (BTreeSet::new(), BTreeSet::new());
    let mut thickness = f64::INFINITY;
    for subject in subjects {
        let probe = probe(&subject.image).map_err(udas_data::Error::from)?;
        let Some(thick) =
            thick_axis(&probe.grid).filter(|_| probe.header.kind() == FileKind::Volume)
        else {
            return Ok(None);
        };
        planes.insert(thick.body);
        stored.insert(thick.stored);
        thickness = thickness.min(thick.times);
    }
    let plane = match (planes.first(), stored.first()) {
        (Some(0), _) if planes.len() == 1 => Plane::Sagittal,
        (Some(1), _) if planes.len() == 1 => Plane::Coronal,
        (Some(2), _) if planes.len() == 1 => Plane::Axial,
        // Oblique stacks: another anatomical plane is nearest in each, and all are stored slice by slice.
        (Some(_), Some(2)) if stored.len() == 1 => Plane::Stored,
        _ => return Ok(None),
    };
    if suggestion.plane == plane || suggestion.plane == Plane::Stored {
        return Ok(None);
    }
    let name = match plane {
        Plane::Sagittal => "sagittal",
        Plane::Coronal => "coronal",
        Plane::Axial => "axial",
        Plane::Stored => "as they are stored",
    };
    let text = format!(
        "slices: {name}, across the thick axis, since voxels are at least {thickness:.1} times as thick as wide; --plane names \
         another"
    );
    Ok(Some((plane, text)))
}

/// The thick axis of a volume's voxels.
struct Thick {
    /// 0 right-left, 1 anterior-posterior, 2 superior-inferior.
    body: usize,
    /// Among the axes as they are stored.
    stored: usize,
    /// By how many times the longest side of a voxel is longer than the next.
    times: f64,
}

fn thick_axis(grid: &Grid) -> Option<Thick> {
    let sides = grid.affine.spacing();
    let (stored, longest) =
        sides.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let others = sides.into_iter().enumerate().filter(|(axis, _)| *axis != stored);
    let times = longest / others.map(|(_, side)| side).fold(0.0, f64::max);
    let body = match grid.affine.codes().chars().nth(stored)? {
        'R' | 'L' => 0,
        'A' | 'P' => 1,
        _ => 2,
    };
    (times > THICK).then_some(Thick { body, stored, times })
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_data::expand;
    use udas_volume::{Affine, Volume, write_volume};

    fn chosen(volumes: &[(&str, [f64; 3])], suggestion: Plane) -> Option<Plane> {
        let folder = tempfile::tempdir().unwrap();
        for (number, (codes, spacing)) in volumes.iter().enumerate() {
            let affine = Affine::from_codes(codes, *spacing).unwrap();
            let volume =
                Volume::new((0..60).map(|v| v as f32).collect(), [3, 4, 5], affine).unwrap();
            write_volume(&folder.path().join(format!("{number}.nii")), &volume).unwrap();
        }
        let subjects = expand(&[folder.path().to_owned()], "d").unwrap();
        let found = across_thick_voxels(&Preprocessing::upright(suggestion), &subjects).unwrap();
        found.map(|(plane, text)| {
            assert!(text.contains("--plane"), "{text}");
            plane
        })
    }

    #[test]
    fn thick_voxels_are_cut_across_and_others_as_suggested() {
        let axial = ("RAS", [1.0, 1.0, 5.0]);
        assert_eq!(chosen(&[axial, ("LPS", [0.5, 0.5, 4.0])], Plane::Sagittal), Some(Plane::Axial));
        assert_eq!(chosen(&[("PSR", [1.0, 1.0, 6.0])], Plane::Axial), Some(Plane::Sagittal));
        assert_eq!(chosen(&[("RAS", [1.0, 4.0, 1.0])], Plane::Sagittal), Some(Plane::Coronal));
        assert_eq!(chosen(&[axial, ("PSR", [1.0, 1.0, 6.0])], Plane::Axial), Some(Plane::Stored));
        for as_suggested in [
            vec![axial, ("RAS", [1.0, 1.0, 2.0])],
            vec![("RAS", [1.0, 1.0, 3.0])],
            vec![("RAS", [1.0, 5.0, 5.0])],
            vec![axial, ("RAS", [6.0, 1.0, 1.0])],
        ] {
            assert_eq!(chosen(&as_suggested, Plane::Sagittal), None, "{as_suggested:?}");
        }
        assert_eq!(chosen(&[axial], Plane::Axial), None, "it is suggested already");
        assert_eq!(chosen(&[axial], Plane::Stored), None, "acquired slices stay");
    }
}
