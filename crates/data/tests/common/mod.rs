//! What the integration tests share: golden files, and small data sets written on the spot.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};

use udas_volume::{Affine, Volume, write_labels, write_volume};

/// The project's golden files; says that it skips where the packaged crate comes without.
pub fn golden() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    if folder.join("datasets").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is absent (golden values are not packaged)", folder.display());
    None
}

/// A volume whose voxels are `value` of their offset, 1 mm a voxel.
pub fn volume(shape: [usize; 3], value: impl FnMut(usize) -> f32) -> Volume {
    let data = (0..shape.iter().product()).map(value).collect();
    Volume::new(data, shape, Affine::from_spacing([1.0; 3])).unwrap()
}

/// Writes an image and its mask (what is above 0.5 of the offset's range) into domain folders.
pub fn write_subject(root: &Path, domain: &str, name: &str, image: &Volume) {
    let half = image.data().len() / 2;
    let mut offset = 0;
    let mask = image.map(|_| {
        offset += 1;
        u8::from(offset > half)
    });
    for folder in ["images", "masks"] {
        std::fs::create_dir_all(root.join(domain).join(folder)).unwrap();
    }
    write_volume(&root.join(domain).join("images").join(name), image).unwrap();
    write_labels(&root.join(domain).join("masks").join(name), &mask).unwrap();
}
