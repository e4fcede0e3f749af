//! nnU-Net's `plans.json` and `dataset.json`, of any bytes: what is accepted describes networks that can be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_nnunet::{DATASET_FILE, DataSet, Plans};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(data) = DataSet::read(&udas_fuzz::file(DATASET_FILE, bytes)) {
        assert_eq!(data.endings().len(), data.channels);
        let _ = data.labels.outputs();
    }
    if let Ok(plans) = Plans::read(&udas_fuzz::file("plans.json", bytes)) {
        for name in plans.names() {
            let _ = plans.configuration(name);
        }
    }
});
