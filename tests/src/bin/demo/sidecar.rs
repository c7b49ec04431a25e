//! The sidecar, with the environment that a pod gives it, and its log.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use azwi_tests::emulator::{Emulator, clients};
use azwi_tests::process::Process;
use serde_json::Value;

use crate::cast::{Cast, stdout};

const PROGRAM: &str = "azwi-proxy";

/// Runs until it is dropped.
pub(crate) struct Sidecar {
    log: PathBuf,
    _process: Process,
}

impl Sidecar {
    /// Returns when it says that it is ready, or with the reason why it is not.
    pub(crate) fn start(cast: &Cast, entra: &Emulator<'_>, token_file: &str) -> anyhow::Result<Self> {
        // The emulator's own directory may be closed to other users.
        let ca_file = cast.path("ca.crt");
        fs::copy(entra.ca_file(), &ca_file)?;
        let mut command = cast.command(PROGRAM, cast.proxy_user());
        command
            .env("AZURE_TENANT_ID", entra.tenant())
            .env("AZURE_CLIENT_ID", clients::DEMO)
            .env("AZURE_FEDERATED_TOKEN_FILE", cast.path(token_file))
            .env("AZURE_AUTHORITY_HOST", entra.authority())
            .arg("--ca-file")
            .arg(&ca_file)
            .args(["--propagation-grace", "0"])
            .stderr(cast.create("proxy.log")?);
        let sidecar = Self { log: cast.path("proxy.log"), _process: Process::spawn(&mut command)? };
        stdout(&cast.run(PROGRAM, cast.proxy_user(), &["--probe"])?).with_context(|| sidecar.log_text())?;
        Ok(sidecar)
    }

    /// The last line of its log that has the field `field`.
    pub(crate) fn last_logged_with(&self, field: &str) -> anyhow::Result<Value> {
        let log = self.log_text();
        let lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .into_iter()
            .find(|line| line.get(field).is_some())
            .with_context(|| format!("no {field} in its log:\n{log}"))
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
