//! Runs the built `azwi-proxy-init` on a stage and keeps what it answered.

use std::ffi::OsStr;

use anyhow::Context as _;

use crate::binaries::binary;
use crate::namespace::{As, Namespace};

/// What one run told its user.
#[derive(Debug)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// All of stderr: JSON lines, or clap's words for a wrong command line.
    pub log: String,
    /// All of stdout: what it was asked to tell.
    pub told: String,
}

/// Runs it to its end. Of the settings that it reads it sees those in `env` only.
///
/// # Errors
/// If it is not built or was ended by a signal.
pub fn proxy_init<E: AsRef<OsStr>>(
    stage: &Namespace,
    user: As,
    args: &[&str],
    env: &[(&str, E)],
) -> anyhow::Result<Answer> {
    let mut command = stage.command(binary("azwi-proxy-init")?, user);
    for name in ["PROXY_PORT", "METADATA_IP", "METADATA_PORT", "PROXY_UID"] {
        command.env_remove(name);
    }
    let output = command.args(args).envs(env.iter().map(|(name, value)| (name, value))).output()?;
    let code = output.status.code().context("azwi-proxy-init was ended by a signal")?;
    Ok(Answer { code, log: String::from_utf8(output.stderr)?, told: String::from_utf8(output.stdout)? })
}
