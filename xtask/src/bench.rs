//! Builds the sidecar as it ships and what it is measured with, and becomes the measurement.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::cargo::{build_released, released};

/// Returns only if the measurement could not be started.
pub(crate) fn run(options: &[String]) -> ExitCode {
    let Err(error) = start(options);
    eprintln!("xtask: {error}");
    ExitCode::FAILURE
}

fn start(options: &[String]) -> Result<std::convert::Infallible, String> {
    build_released(&["azwi-proxy", "azwi-emulator", "azwi-bench"])?;
    let bench = released("azwi-bench")?;
    let error = Command::new(&bench).args(options).exec();
    Err(format!("cannot run {}: {error}", bench.display()))
}
