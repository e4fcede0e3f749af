//! Tasks of the workspace, a module each; this file only dispatches.
#![forbid(unsafe_code)]

mod bench;
mod book;
mod ci;
mod data;
mod package;
mod reproduce;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Tasks of the udas workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Run the paper's experiments on a phantom, or on real data where they are.
    Reproduce(reproduce::Args),
    /// Measure the network and its kernels, alone or beside PyTorch.
    Bench(bench::Args),
    /// List, fetch, verify and prepare the data sets of `datasets/`.
    Data(data::Args),
    /// Build the book of `docs/` with mdBook.
    Book,
    /// Check the rules of the workspace that the compiler does not know.
    Tidy,
    /// Check that every published crate packs completely and compiles from its package.
    Package,
    /// Run all the checks of continuous integration, the tests last.
    Ci,
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Reproduce(args) => reproduce::run(&args),
        Task::Bench(args) => bench::run(args),
        Task::Data(args) => data::run(&args),
        Task::Book => book::run(),
        Task::Tidy => tidy::run(),
        Task::Package => package::run(),
        Task::Ci => ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
