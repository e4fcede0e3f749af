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

fn code(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(match failure {
            Failure::Usage(_) => 2,
            Failure::Input(_) => 3,
            Failure::Rejected(_) => 4,
        });
    }
    if let Some(error) = cause.downcast_ref::<udas_train::Error>() {
        return of_training(error);
    }
    if let Some(error) = cause.downcast_ref::<udas_adapt::Error>() {
        return of_adaptation(error);
    }
    if let Some(error) = cause.downcast_ref::<udas_model::Error>() {
        return match error {
            udas_model::Error::Network(error) => of_network(error),
            _ => Some(3),
        };
    }
    if let Some(error) = cause.downcast_ref::<udas_nnunet::Error>() {
        return match error {
            udas_nnunet::Error::Network(error) => of_network(error),
            udas_nnunet::Error::Stopped => None,
            _ => Some(3),
        };
    }
    if let Some(error) = cause.downcast_ref::<udas_verdict::Error>() {
        return match error {
            udas_verdict::Error::Model(udas_model::Error::Network(error)) => of_network(error),
            udas_verdict::Error::Adapt(error) => of_adaptation(error),
            _ => Some(3),
        };
    }
    if let Some(error) = cause.downcast_ref::<udas_nn::Error>() {
        return of_network(error);
    }
    if let Some(error) = cause.downcast_ref::<udas_record::Error>() {
        return Some(if matches!(error, udas_record::Error::Write { .. }) { 1 } else { 3 });
    }
    if let Some(error) = cause.downcast_ref::<udas_volume::Error>() {
        return Some(if matches!(error, udas_volume::Error::Write { .. }) { 1 } else { 3 });
    }
    if let Some(error) = cause.downcast_ref::<udas_report::Error>() {
        return Some(if matches!(error, udas_report::Error::Write { .. }) { 1 } else { 3 });
    }
    if let Some(error) = cause.downcast_ref::<udas_study::Error>() {
        return of_study(error);
    }
    let is_input = cause.is::<udas_data::Error>()
        || cause.is::<udas_metrics::Error>()
        || cause.is::<udas_record::ResultsError>();
    if is_input {
        return Some(3);
    }
    cause.downcast_ref::<udas_phantom::Error>().map(|error| match error {
        udas_phantom::Error::Write { .. } | udas_phantom::Error::Volume(_) => 1,
        _ => 2,
    })
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
        udas_adapt::Error::Option { .. } | udas_adapt::Error::Missing { .. } => Some(2),
        _ => Some(3),
    }
}

fn of_training(error: &udas_train::Error) -> Option<u8> {
    match error {
        udas_train::Error::Data(_)
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
