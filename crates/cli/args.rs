//! The command line: the program and its commands.
use crate::adaptation::AdaptArgs;
use crate::commands::{
    calibrate, compare, convert, doctor, evaluate, head, judge, methods, phantom, predict, report,
    train, verify,
};
use crate::options::Common;
use clap::{Parser, Subcommand};

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
    Adapt(Box<AdaptArgs>),
    Predict(predict::PredictArgs),
    Calibrate(calibrate::CalibrateArgs),
    Judge(judge::JudgeArgs),
    Evaluate(evaluate::EvaluateArgs),
    Convert(convert::ConvertArgs),
    Methods(methods::MethodsArgs),
    Verify(verify::VerifyArgs),
    Report(report::ReportArgs),
    Compare(Box<compare::CompareArgs>),
    #[command(hide = true)]
    RunJob(compare::RunJobArgs),
}
