//! The machine a run was made on, as far as it explains times and bits.
use serde::{Deserialize, Serialize};

/// Where a run was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub platform: String,
    /// Instruction set of the kernels.
    pub instruction_set: String,
    /// Threads used.
    pub threads: usize,
    /// `cpu`, `cuda` or `metal`.
    pub device: String,
}

/// The largest resident memory of this process so far; none where the system does not tell.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
