//! The usual scene: Entra as `azwi-emulator` plays it, a projected service account token, and the sidecar between them.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use crate::emulator::DEMO_SUBJECT as SUBJECT;
use crate::emulator::Emulator;
pub use crate::emulator::clients::{DEMO, ORPHAN, SECOND};
use crate::http::Response;
use crate::metrics;
use crate::proxy::Proxy;

/// What apps usually ask for, as it stands in a query.
pub const RESOURCE: &str = "resource=https%3A%2F%2Fmanagement.azure.com%2F";

/// Entra, the token and the sidecar; all end with this value.
pub struct Stage {
    /// The sidecar.
    pub proxy: Proxy,
    /// Entra and the cluster's issuer.
    pub entra: Emulator<'static>,
    directory: TempDir,
}

/// A service account token that says nothing: `{}`, `{}` and no signature.
pub const BLANK_TOKEN: &str = "e30.e30.bm9uZQ";
/// The name of the service account token's file.
const TOKEN_FILE: &str = "azure-identity-token";
/// An empty directory of root certificates, in that of a stage.
const NO_ROOTS: &str = "no-roots";

/// The tenant of [`alone`].
pub const BLANK_TENANT: &str = "11111111-1111-4111-8111-111111111111";

/// The sidecar without an emulator, for servers that do not look at what they are sent: with [`BLANK_TOKEN`] in
/// `directory`, and with more environment variables and arguments.
///
/// # Errors
/// If it does not start.
pub fn alone(directory: &Path, env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<Proxy> {
    let token_file = directory.join(TOKEN_FILE);
    fs::write(&token_file, BLANK_TOKEN)?;
    let token_file = token_file.to_string_lossy();
    let usual =
        [("AZURE_CLIENT_ID", DEMO), ("AZURE_TENANT_ID", BLANK_TENANT), ("AZURE_FEDERATED_TOKEN_FILE", &token_file)];
    Proxy::start(&usual.iter().chain(env).copied().collect::<Vec<_>>(), args)
}

impl Stage {
    /// The sidecar as a webhook would configure it for the `demo` identity, without a grace for propagation.
    ///
    /// # Errors
    /// If something does not start.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(&[], &[])
    }

    /// With more environment variables (the last of a name wins) and more arguments for the sidecar.
    ///
    /// # Errors
    /// If something does not start.
    pub fn with(env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let entra = Emulator::start()?;
        let token_file = directory.path().join(TOKEN_FILE);
        entra.write_token(&token_file, SUBJECT)?;
        let proxy = sidecar(Proxy::start, &entra, &token_file, env, args)?;
        Ok(Self { proxy, entra, directory })
    }

    /// The sidecar as it ships, logging and metered as the webhook has it, in an image without certificates of its own;
    /// and an Entra that knows [`crate::resources`].
    ///
    /// # Errors
    /// If it is not built, or something does not start.
    pub fn released(args: &[&str]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let entra = Emulator::start_with(Some(&crate::resources::config()), &[])?;
        let token_file = directory.path().join(TOKEN_FILE);
        entra.write_token(&token_file, SUBJECT)?;
        fs::create_dir(directory.path().join(NO_ROOTS))?;
        let proxy = sidecar_as_it_ships(&entra, directory.path(), args)?;
        Ok(Self { proxy, entra, directory })
    }

    /// Replaces the sidecar by one as it ships that starts now; as [`Self::released`] otherwise.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart_released(&mut self, args: &[&str]) -> anyhow::Result<()> {
        self.proxy = sidecar_as_it_ships(&self.entra, self.directory.path(), args)?;
        Ok(())
    }

    /// Replaces the sidecar by one that starts now, with whatever fault is in force; as [`Self::with`] otherwise.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self, env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<()> {
        self.proxy = sidecar(Proxy::start, &self.entra, &self.token_file(), env, args)?;
        Ok(())
    }

    /// Where the sidecar reads the service account token.
    pub fn token_file(&self) -> PathBuf {
        self.directory.path().join(TOKEN_FILE)
    }

    /// Asks the sidecar for the usual token.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn token(&self) -> anyhow::Result<Response> {
        self.proxy.token(RESOURCE)
    }

    /// How many token requests have reached Entra.
    ///
    /// # Errors
    /// If the emulator cannot be asked.
    pub fn exchanges(&self) -> anyhow::Result<u64> {
        Ok(self.entra.counters()?.exchanges)
    }
}

/// [`Proxy::start`] or [`Proxy::start_released`].
type Start = fn(&[(&str, &str)], &[&str]) -> anyhow::Result<Proxy>;

fn sidecar(
    start: Start,
    entra: &Emulator,
    token_file: &Path,
    env: &[(&str, &str)],
    args: &[&str],
) -> anyhow::Result<Proxy> {
    let token_file = token_file.to_string_lossy().into_owned();
    let ca_file = entra.ca_file().to_string_lossy().into_owned();
    let usual = [
        ("AZURE_CLIENT_ID", DEMO),
        ("AZURE_TENANT_ID", entra.tenant()),
        ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
        ("AZURE_AUTHORITY_HOST", entra.authority()),
        ("AZWI_PROPAGATION_GRACE", "0"),
    ];
    let env: Vec<_> = usual.iter().chain(env).copied().collect();
    let args: Vec<_> = ["--ca-file", &ca_file].iter().chain(args).copied().collect();
    start(&env, &args)
}

fn sidecar_as_it_ships(entra: &Emulator, directory: &Path, args: &[&str]) -> anyhow::Result<Proxy> {
    let args = [&[metrics::FLAG, "--log-level=info"], args].concat();
    let no_roots = directory.join(NO_ROOTS);
    let env = [("SSL_CERT_DIR", &*no_roots.to_string_lossy())];
    sidecar(Proxy::start_released, entra, &directory.join(TOKEN_FILE), &env, &args)
}
