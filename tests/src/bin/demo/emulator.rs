//! Entra ID and the cluster's issuer, as `azwi-emulator` plays them; spoken to through its own command line.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use azwi_tests::namespace::As;
use serde_json::Value;

use crate::cast::{Cast, stdout};
use crate::json::{field, text_field};
use crate::process::Process;

const PROGRAM: &str = "azwi-emulator";
/// The pod's service account, which the emulator's `demo` application trusts.
pub(crate) const SUBJECT: &str = "system:serviceaccount:default:demo";

/// Runs until it is dropped.
pub(crate) struct Emulator {
    pub(crate) authority: String,
    pub(crate) issuer: String,
    pub(crate) tenant: String,
    pub(crate) ca_file: PathBuf,
    directory: PathBuf,
    config: Value,
    _process: Process,
}

impl Emulator {
    /// Returns when it announces where it listens.
    pub(crate) fn start(cast: &Cast) -> anyhow::Result<Self> {
        let directory = cast.path("emulator");
        let config = stdout(&cast.run(PROGRAM, As::Root, ["serve", "--print-config"])?)?;
        let mut command = cast.command(PROGRAM, As::Root)?;
        command.arg("serve").arg("--dir").arg(&directory).stdout(Stdio::piped());
        command.stderr(cast.create("emulator.log")?);
        let mut process = Process::spawn(command)?;
        let mut announced = String::new();
        BufReader::new(process.stdout()?).read_line(&mut announced)?;
        let endpoints: Value = serde_json::from_str(&announced).context("it did not say where it listens")?;
        Ok(Self {
            authority: text_field(&endpoints, "authority")?,
            issuer: text_field(&endpoints, "issuer")?,
            tenant: text_field(&endpoints, "tenant_id")?,
            ca_file: text_field(&endpoints, "ca_file")?.into(),
            config: serde_json::from_str(&config).context("its configuration is not JSON")?,
            directory,
            _process: process,
        })
    }

    /// Client id and trusted subject of the application `name` in its configuration.
    pub(crate) fn application(&self, name: &str) -> anyhow::Result<Application> {
        let applications = self.config.pointer("/tenants/0/applications").and_then(Value::as_array);
        let mut applications = applications.context("no applications")?.iter();
        let found = applications.find(|application| *field(application, "name") == name);
        let found = found.with_context(|| format!("no application {name:?}"))?;
        let credential = found.pointer("/federated_identity_credentials/0").context("it trusts nobody")?;
        Ok(Application {
            client_id: text_field(found, "client_id")?,
            trusted_subject: text_field(credential, "subject")?,
        })
    }

    /// Writes a service account token, as a kubelet does, and returns it.
    pub(crate) fn project_token(&self, cast: &Cast, file: &str) -> anyhow::Result<String> {
        let path = cast.path(file);
        let path = path.to_str().context("the temporary directory has a strange name")?;
        self.ask(cast, &["token", "--subject", SUBJECT, "--output", path])?;
        Ok(std::fs::read_to_string(path)?)
    }

    /// How many token requests have reached Entra ID.
    pub(crate) fn exchanges(&self, cast: &Cast) -> anyhow::Result<u64> {
        let counters: Value = serde_json::from_str(&self.ask(cast, &["counters"])?)?;
        field(&counters, "exchanges").as_u64().context("it does not count exchanges")
    }

    /// From now on Entra ID answers every token request with this HTTP status.
    pub(crate) fn fail_with(&self, cast: &Cast, status: u16) -> anyhow::Result<()> {
        self.ask(cast, &["fault", &format!(r#"{{"status":{status}}}"#)]).map(drop)
    }

    /// Entra ID is well again.
    pub(crate) fn recover(&self, cast: &Cast) -> anyhow::Result<()> {
        self.ask(cast, &["fault", "--clear"]).map(drop)
    }

    fn ask(&self, cast: &Cast, arguments: &[&str]) -> anyhow::Result<String> {
        let directory = self.directory.to_str().context("the temporary directory has a strange name")?;
        let (command, rest) = arguments.split_first().context("nothing to ask")?;
        let arguments = [command, "--dir", directory].into_iter().chain(rest.iter().copied());
        stdout(&cast.run(PROGRAM, As::Root, arguments)?).with_context(|| format!("{PROGRAM} {command}"))
    }
}

/// An identity that Entra ID knows.
pub(crate) struct Application {
    pub(crate) client_id: String,
    /// Of its first federated identity credential.
    pub(crate) trusted_subject: String,
}
