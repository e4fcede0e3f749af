//! The Python module, as cargo has built it, tested by Python. UDAS_PYTHON names another Python than python3.
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of the built library on Linux, macOS and Windows, and what Python calls it.
const NAMES: [(&str, &str); 3] = [
    ("lib_udas.so", "_udas.abi3.so"),
    ("lib_udas.dylib", "_udas.abi3.so"),
    ("_udas.dll", "_udas.pyd"),
];

fn python() -> Option<String> {
    let python = std::env::var("UDAS_PYTHON").unwrap_or_else(|_| "python3".into());
    let ready = Command::new(&python).args(["-c", "import numpy"]).output();
    match ready {
        Ok(output) if output.status.success() => Some(python),
        Ok(output) => {
            println!("skipped: {python}: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            println!("skipped: {python}: {error}");
            None
        }
    }
}

/// The package's folder with the library that was built beside this test.
fn package(to: &Path) -> PathBuf {
    let built = std::env::current_exe().unwrap();
    let built = built.ancestors().nth(2).unwrap();
    let package = to.join("udas");
    std::fs::create_dir(&package).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/udas");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, package.join(path.file_name().unwrap())).unwrap();
        }
    }
    // As a test's own library it lies beside the test; cargo build puts it one folder up.
    let found = ["deps", "."].iter().find_map(|folder| {
        NAMES.iter().find_map(|(library, name)| {
            let path = built.join(folder).join(library);
            path.is_file().then_some((path, name))
        })
    });
    let (library, name) = found.expect("a built library");
    std::fs::copy(library, package.join(name)).unwrap();
    built.to_owned()
}

#[test]
fn python_s_own_tests_pass() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let built = package(folder.path());
    let program = built.join(format!("udas{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        println!("skipped: {} is not built; test the whole workspace", program.display());
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(here.join("tests/test_udas.py"))
        .env("PYTHONPATH", folder.path())
        .env("UDAS_PROGRAM", program)
        .env("UDAS_GOLDEN", here.join("../../tests/golden"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}");
}
