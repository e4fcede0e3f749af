//! Streaming: memory stays bounded on data larger than the cache, and what is read does not depend on it.

mod common;

use std::sync::Arc;

use udas_data::{
    BatchPlan, DataSet, LabelUse, Labelled, LabelledBatch, LabelledBatches, LastBatch, Order,
    Plane, Preprocessing, SliceSource, Unlabelled, UnlabelledBatches, VolumeSlices,
};

const SUBJECTS: usize = 6;
const SHAPE: [usize; 3] = [5, 12, 9];
/// Of a decoded subject: float32 intensities and a byte of label a voxel.
const SUBJECT_BYTES: usize = 5 * 12 * 9 * 5;

struct Set {
    folder: tempfile::TempDir,
}

impl Set {
    fn write() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for subject in 0..SUBJECTS {
            let image = common::volume(SHAPE, |offset| ((offset * 31 + subject * 7) % 251) as f32);
            let name = format!("subject{subject}.nii.gz");
            common::write_subject(folder.path(), "scanner", &name, &image);
        }
        Self { folder }
    }

    fn slices(&self, cache_bytes: usize) -> Arc<VolumeSlices> {
        let subjects = DataSet::open(self.folder.path()).unwrap().subjects("scanner").unwrap();
        let (labels, preprocessing) =
            (LabelUse::Require { classes: 2 }, Preprocessing::upright(Plane::Sagittal));
        Arc::new(VolumeSlices::new(subjects, preprocessing, labels, cache_bytes).unwrap())
    }
}

fn epoch(slices: &Arc<VolumeSlices>, order: Order, epoch: u64) -> Vec<LabelledBatch> {
    let plan = BatchPlan { order, batch_size: 4, last: LastBatch::Keep };
    let batches = LabelledBatches::new(Labelled::new(slices.clone()), plan).unwrap();
    batches.epoch(epoch).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_cache_of_any_size_gives_the_same_bits() {
    let set = Set::write();
    let whole = set.slices(SUBJECTS * SUBJECT_BYTES);
    for order in [Order::Sequential, Order::Shuffled { seed: 5 }] {
        let expected: Vec<_> = (0..2).map(|number| epoch(&whole, order, number)).collect();
        assert_eq!(whole.volumes_decoded(), SUBJECTS, "the whole set is decoded once");
        for cache_bytes in [0, SUBJECT_BYTES, 3 * SUBJECT_BYTES] {
            let bounded = set.slices(cache_bytes);
            for (number, expected) in expected.iter().enumerate() {
                assert_eq!(&epoch(&bounded, order, number as u64), expected, "{cache_bytes}");
                // The newest volume is kept even by a cache of nothing.
                assert!(bounded.cached_bytes() <= cache_bytes.max(SUBJECT_BYTES));
            }
            assert!(bounded.volumes_decoded() > SUBJECTS, "{cache_bytes} bytes hold not all");
        }
    }
}

#[test]
fn in_order_each_volume_is_decoded_once_an_epoch() {
    let slices = Set::write().slices(0);
    assert_eq!(slices.volumes_decoded(), 0, "no voxel is read before a slice is asked for");
    drop(slices);
    let set = Set::write();
    let slices = set.slices(0);
    epoch(&slices, Order::Sequential, 0);
    assert_eq!(slices.volumes_decoded(), SUBJECTS);
    epoch(&slices, Order::Sequential, 1);
    assert_eq!(slices.volumes_decoded(), 2 * SUBJECTS);
}

#[test]
fn batches_read_ahead_come_in_the_order_of_the_plan() {
    let set = Set::write();
    let slices = set.slices(2 * SUBJECT_BYTES);
    let order = Order::Shuffled { seed: 11 };
    let plan = BatchPlan { order, batch_size: 4, last: LastBatch::Drop };
    let batches = UnlabelledBatches::new(Unlabelled::new(slices.clone()), plan).unwrap();
    assert_eq!((batches.slices(), batches.steps()), (30, 7));
    for number in [0, 3] {
        let planned = plan.batches(slices.len(), number);
        let read: Vec<_> = batches.epoch(number).unwrap().map(Result::unwrap).collect();
        assert_eq!(read.iter().map(|batch| batch.indices.clone()).collect::<Vec<_>>(), planned);
        for batch in &read {
            let pixels = batch.height * batch.width;
            for (&index, image) in batch.indices.iter().zip(batch.images.chunks_exact(pixels)) {
                assert_eq!(image, slices.read(index).unwrap().image, "slice {index}");
            }
        }
    }
}

#[test]
fn readers_on_several_threads_see_the_same_slices() {
    let set = Set::write();
    let (bounded, whole) = (set.slices(SUBJECT_BYTES), set.slices(SUBJECTS * SUBJECT_BYTES));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (bounded, whole) = (&bounded, &whole);
            scope.spawn(move || {
                for step in 0..60 {
                    let index = (step * 7 + thread * 11) % whole.len();
                    assert_eq!(bounded.read(index).unwrap(), whole.read(index).unwrap());
                }
            });
        }
    });
    assert!(bounded.cached_bytes() <= SUBJECT_BYTES);
}

#[test]
fn a_file_that_breaks_while_streaming_ends_the_epoch_with_its_name() {
    let set = Set::write();
    let slices = set.slices(0);
    let broken = set.folder.path().join("scanner/images/subject3.nii.gz");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let plan = BatchPlan { order: Order::Sequential, batch_size: 5, last: LastBatch::Keep };
    let batches = LabelledBatches::new(Labelled::new(slices), plan).unwrap();
    let read: Vec<_> = batches.epoch(0).unwrap().collect();
    assert_eq!(read.len(), 4, "three whole subjects and one error");
    let message = read.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(message.contains("subject3.nii.gz") && message.contains("cut short"), "{message}");
}

#[test]
fn a_file_that_is_replaced_while_streaming_is_named() {
    let set = Set::write();
    let slices = set.slices(0);
    let smaller = common::volume([2, 3, 4], |offset| offset as f32);
    common::write_subject(set.folder.path(), "scanner", "subject1.nii.gz", &smaller);
    let error = slices.read(5).unwrap_err();
    assert!(matches!(error, udas_data::Error::Changed { .. }), "{error}");
    assert!(error.to_string().contains("images/subject1.nii.gz"), "{error}");
}
