//! The demo's directory below the system's temporary one. A process of its own makes it and removes it when the demo
//! ends, however it ends: a signal, a closed terminal or a crash leave nothing behind.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use nix::sys::signal::SigSet;

/// `demo keep-directory`, see [`keep`].
pub(crate) const KEEP: &str = "keep-directory";

pub(crate) struct Directory {
    path: PathBuf,
    keeper: Child,
}

impl Directory {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let demo = env::current_exe().context("cannot tell which executable this is")?;
        let mut keeper = Command::new(demo).arg(KEEP).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut path = String::new();
        BufReader::new(keeper.stdout.take().context("the keeper has no stdout")?).read_line(&mut path)?;
        anyhow::ensure!(path.ends_with('\n'), "no temporary directory");
        Ok(Self { path: path.trim_end_matches('\n').into(), keeper })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closes the keeper's stdin and returns when it has done its work; it has said itself what went wrong.
        drop(self.keeper.wait());
    }
}

/// Makes a directory, tells its path on stdout, and removes it when stdin ends, that is with the parent.
pub(crate) fn keep() -> anyhow::Result<()> {
    // What ends the demo often goes to its whole process group.
    SigSet::all().thread_block()?;
    let directory = tempfile::Builder::new().prefix("azwi-demo-").tempdir().context("no temporary directory")?;
    writeln!(io::stdout(), "{}", directory.path().display())?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    directory.close().context("cannot remove the temporary directory")
}
