//! The command line: the program and its commands.
use crate::commands::{
    adapt, calibrate, compare, convert, doctor, evaluate, head, judge, methods, phantom, predict,
    report, shell, train, verify,
};
use crate::options::Common;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, Parser, Subcommand};
use std::fmt::Write;

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

/// The commands by what they are for; help lists them so.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Data", &["doctor", "phantom"]),
    ("Models", &["train", "head", "adapt", "predict", "convert"]),
    ("Trust", &["calibrate", "judge", "evaluate", "verify"]),
    ("Results", &["report", "compare", "methods"]),
    ("Shell", &["completions", "man"]),
];

/// The program's command line, its commands in groups.
pub fn command() -> clap::Command {
    // A number below zero is out of range for most options, which then say so; it is no flag.
    let negative = |arg: Arg| match arg.get_action() {
        ArgAction::Set | ArgAction::Append => arg.allow_negative_numbers(true),
        _ => arg,
    };
    let command = Cli::command().mut_subcommands(|command| command.mut_args(negative));
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let mut listing = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(listing, "{header}{group}:{header:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(listing, "  {literal}{name:<12}{literal:#} {about}");
        }
        listing.push('\n');
    }
    let options = format!("{header}Options of every command:{header:#}");
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{listing}{options}\n{{options}}{{after-help}}"
    ))
}

/// What the program was called with; what cannot be read ends it with a message.
pub fn matches() -> ArgMatches {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    matches.unwrap_or_else(|error| with_tip(error, &command).exit())
}

/// Says how images are given to who gives them without a flag.
fn with_tip(mut error: clap::Error, command: &clap::Command) -> clap::Error {
    let is_stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => !text.starts_with('-'),
        _ => false,
    };
    let words = std::env::args_os().skip(1).filter_map(|word| word.into_string().ok());
    let named = words.into_iter().find_map(|word| command.find_subcommand(word));
    let takes_images = named
        .is_some_and(|command| command.get_arguments().any(|arg| arg.get_id().as_str() == IMAGES));
    if error.kind() == ErrorKind::UnknownArgument && is_stray && takes_images {
        let tip = "give images with -i (--images)".into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// The option that images are given by.
const IMAGES: &str = "images";

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
    Compare(Box<compare::CompareArgs>),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
    #[command(hide = true)]
    RunJob(compare::RunJobArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut shown: Vec<_> = shown.map(|command| command.get_name().to_owned()).collect();
        let mut grouped: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().map(|name| name.to_string()))
            .collect();
        shown.sort();
        grouped.sort();
        assert_eq!(shown, grouped);
        super::command().debug_assert();
    }
}
