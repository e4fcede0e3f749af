//! The CSV of an M&Ms tree, of any bytes, beside a subject.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use udas_data::{DataSet, LabelUse, Layout, Preprocessing, VolumeSlices};
use udas_volume::{Affine, Volume, write_frames};

/// The subject `A0S9V0` with three frames.
static SUBJECT: LazyLock<()> = LazyLock::new(|| {
    let folder = udas_fuzz::folder().join("Training/Labeled/A0S9V0");
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let data = (0..8).map(|value| value as f32).collect();
    let frame = Volume::new(data, [2, 2, 2], Affine::from_spacing([1.0; 3])).expect("a volume");
    write_frames(&folder.join("A0S9V0_sa.nii"), &[frame.clone(), frame.clone(), frame], 30.0)
        .expect("the temporary folder can be written");
});

fuzz_target!(|bytes: &[u8]| {
    LazyLock::force(&SUBJECT);
    udas_fuzz::file("table.csv", bytes);
    let Ok(data) = DataSet::open_as(udas_fuzz::folder(), Layout::Mnms) else { return };
    for domain in data.domains() {
        let subjects = data.subjects(&domain).expect("a domain that is listed has subjects");
        let _ = VolumeSlices::new(subjects, Preprocessing::MNMS, LabelUse::Ignore, 1 << 20);
    }
});
