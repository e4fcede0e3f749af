//! The command line: commands, and the options that all of them share.
use crate::commands::{
    adapt, calibrate, convert, doctor, evaluate, head, judge, methods, phantom, predict, report,
    train, verify,
};
use candle_core::Device;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

/// Adapts a medical segmentation network to a new scanner without labels.
///
/// The way of a model: `udas train` on labelled volumes of scanner A, `udas head` for an early head,
/// `udas adapt` on unlabelled volumes of scanner B, `udas predict`, and `udas evaluate` where labels exist.
#[derive(Parser)]
#[command(name = "udas", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Phantom(phantom::PhantomArgs),
    Doctor(doctor::DoctorArgs),
    Train(train::TrainArgs),
    Head(head::HeadArgs),
    Adapt(Box<adapt::AdaptArgs>),
    Predict(predict::PredictArgs),
    Calibrate(calibrate::CalibrateArgs),
    Judge(judge::JudgeArgs),
    Evaluate(evaluate::EvaluateArgs),
    Convert(convert::ConvertArgs),
    Methods(methods::MethodsArgs),
    Verify(verify::VerifyArgs),
    Report(report::ReportArgs),
}

/// Options of every command.
#[derive(Args)]
pub struct Common {
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Where to compute: cpu, cuda or metal (the latter two in builds with --features candle-core/cuda or
    /// candle-core/metal)
    #[arg(long, global = true, default_value = "cpu", value_parser = word::<DeviceName>)]
    pub device: DeviceName,
    /// Say less: results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Results on standard output as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceName {
    Cpu,
    Cuda,
    Metal,
}

impl Common {
    /// Sets the number of threads, and refuses a device that this build has not got.
    pub fn apply(&self) -> anyhow::Result<()> {
        self.device()?;
        if let Some(threads) = self.threads {
            anyhow::ensure!(threads > 0, crate::failure::usage("--threads 0: give at least 1"));
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        }
        Ok(())
    }

    pub fn device(&self) -> anyhow::Result<Device> {
        let device = match self.device {
            DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda => Device::new_cuda(0),
            DeviceName::Metal => Device::new_metal(0),
        };
        device.map_err(|error| {
            let name = self.device;
            let text = format!("device {name:?} cannot be used ({error}); take --device cpu");
            crate::failure::usage(&text.to_lowercase()).into()
        })
    }
}

/// Reads a flag's word by the type's own names; the error lists them.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<Error>::new(text)).map_err(|error| error.to_string())
}
