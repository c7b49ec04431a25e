//! The commands, one line each.

use std::error::Error as StdError;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use tokio::runtime::{Builder, Runtime};

use crate::{doctor, jwks, pod_identity, service_account, token};

/// What `version` says: from which commit, too.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AZWI_COMMIT"), ")");
const NAME: &str = "azwi";
/// Something could not be done.
const FAILED: u8 = 1;
/// The arguments make no sense. `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

/// Sets Azure AD Workload Identity up for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = NAME, version = VERSION, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the document of keys by which Entra ID knows a cluster's tokens
    Jwks(jwks::Arguments),
    /// Create or delete an identity, its service account and the trust between them
    #[command(name = "serviceaccount", visible_alias = "sa")]
    ServiceAccount(service_account::ServiceAccount),
    /// Bring workloads over from AAD Pod Identity
    #[command(name = "podidentity", visible_alias = "pi", subcommand)]
    PodIdentity(pod_identity::Command),
    /// Say what keeps a pod from getting a token
    Doctor(doctor::Arguments),
    /// Exchange a service account token and show what the access token says
    Token(token::Arguments),
    /// Say which version this is
    Version,
    /// Write what makes a shell complete azwi's arguments
    Completion {
        /// For which shell
        shell: Shell,
    },
}

/// Reads the arguments and does what they ask for.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command }) => report(command.run()),
        Err(error) => {
            // Nobody is left to tell if that fails.
            drop(error.print());
            if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
        }
    }
}

impl Command {
    fn run(self) -> Result<(), Box<dyn StdError>> {
        let mut out = io::stdout().lock();
        match self {
            Self::Jwks(arguments) => jwks::run(&arguments, &mut out)?,
            Self::PodIdentity(command) => runtime()?.block_on(pod_identity::run(&command, &lookup, &mut out))?,
            Self::ServiceAccount(arguments) => {
                runtime()?.block_on(service_account::run(arguments, &lookup, &mut out))?;
            }
            Self::Doctor(arguments) => runtime()?.block_on(doctor::run(&arguments, &lookup, &mut out))?,
            Self::Token(arguments) => runtime()?.block_on(token::run(&arguments, &lookup, &mut out))?,
            Self::Version => writeln!(out, "{NAME} {VERSION}")?,
            Self::Completion { shell } => clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut out),
        }
        Ok(out.flush()?)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn lookup(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// For commands that ask others: one thread, for they wait more than they do.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn report(result: Result<(), Box<dyn StdError>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::from(FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Arguments::command().debug_assert();
    }
}
