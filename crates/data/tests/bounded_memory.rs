//! Peak memory while a set much larger than its cache is read: a process of its own, so that nothing else counts.

mod common;

use std::sync::Arc;

use udas_data::{
    BatchPlan, DataSet, LabelUse, LastBatch, Order, Plane, Preprocessing, SliceSource, Unlabelled,
    UnlabelledBatches, VolumeSlices,
};

const MB: usize = 1 << 20;
/// Float32 voxels of 8 MiB a volume.
const SHAPE: [usize; 3] = [32, 256, 256];
const SUBJECTS: usize = 24;

/// The most memory this process has held so far, where the system tells.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok().map(|kib| kib * 1024)
}

#[test]
fn a_set_of_192_mib_is_read_twice_through_a_cache_of_16_mib() {
    if peak_bytes().is_none() {
        eprintln!("skipped: this system does not tell a process's peak memory (/proc/self/status)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for subject in 0..SUBJECTS {
        // Compresses well: a file of few bytes and a volume of many.
        let image = common::volume(SHAPE, |offset| ((offset >> 12) + subject) as f32);
        common::write_subject(folder.path(), "scanner", &format!("s{subject:02}.nii.gz"), &image);
    }
    let subjects = DataSet::open(folder.path()).unwrap().subjects("scanner").unwrap();
    let preprocessing = Preprocessing::upright(Plane::Axial);
    let slices = VolumeSlices::new(subjects, preprocessing, LabelUse::Ignore, 16 * MB).unwrap();
    let slices = Arc::new(slices);
    assert_eq!(slices.len(), SUBJECTS * 256);
    let plan = BatchPlan { order: Order::Sequential, batch_size: 20, last: LastBatch::Keep };
    let batches = UnlabelledBatches::new(Unlabelled::new(slices.clone()), plan).unwrap();

    let before = peak_bytes().unwrap();
    for epoch in 0..2 {
        let read: usize = batches.epoch(epoch).unwrap().map(|batch| batch.unwrap().n).sum();
        assert_eq!(read, slices.len());
    }
    let grown = peak_bytes().unwrap() - before;
    // The cache, a volume as read, reoriented and cut, and a few batches.
    assert!(grown < 64 * MB, "memory grew by {} MiB", grown / MB);
    assert!(slices.volumes_decoded() >= 2 * SUBJECTS - 2);
    eprintln!("192 MiB of voxels read twice; peak memory grew by {} MiB", grown / MB);
}
