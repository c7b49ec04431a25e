//! A pod as the webhook would make it: the real redirect, the sidecar behind it, and an app that knows nothing of both.
//!
//! Entra and the service account token are the emulator's. There is no container: the app sees the machine's files,
//! but of the network only what the pod has.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::binaries::binary;
use crate::emulator::{DEMO_SUBJECT, Emulator, clients};
use crate::log::Log;
use crate::namespace::{As, Namespace};
use crate::process::Process;
use crate::proxy_init::proxy_init;

/// Everything that runs in it ends with this value.
pub struct Pod {
    /// Entra and the cluster's issuer.
    pub entra: Emulator<'static>,
    _sidecar: Process,
    namespace: Arc<Namespace>,
    directory: TempDir,
}

impl Pod {
    /// A pod whose default identity is [`clients::DEMO`], without a grace for propagation.
    ///
    /// # Errors
    /// If the machine forbids namespaces, something is not built, or something does not start.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(&[])
    }

    /// With more arguments for the sidecar.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(sidecar_args: &[&str]) -> anyhow::Result<Self> {
        let namespace = Arc::new(Namespace::new()?);
        let redirect = proxy_init::<&str>(&namespace, As::Root, &[], &[])?;
        ensure!(redirect.code == 0, "azwi-proxy-init: {}", redirect.log);
        let entra = emulator(&namespace)?;
        let directory = TempDir::with_prefix("azwi-pod-")?;
        let token_file = directory.path().join("azure-identity-token");
        entra.write_token(&token_file, DEMO_SUBJECT)?;
        let mut sidecar = sidecar(&namespace, &entra, &token_file)?;
        let sidecar = listening(sidecar.args(sidecar_args))?;
        Ok(Self { entra, _sidecar: sidecar, namespace, directory })
    }

    /// Its network, and whoever is root there.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A command that runs `program` as an app of the pod: with nothing in its environment but `PATH` and a home of its
    /// own, and with no power over the network. Arguments and standard streams are added as usual.
    pub fn app(&self, program: &Path) -> Command {
        let mut app = self.namespace.command(program, As::RootWithoutNetAdmin);
        app.env_clear().envs(search_path()).env("HOME", self.directory.path()).current_dir(self.directory.path());
        app
    }
}

/// Interpreters lie where the machine's owner has put them.
#[expect(clippy::disallowed_methods, reason = "to hand it on to what is run, not to be configured by it")]
fn search_path() -> Option<(&'static str, OsString)> {
    Some(("PATH", env::var_os("PATH")?))
}

fn emulator(namespace: &Arc<Namespace>) -> anyhow::Result<Emulator<'static>> {
    let program = binary("azwi-emulator")?;
    let namespace = Arc::clone(namespace);
    Emulator::start_in(move || namespace.command(&program, As::Root), None, &[])
}

/// On its usual port, for that is where the redirect leads.
fn sidecar(namespace: &Namespace, entra: &Emulator<'_>, token_file: &Path) -> anyhow::Result<Command> {
    let mut command = namespace.command(binary("azwi-proxy")?, As::Root);
    command
        .env_clear()
        .env("AZURE_TENANT_ID", entra.tenant())
        .env("AZURE_CLIENT_ID", clients::DEMO)
        .env("AZURE_FEDERATED_TOKEN_FILE", token_file)
        .env("AZURE_AUTHORITY_HOST", entra.authority())
        .arg("--ca-file")
        .arg(entra.ca_file())
        .args(["--propagation-grace", "0"]);
    Ok(command)
}

fn listening(sidecar: &mut Command) -> anyhow::Result<Process> {
    let mut process = Process::spawn(sidecar.stderr(Stdio::piped()))?;
    let log = Log::follow(process.stderr.take().context("no stderr")?);
    if log.wait_for(&[("message", "listening")]).is_some() {
        return Ok(process);
    }
    // It may be alive and silent, and its log would have no end.
    drop(process);
    anyhow::bail!("azwi-proxy did not start:\n{}", log.whole())
}
