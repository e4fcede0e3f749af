//! Options that all commands share.
use crate::console::Console;
use crate::failure;
use candle_core::Device;
use clap::Args;
use serde::Deserialize;

pub use udas_run::flags::word;

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Where to compute; `cuda` and `metal` are there in builds with the feature of that name
    #[arg(long, global = true, default_value = "cpu", value_parser = word::<DeviceName>())]
    pub device: DeviceName,
    /// Say less: results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colours
    #[arg(long, global = true, default_value = "auto", value_parser = word::<Colour>())]
    pub color: Colour,
    /// Results on standard output as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceName {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda,
    #[cfg(feature = "metal")]
    Metal,
}

/// When the program's words have colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

impl Common {
    /// Sets the number of threads, and refuses a device that this build has not got.
    pub fn apply(&self, console: &Console) -> anyhow::Result<()> {
        self.device()?;
        if let Some(threads) = self.threads {
            anyhow::ensure!(threads > 0, failure::usage("--threads 0: give at least 1"));
            // More only wait for each other: a kernel ends with its slowest piece, which then waits for a core.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            if threads > cores {
                let (words, are) = if cores == 1 { ("core", "is") } else { ("cores", "are") };
                console.warn(format!(
                    "--threads {threads}: this machine has {cores} {words} to give; {cores} {are} used"
                ));
            }
            rayon::ThreadPoolBuilder::new().num_threads(threads.min(cores)).build_global()?;
        }
        Ok(())
    }

    pub fn device(&self) -> anyhow::Result<Device> {
        let device: candle_core::Result<Device> = match self.device {
            DeviceName::Cpu => Ok(Device::Cpu),
            #[cfg(feature = "cuda")]
            DeviceName::Cuda => Device::new_cuda(0),
            #[cfg(feature = "metal")]
            DeviceName::Metal => Device::new_metal(0),
        };
        device.map_err(|error| {
            let name = self.device;
            let text = format!("device {name:?} cannot be used ({error}); take --device cpu");
            failure::usage(&text.to_lowercase()).into()
        })
    }
}
