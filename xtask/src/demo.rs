//! Builds what the demo needs and becomes the demo.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::cargo::{build_programs, program};

/// Returns only if the demo could not be started.
pub(crate) fn run(keep: bool) -> ExitCode {
    let Err(error) = start(keep);
    eprintln!("xtask: {error}");
    ExitCode::FAILURE
}

fn start(keep: bool) -> Result<std::convert::Infallible, String> {
    build_programs()?;
    let demo = program("demo")?;
    let error = Command::new(&demo).args(keep.then_some("--keep")).exec();
    Err(format!("cannot run {}: {error}", demo.display()))
}
