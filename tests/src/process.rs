//! A child process that ends with the value that holds it, so that a failed test leaves nothing running.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A [`Child`] that is killed, and reaped, when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// If there is no such program, by name.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Sends SIGTERM, as an orchestrator does.
    ///
    /// # Errors
    /// If it has been waited for already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If it has been waited for already.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(self.id().try_into()?), signal)?)
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Room in this process for some thousand connections, where it may have it.
///
/// # Errors
/// If the kernel refuses.
pub fn allow_many_files() -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.max(4096.min(hard)), hard)?)
}
