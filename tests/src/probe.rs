//! Shows where a connection lands: named listeners, and a client that tells which one answered.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::binaries::binary;
use crate::namespace::{As, Namespace};
use crate::process::Process;

/// A process that listens until this value is dropped.
#[derive(Debug)]
pub struct Listener {
    _process: Process,
}

impl Listener {
    /// Listens on `address` (`IP:PORT`) as `user` and answers every connection with `name`. Returns once it listens.
    ///
    /// # Errors
    /// If `probe` is not built or cannot listen there; its own words are on stderr.
    pub fn start(namespace: &Namespace, user: As, address: &str, name: &str) -> anyhow::Result<Self> {
        let mut command = namespace.command(binary("probe")?, user);
        let mut process = Process::spawn(command.args(["listen", address, name]).stdout(Stdio::piped()))?;
        let stdout = process.stdout.take().context("probe has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != "listening" {
            bail!("probe does not listen on {address}");
        }
        Ok(Self { _process: process })
    }
}

/// The name of the [`Listener`] that answers `user`'s connection to `address` (`IP:PORT`).
///
/// # Errors
/// With the client's words, if nobody answers.
pub fn who_answers(namespace: &Namespace, user: As, address: &str) -> anyhow::Result<String> {
    let output = namespace.command(binary("probe")?, user).args(["connect", address]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
