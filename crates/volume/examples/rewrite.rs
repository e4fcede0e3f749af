//! Reads volumes and writes each again as float32, and as uint8 where it holds labels: for comparing what other
//! tools read from our files (`tests/formats/read_back.py`).
//!
//! `cargo run -p udas-volume --example rewrite -- OUT_FOLDER IN...`

use std::path::{Path, PathBuf};

use udas_volume::{read, read_labels, stem, write_labels, write_volume};

fn main() -> Result<(), udas_volume::Error> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(out) = paths.next() else {
        eprintln!("usage: rewrite OUT_FOLDER IN...");
        std::process::exit(2);
    };
    for path in paths {
        rewrite(&path, &out)?;
    }
    Ok(())
}

fn rewrite(path: &Path, out: &Path) -> Result<(), udas_volume::Error> {
    let volume = read(path)?;
    // Told apart by the whole name: several kinds of file share a stem.
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace('.', "_");
    println!("{}: {:?} {}", stem(path), volume.shape(), volume.orientation());
    for extension in ["nii", "nii.gz"] {
        write_volume(&out.join(format!("{name}.values.{extension}")), &volume)?;
    }
    if let Ok(labels) = read_labels(path) {
        write_labels(&out.join(format!("{name}.labels.nii.gz")), &labels)?;
    }
    // Through RAS and back, as a prediction goes.
    let (ras, orientation) = volume.to_ras();
    write_volume(&out.join(format!("{name}.ras.nii.gz")), &ras)?;
    write_volume(&out.join(format!("{name}.back.nii.gz")), &ras.from_ras(&orientation)?)
}
