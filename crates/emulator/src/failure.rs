//! The ways a command can fail, and the exit code of each.

use std::process::ExitCode;

use clap::error::ErrorKind;

/// As of `azwi-proxy` when it cannot listen.
const OCCUPIED: u8 = 1;
const EX_USAGE: u8 = 64;
const EX_SOFTWARE: u8 = 70;

#[derive(Debug)]
pub(crate) enum Failure {
    /// Bad usage or configuration: every error that can be seen at once, each naming its flag or field.
    Usage(Vec<String>),
    /// An address cannot be had, or another `serve` has the directory.
    Occupied(String),
    /// Everything that the user's arguments are not to blame for.
    Internal(anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::Usage(vec![error.into()])
    }

    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::Internal(error.into())
    }

    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(errors) => {
                for error in errors {
                    eprintln!("azwi-emulator: {error}");
                }
                ExitCode::from(EX_USAGE)
            }
            Self::Occupied(error) => {
                eprintln!("azwi-emulator: {error}");
                ExitCode::from(OCCUPIED)
            }
            Self::Internal(error) => {
                eprintln!("azwi-emulator: {error:#}");
                ExitCode::from(EX_SOFTWARE)
            }
        }
    }
}

/// Prints what clap has to say; `--help` and `--version` are no failures.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    // A closed stdout is the reader's wish.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(EX_USAGE),
    }
}
