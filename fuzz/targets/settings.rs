//! The settings that a run keeps (`config.toml`), and a calibration, of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_run::{AdaptSettings, settings::to_text};
use udas_verdict::Calibration;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(settings) = toml::from_str::<AdaptSettings>(text)
        // A seed beyond 63 bits is one that TOML cannot hold.
        && let Ok(written) = to_text(&settings)
    {
        let again: AdaptSettings = toml::from_str(&written).expect("what was written can be read");
        assert_eq!(to_text(&again).expect("as before"), written);
    }
    let _ = Calibration::load(&udas_fuzz::file("calibration.json", bytes));
});
