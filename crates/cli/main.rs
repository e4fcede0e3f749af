//! The program `udas`: one match on the command; exit codes are decided here and nowhere else.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod console;
mod contrast;
mod failure;
mod held_out;
mod histograms;
mod interrupt;
mod nnunet;
mod onnx;
mod options;
mod out_file;
mod pairs;
mod predictions;
mod quality;
mod run_subjects;
mod schedule;
mod segmentations;
mod settings;
mod suitability;

use args::{Cli, Command};
use clap::FromArgMatches;
use console::Console;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Feature maps of one step are those of the next: two gigabytes of them are kept.
#[global_allocator]
static ALLOCATOR: udas_kernels::BlockCache = udas_kernels::BlockCache::new(2 << 30);

/// Who has waited for longer is told how long.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // candle's own threads wait for each other in loops that keep a core busy. Its share of the work is small, and on a machine
    // where others compute too, the waiting took longer than the rest of a step.
    udas_kernels::set_variable("CANDLE_NUM_THREADS", "1");
    let (started, matches) = (Instant::now(), args::matches());
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let console = Console::new(&cli.common);
    let result = cli.common.apply(&console).and_then(|()| {
        let Some((_, flags)) = matches.subcommand() else { return Ok(()) };
        run(cli, flags, &console)
    });
    match result {
        Ok(()) => {
            let took = started.elapsed();
            if took > WORTH_A_WORD {
                console.say(format!("done in {}", console::time_words(took)));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            console.error(&error);
            failure::exit_code(&error)
        }
    }
}

fn run(cli: Cli, flags: &clap::ArgMatches, console: &Console) -> anyhow::Result<()> {
    match cli.command {
        Command::Phantom(args) => commands::phantom::run(&args, console),
        Command::Doctor(args) => commands::doctor::run(&args, console),
        Command::Train(args) => commands::train::run(args, flags, console),
        Command::Head(args) => commands::head::run(args, flags, console),
        Command::Adapt(args) => commands::adapt::run(*args, flags, console),
        Command::Predict(args) => commands::predict::run(&args, console),
        Command::Calibrate(args) => commands::calibrate::run(&args, console),
        Command::Judge(args) => commands::judge::run(&args, console),
        Command::Evaluate(args) => commands::evaluate::run(&args, console),
        Command::Convert(args) => commands::convert::run(&args, console),
        Command::Methods(args) => commands::methods::run(&args, console),
        Command::Verify(args) => commands::verify::run(&args, console),
        Command::Report(args) => commands::report::run(&args, console),
        Command::Compare(args) => commands::compare::run(&args, cli.common.threads, console),
        Command::Completions(args) => commands::shell::completions(&args, console),
        Command::Man(args) => commands::shell::man(&args, console),
        Command::RunJob(args) => commands::compare::run_job(&args, console),
    }
}
