//! A program that ends with the demo, however the demo ends.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Becomes `program`, which the kernel ends together with our parent, even if that is killed. The last to change the
/// user must do it, for the kernel forgets it at such a change (prctl(2)). Returns only if it could not be started.
pub(crate) fn tethered(program: &[OsString]) -> anyhow::Result<()> {
    let (name, arguments) = program.split_first().context("no program named")?;
    set_pdeathsig(Signal::SIGKILL)?;
    Err(Command::new(name).args(arguments).exec()).with_context(|| format!("cannot run {}", name.display()))
}
