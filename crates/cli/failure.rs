//! From an error to the exit code: 2 usage, 3 bad input, 4 rejected or not converged, 1 anything else.
use std::process::ExitCode;

/// What decides an exit code other than 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A file is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The adaptation was not accepted.
    #[error("{0}")]
    Rejected(String),
}

pub fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}

pub fn input(text: impl Into<String>) -> Failure {
    Failure::Input(text.into())
}

pub fn rejected(text: impl Into<String>) -> Failure {
    Failure::Rejected(text.into())
}

/// The code for an error, by the first cause that says something.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(error.chain().find_map(code).unwrap_or(1))
}

/// The error and its causes, but for those that the text before has already.
pub fn describe(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        if text.is_empty() {
            cause
        } else if text.contains(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

/// A message's cause, and the remedy that stands after its last semicolon.
pub fn remedy_of(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once("; ") {
        Some((cause, remedy)) => (cause, Some(remedy)),
        None => (text, None),
    }
}

/// What an error of a library says of the exit code; none where it says nothing.
fn code(cause: &Cause) -> Option<u8> {
    use udas_phantom::Error as Phantom;
    let own = |failure: &Failure| match failure {
        Failure::Usage(_) => 2,
        Failure::Input(_) => 3,
        Failure::Rejected(_) => 4,
    };
    let phantom = |error: &Phantom| match error {
        Phantom::Write { .. } | Phantom::Volume(_) => 1,
        _ => 2,
    };
    let input_or_write = |is_write: bool| Some(if is_write { 1 } else { 3 });
    of(cause, |error| Some(own(error)))
        .or_else(|| of(cause, of_run))
        .or_else(|| of(cause, of_training))
        .or_else(|| of(cause, of_adaptation))
        .or_else(|| of(cause, of_model))
        .or_else(|| of(cause, of_nnunet))
        .or_else(|| of(cause, of_verdict))
        .or_else(|| of(cause, of_network))
        .or_else(|| of(cause, of_study))
        .or_else(|| of(cause, |e| input_or_write(matches!(e, udas_record::Error::Write { .. }))))
        .or_else(|| of(cause, |e| input_or_write(matches!(e, udas_volume::Error::Write { .. }))))
        .or_else(|| of(cause, |e| input_or_write(matches!(e, udas_report::Error::Write { .. }))))
        .or_else(|| of(cause, |_: &udas_data::Error| Some(3)))
        .or_else(|| of(cause, |_: &udas_metrics::Error| Some(3)))
        .or_else(|| of(cause, |_: &udas_record::ResultsError| Some(3)))
        .or_else(|| of(cause, |error| Some(phantom(error))))
}

type Cause = dyn std::error::Error + 'static;

/// The code of an error of this library.
fn of<E: std::error::Error + 'static>(
    cause: &Cause,
    code: impl FnOnce(&E) -> Option<u8>,
) -> Option<u8> {
    cause.downcast_ref().and_then(code)
}

fn of_run(error: &udas_run::Error) -> Option<u8> {
    use udas_run::Error;
    match error {
        Error::Usage(_) => Some(2),
        Error::Input(_) => Some(3),
        Error::Rejected(_) => Some(4),
        error => code(error.handed_on()?),
    }
}

fn of_model(error: &udas_model::Error) -> Option<u8> {
    match error {
        udas_model::Error::Network(error) => of_network(error),
        _ => Some(3),
    }
}

fn of_nnunet(error: &udas_nnunet::Error) -> Option<u8> {
    match error {
        udas_nnunet::Error::Network(error) => of_network(error),
        udas_nnunet::Error::Stopped => None,
        _ => Some(3),
    }
}

fn of_verdict(error: &udas_verdict::Error) -> Option<u8> {
    match error {
        udas_verdict::Error::Model(error) => of_model(error),
        udas_verdict::Error::Adapt(error) => of_adaptation(error),
        _ => Some(3),
    }
}

fn of_study(error: &udas_study::Error) -> Option<u8> {
    use udas_study::Error;
    match error {
        Error::Request(_) => Some(2),
        Error::Definition { .. }
        | Error::Data(_)
        | Error::Unfit { .. }
        | Error::Read { .. }
        | Error::Format { .. }
        | Error::Results(_) => Some(3),
        // The place, another program or a job is at fault.
        _ => Some(1),
    }
}

fn of_adaptation(error: &udas_adapt::Error) -> Option<u8> {
    match error {
        udas_adapt::Error::Train(error) => of_training(error),
        udas_adapt::Error::Option { .. }
        | udas_adapt::Error::Missing { .. }
        | udas_adapt::Error::NoHead { .. } => Some(2),
        _ => Some(3),
    }
}

fn of_training(error: &udas_train::Error) -> Option<u8> {
    match error {
        udas_train::Error::Data(_)
        | udas_train::Error::Batches(_)
        | udas_train::Error::NoBatches { .. }
        | udas_train::Error::Snapshot(_) => Some(3),
        udas_train::Error::Diverged { .. } | udas_train::Error::Refused(_) => Some(4),
        udas_train::Error::Network(error) => of_network(error),
        _ => None,
    }
}

fn of_network(error: &udas_nn::Error) -> Option<u8> {
    match error {
        udas_nn::Error::Tensor(_) | udas_nn::Error::NoParameter(_) => None,
        // The place is at fault, not what was given.
        udas_nn::Error::Write { .. } => Some(1),
        _ => Some(3),
    }
}
