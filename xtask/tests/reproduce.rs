//! `cargo xtask reproduce` hands over to `udas compare`, with its options, folder and exit code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program: that of the variable UDAS_PROGRAM, or as `cargo test --workspace` has built it beside this one
/// (built now where it is not there).
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("UDAS_PROGRAM") {
            return program.into();
        }
        let folder = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        build.args(["build", "--quiet", "--package", "udas", "--bin", "udas", "--target-dir"]);
        let built = build.arg(folder.parent().unwrap()).status().unwrap();
        assert!(built.success(), "udas does not build");
        folder.join("udas").with_extension(std::env::consts::EXE_EXTENSION)
    })
}

fn reproduce(more: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("reproduce").arg("--program").arg(program()).args(more);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output, said)
}

#[test]
fn all_experiments_that_have_the_preset_are_planned() {
    let (output, plan) = reproduce(&["--dry-run"]);
    assert!(output.status.success(), "{plan}");
    for planned in ["cc359/source/seed-0", "mnms/source/seed-0", "runs/quick", "plan: "] {
        assert!(plan.contains(planned), "no {planned} in\n{plan}");
    }
    assert!(!plan.contains("brain_t1/"), "{plan}");
}

#[test]
fn options_and_exit_codes_are_handed_on() {
    let options = ["--dry-run", "--one-shot", "--all-pairs", "--experiment", "mnms", "--methods"];
    let (output, plan) = reproduce(&[&options[..], &["tent,adabn"]].concat());
    assert!(output.status.success(), "{plan}");
    for planned in ["runs/quick-one-shot", "adapt/from-C/tent/B/seed-0", "score/adabn/A/seed-0"] {
        assert!(plan.contains(planned), "no {planned} in\n{plan}");
    }
    let (output, said) = reproduce(&["--experiment", "none"]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no experiment `none`") && said.contains("cc359"), "{said}");
}
