//! A child process that ends with the value that stands for it.

use std::process::{Child, ChildStdout, Command};

use anyhow::Context as _;

pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Its stdout, if it was piped; once.
    pub(crate) fn stdout(&mut self) -> anyhow::Result<ChildStdout> {
        self.0.stdout.take().context("its output is not piped")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
