//! What a tool's own probabilities say of its mask.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use udas_volume::{Labels, Volume};

/// Probabilities of a class beside its mask.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Confidence {
    /// Mean probability of the class over its mask, 0 to 1.
    pub mean: f64,
    /// Sum of the probabilities over all voxels, as a share of the mask's voxels: above 1 where the tool sees more of the
    /// class than it marks.
    pub soft_volume: f64,
}

impl Confidence {
    /// Of class `class` of `mask`, by its probability at each voxel; none of an absent class.
    ///
    /// # Errors
    /// [`Error::Grids`] where the two are not on one grid.
    pub fn of(mask: &Labels, class: u8, probability: &Volume) -> Result<Option<Self>> {
        if let Some(difference) = mask.grid().difference(probability.grid()) {
            return Err(Error::Grids(difference));
        }
        let (mut voxels, mut inside, mut all) = (0u64, 0f64, 0f64);
        for (&label, &value) in mask.data().iter().zip(probability.data()) {
            all += f64::from(value);
            if label == class {
                voxels += 1;
                inside += f64::from(value);
            }
        }
        let share = |sum: f64| sum / voxels as f64;
        Ok((voxels > 0).then(|| Self { mean: share(inside), soft_volume: share(all) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_volume::Affine;

    #[test]
    fn the_mean_is_taken_inside_and_the_volume_everywhere() {
        let affine = Affine::from_spacing([1.0; 3]);
        let mask = Labels::new(vec![0, 1, 1, 2], [4, 1, 1], affine).unwrap();
        let of = |class, values: [f32; 4]| {
            let probability = Volume::new(values.to_vec(), [4, 1, 1], affine).unwrap();
            Confidence::of(&mask, class, &probability).unwrap()
        };
        let one = of(1, [0.5, 0.75, 1.0, 0.25]).unwrap();
        assert_eq!(one, Confidence { mean: 0.875, soft_volume: 1.25 });
        assert_eq!(of(3, [0.0; 4]), None);
        let other = Volume::new(vec![0.0; 4], [2, 2, 1], affine).unwrap();
        assert!(matches!(Confidence::of(&mask, 1, &other), Err(Error::Grids(_))));
    }
}
