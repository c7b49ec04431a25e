//! Child processes that end with the demo, however it ends.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use anyhow::Context as _;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Ends with this value.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Becomes `program`, which the kernel ends together with our parent, even if that is killed. The last to change the
/// user must do it, for the kernel forgets it at such a change (prctl(2)). Returns only if it could not be started.
pub(crate) fn tethered(program: &[OsString]) -> anyhow::Result<()> {
    let (name, arguments) = program.split_first().context("no program named")?;
    set_pdeathsig(Signal::SIGKILL)?;
    Err(Command::new(name).args(arguments).exec()).with_context(|| format!("cannot run {}", name.display()))
}
