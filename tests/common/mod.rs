//! What the end-to-end tests share: the built program, run in a folder of its own.
#![allow(dead_code)]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Options of the shortest training of the smallest network.
pub const TINY: &str = "--filters 2 --batch-size 8 --epochs 1";

/// A folder to run the program in.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a phantom of two scanners, and a network and a head trained on one.
    pub fn trained() -> Self {
        let bench = Self::new();
        bench.succeed(
            "phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 2 --matrix 32",
        );
        bench.succeed(&format!("train --data ph --domain GE_3 {TINY} --out src"));
        bench.succeed(
            "head --model src --data ph --domain GE_3 --batch-size 8 --epochs 1 --out src/head0",
        );
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with arguments given as one line; paths have no spaces here.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_udas"));
        command.args(line.split_whitespace()).current_dir(self.folder.path());
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that must succeed; gives its standard output.
    #[track_caller]
    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(
            output.status.success(),
            "udas {line}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must end with `code`, its message holding all `parts`.
    #[track_caller]
    pub fn fail(&self, line: &str, code: i32, parts: &[&str]) {
        let output = self.run(line);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "udas {line}\n{message}");
        for part in parts {
            assert!(message.contains(part), "udas {line}: no {part:?} in\n{message}");
        }
        assert!(!message.contains("panicked"), "{message}");
    }
}

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}
