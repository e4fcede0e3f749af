//! The description in a model file, of any bytes: what it accepts must be possible to use.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use udas_data::{LabelUse, SliceSource, Subject, VolumeSlices, expand};
use udas_model::{HeadInfo, ModelInfo};
use udas_volume::{Affine, Volume, write_volume};

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let path = udas_fuzz::folder().join("scan.nii");
    let data = (0..24).map(|value| value as f32).collect();
    let volume = Volume::new(data, [2, 3, 4], Affine::from_spacing([1.0; 3])).expect("a volume");
    write_volume(&path, &volume).expect("the temporary folder can be written");
    expand(&[path], "target").expect("the file is there")
});

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<HeadInfo>(bytes);
    let Ok(info) = serde_json::from_slice::<ModelInfo>(bytes) else { return };
    let text = serde_json::to_string(&info).expect("what was read can be written");
    let again: ModelInfo = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(again, info);
    let subjects = SUBJECTS.clone();
    let Ok(slices) = VolumeSlices::new(subjects, info.preprocessing, LabelUse::Ignore, 1 << 20)
    else {
        return;
    };
    // A spacing of micrometres makes many voxels of a few: allowed, and slow.
    if slices.slicing(0).is_some_and(|slicing| slicing.slices() * slicing.size()[0] < 1000) {
        let _ = slices.read(0);
    }
});
