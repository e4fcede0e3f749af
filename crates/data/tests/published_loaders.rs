//! CC-359 and M&Ms against what the published loaders make of the same trees: slices, labels, spacing, sites,
//! vendors, folds and selections of subjects.

mod common;

use std::path::PathBuf;

use safetensors::SafeTensors;
use udas_data::{
    DEFAULT_CACHE_BYTES, DataSet, LabelUse, Layout, Part, Preprocessing, SliceSource, Subject,
    VolumeSlices, fold, select,
};

/// The golden trees and what is expected of them.
struct Golden {
    trees: PathBuf,
    expected: Vec<u8>,
}

impl Golden {
    fn open() -> Option<Self> {
        let folder = common::golden()?;
        let expected = std::fs::read(folder.join("datasets_expected.safetensors")).unwrap();
        Some(Self { trees: folder.join("datasets"), expected })
    }

    fn subjects(&self, tree: &str, layout: Layout, domain: &str) -> Vec<Subject> {
        let data = DataSet::open(&self.trees.join(tree)).unwrap();
        assert_eq!(data.layout(), layout);
        assert!(data.notes().is_empty(), "{:?}", data.notes());
        data.subjects(domain).unwrap()
    }

    fn tensor<T: Value>(&self, name: &str) -> (Vec<usize>, Vec<T>) {
        let tensors = SafeTensors::deserialize(&self.expected).unwrap();
        let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("no tensor {name}"));
        let values = tensor.data().chunks_exact(size_of::<T>()).map(T::of).collect();
        (tensor.shape().to_vec(), values)
    }

    /// The set's slices must be `[n, 1, height, width]` of this name, bit for bit.
    fn check_images(&self, name: &str, slices: &VolumeSlices) {
        let (shape, expected) = self.tensor::<f32>(name);
        let [height, width] = slices.size();
        assert_eq!([slices.len(), 1, height, width], shape[..], "{name}");
        for (index, expected) in expected.chunks_exact(height * width).enumerate() {
            let found = slices.read(index).unwrap();
            assert_eq!((found.height, found.width), (height, width));
            let equal = found.image.iter().zip(expected).all(|(a, b)| a == b);
            assert!(equal, "{name}[{index}]");
        }
    }
}

/// A number as safetensors stores it.
trait Value: Copy {
    fn of(bytes: &[u8]) -> Self;
}

impl Value for f32 {
    fn of(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap())
    }
}

impl Value for f64 {
    fn of(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap())
    }
}

impl Value for u8 {
    fn of(bytes: &[u8]) -> Self {
        bytes[0]
    }
}

fn slices(subjects: &[Subject], preprocessing: Preprocessing, classes: u8) -> VolumeSlices {
    let labels = LabelUse::Require { classes };
    VolumeSlices::new(subjects.to_vec(), preprocessing, labels, DEFAULT_CACHE_BYTES).unwrap()
}

fn cc359(subjects: &[Subject]) -> VolumeSlices {
    slices(subjects, Preprocessing::CC359, 2)
}

fn mnms(subjects: &[Subject]) -> VolumeSlices {
    slices(subjects, Preprocessing::MNMS, 4)
}

fn labels(slices: &VolumeSlices, index: usize) -> Vec<u8> {
    slices.read(index).unwrap().labels.unwrap()
}

#[test]
fn cc359_slices_labels_and_spacing_of_every_site() {
    let Some(golden) = Golden::open() else { return };
    for site in ["GE_3", "Philips_15", "Siemens_15"] {
        let subjects = golden.subjects("cc359", Layout::Cc359, site);
        let slices = cc359(&subjects);
        golden.check_images(&format!("cc359.{site}.all.image"), &slices);

        let (_, expected) = golden.tensor::<f32>(&format!("cc359.{site}.all.label"));
        let found = (0..slices.len()).flat_map(|index| labels(&slices, index));
        assert!(found.map(f32::from).eq(expected), "{site}: labels");

        let (_, expected) = golden.tensor::<f64>(&format!("cc359.{site}.all.spacing_mm"));
        for (index, expected) in expected.chunks_exact(3).enumerate() {
            let place = slices.read(index).unwrap().place;
            let found = udas_volume::probe(&subjects[place.subject].image).unwrap().grid.affine;
            for (a, b) in found.spacing().iter().zip(expected) {
                assert!((a - b).abs() < 1e-6, "{site}[{index}]: {a} mm, not {b}");
            }
        }
    }
}

#[test]
fn cc359_folds_are_the_published_ones() {
    let Some(golden) = Golden::open() else { return };
    let subjects = golden.subjects("cc359", Layout::Cc359, "GE_3");
    for number in 1..=3 {
        let split = fold(&subjects, 3, number - 1).unwrap();
        for (part, subjects) in [("train", split.train), ("test", split.test)] {
            let name = format!("cc359.GE_3.fold{number}.{part}.image");
            golden.check_images(&name, &cc359(&subjects));
        }
    }
}

#[test]
fn cc359_chosen_subjects_are_padded_by_themselves() {
    let Some(golden) = Golden::open() else { return };
    let subjects = golden.subjects("cc359", Layout::Cc359, "GE_3");
    let chosen: Vec<_> = [1, 3].map(|number: usize| subjects[number].id.clone()).into();
    let chosen = select(&subjects, &chosen).unwrap();
    golden.check_images("cc359.GE_3.subjects_1_3.image", &cc359(&chosen));
}

#[test]
fn cc359_files_in_one_flat_folder_are_the_same_data_set() {
    let Some(golden) = Golden::open() else { return };
    let flat = tempfile::tempdir().unwrap();
    for site in ["GE_3", "Philips_15", "Siemens_15"] {
        for subject in golden.subjects("cc359", Layout::Cc359, site) {
            for path in [Some(subject.image), subject.labels].into_iter().flatten() {
                std::fs::copy(&path, flat.path().join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    let data = DataSet::open(flat.path()).unwrap();
    assert_eq!(data.layout(), Layout::Cc359);
    assert_eq!(data.domains(), ["GE_3", "Philips_15", "Siemens_15"]);
    let slices = cc359(&data.subjects("Siemens_15").unwrap());
    golden.check_images("cc359.Siemens_15.all.image", &slices);
}

#[test]
fn mnms_frames_and_labels_of_every_vendor() {
    let Some(golden) = Golden::open() else { return };
    let sets = [("A", "train"), ("A", "test"), ("B", "train"), ("C", "test"), ("D", "test")];
    for (vendor, part) in sets {
        let slices = mnms(&mnms_part(&golden, vendor, part));
        golden.check_images(&format!("mnms.{vendor}.{part}.image"), &slices);

        let name = format!("mnms.{vendor}.{part}.label_one_hot");
        let (shape, expected) = golden.tensor::<u8>(&name);
        let [n, classes, height, width] = shape[..] else { panic!("{name}: {shape:?}") };
        assert_eq!(n, slices.len());
        for (index, one_hot) in expected.chunks_exact(classes * height * width).enumerate() {
            let labels = labels(&slices, index);
            for (class, expected) in one_hot.chunks_exact(height * width).enumerate() {
                let found = labels.iter().map(|&label| u8::from(usize::from(label) == class));
                assert!(found.eq(expected.iter().copied()), "{name}[{index}][{class}]");
            }
        }
    }
}

fn mnms_part(golden: &Golden, vendor: &str, part: &str) -> Vec<Subject> {
    let wanted = if part == "train" { Part::Training } else { Part::Testing };
    let mut subjects = golden.subjects("mnms", Layout::Mnms, vendor);
    subjects.retain(|subject| subject.part == Some(wanted));
    subjects
}

#[test]
fn mnms_folds_are_the_published_ones() {
    let Some(golden) = Golden::open() else { return };
    let subjects = mnms_part(&golden, "B", "train");
    for number in 1..=3 {
        let split = fold(&subjects, 3, number - 1).unwrap();
        golden.check_images(&format!("mnms.B.train.fold{number}.image"), &mnms(&split.train));
    }
}
