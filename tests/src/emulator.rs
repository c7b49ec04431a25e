//! A handle to a running `azwi-emulator`: Entra ID and a cluster's issuer for one test.
//!
//! Everything goes through the emulator's own command line, so it works alike on the machine and inside a
//! [`Namespace`], whose loopback no process outside can reach.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::binary;
use crate::namespace::{As, Namespace};
use crate::process::Process;

/// Client ids of the emulator's built-in configuration.
pub mod clients {
    /// A managed identity that trusts `system:serviceaccount:default:demo`.
    pub const DEMO: &str = "22222222-2222-4222-8222-222222222222";
    /// A second managed identity that trusts the same service account, and `system:serviceaccount:default:second`.
    pub const SECOND: &str = "33333333-3333-4333-8333-333333333333";
    /// An app registration that trusts only `system:serviceaccount:elsewhere:nobody`.
    pub const ORPHAN: &str = "44444444-4444-4444-8444-444444444444";
    /// An app registration that trusts `system:serviceaccount:default:demo`; its tokens live an hour.
    pub const APP: &str = "55555555-5555-4555-8555-555555555555";
    /// An app registration that nobody federates with; it logs in with [`super::OPERATOR_SECRET`].
    pub const OPERATOR: &str = "66666666-6666-4666-8666-666666666666";
}

/// The client secret of [`clients::OPERATOR`].
pub const OPERATOR_SECRET: &str = "azwi-emulator";

/// The Azure subscription of the built-in configuration.
pub const SUBSCRIPTION: &str = "77777777-7777-4777-8777-777777777777";

/// The service account that [`clients::DEMO`] trusts.
pub const DEMO_SUBJECT: &str = "system:serviceaccount:default:demo";

/// How long [`Emulator::wait_for_exchanges`] waits before it calls the test failed, in milliseconds.
const PATIENCE_MS: &str = "20000";

/// A running emulator with a directory of its own. Ends when dropped.
pub struct Emulator<'a> {
    command: Box<dyn Fn() -> Command + Send + Sync + 'a>,
    process: Process,
    dir: TempDir,
    ready: Value,
}

/// What the emulator has counted since its start or the last [`Emulator::reset_counters`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Token requests that have arrived, answered or not.
    pub exchanges: u64,
    /// Token requests answered with a token.
    pub succeeded: u64,
    /// Token requests answered with an error, by AADSTS code.
    pub refused: BTreeMap<String, u64>,
    /// Token requests that have arrived, by client id.
    pub by_client: BTreeMap<String, u64>,
    /// Connections to the token endpoint.
    pub connections: u64,
    /// Token requests that came over HTTP/2.
    pub requests_http2: u64,
}

impl Emulator<'static> {
    /// With the built-in configuration, on the machine's loopback.
    ///
    /// # Errors
    /// If `azwi-emulator` is not built or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(None, &[])
    }

    /// With a configuration (JSON) of one's own, if any, and more arguments for `serve`.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_with(config: Option<&str>, serve_args: &[&str]) -> anyhow::Result<Self> {
        let program = binary("azwi-emulator")?;
        Self::start_in(move || Command::new(&program), config, serve_args)
    }
}

impl<'a> Emulator<'a> {
    /// With the built-in configuration, on the loopback of a namespace.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_in_namespace(namespace: &'a Namespace) -> anyhow::Result<Self> {
        let program = binary("azwi-emulator")?;
        Self::start_in(move || namespace.command(&program, As::Root), None, &[])
    }

    /// Wherever the commands of `command` run: each must run `azwi-emulator`, still without arguments.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_in(
        command: impl Fn() -> Command + Send + Sync + 'a,
        config: Option<&str>,
        serve_args: &[&str],
    ) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("azwi-emulator-")?;
        let mut serve = command();
        serve.args(["serve", "--dir"]).arg(dir.path());
        let is_given = |flag: &&str| serve_args.iter().any(|argument| argument.starts_with(flag));
        let addresses = ["--entra-address", "--issuer-address", "--control-address"];
        serve.args(addresses.iter().filter(|flag| !is_given(flag)).map(|flag| format!("{flag}=127.0.0.1:0")));
        if let Some(config) = config {
            let file = dir.path().join("config.json");
            fs::write(&file, config)?;
            serve.arg("--config").arg(file);
        }
        let log = File::create(dir.path().join("log"))?;
        serve.args(serve_args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let process = Process::spawn(&mut serve)?;
        let mut emulator = Self { command: Box::new(command), process, dir, ready: Value::Null };
        emulator.ready = emulator.read_ready_line()?;
        Ok(emulator)
    }

    fn read_ready_line(&mut self) -> anyhow::Result<Value> {
        let stdout = self.process.stdout.take().context("azwi-emulator has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("azwi-emulator did not start: {}", self.log()))
    }

    /// `https://localhost:PORT/`: the value for `AZURE_AUTHORITY_HOST`.
    pub fn authority(&self) -> &str {
        self.announced("authority")
    }

    /// `https://localhost:PORT`: the cluster's issuer.
    pub fn issuer(&self) -> &str {
        self.announced("issuer")
    }

    /// `http://127.0.0.1:PORT`: the control API.
    pub fn control(&self) -> &str {
        self.announced("control")
    }

    /// The first tenant's id.
    pub fn tenant(&self) -> &str {
        self.announced("tenant_id")
    }

    /// The certificate authority that clients must trust.
    pub fn ca_file(&self) -> PathBuf {
        PathBuf::from(self.announced("ca_file"))
    }

    /// The directory with the emulator's keys.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the emulator has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn announced(&self, key: &str) -> &str {
        self.ready.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A fresh service account token for the subject, which the emulator's Entra accepts for an hour.
    ///
    /// # Errors
    /// If the subject is no service account.
    pub fn token(&self, subject: &str) -> anyhow::Result<String> {
        self.token_with(subject, &[])
    }

    /// Like [`Emulator::token`], with more arguments for `azwi-emulator token`.
    ///
    /// # Errors
    /// If the arguments are refused.
    pub fn token_with(&self, subject: &str, token_args: &[&str]) -> anyhow::Result<String> {
        let token = self.run("token", &[&["--subject", subject], token_args].concat())?;
        Ok(token.trim_end().to_owned())
    }

    /// Replaces the file atomically by a fresh token, as a kubelet does.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_token(&self, path: &Path, subject: &str) -> anyhow::Result<()> {
        self.write_token_with(path, subject, &[])
    }

    /// Like [`Emulator::write_token`], with more arguments for `azwi-emulator token`.
    ///
    /// # Errors
    /// If the arguments are refused or the file cannot be written.
    pub fn write_token_with(&self, path: &Path, subject: &str, token_args: &[&str]) -> anyhow::Result<()> {
        let path = path.to_str().context("the path is not UTF-8")?;
        self.run("token", &[&["--subject", subject, "--output", path], token_args].concat())?;
        Ok(())
    }

    /// Puts a fault (JSON) in force in place of the present one.
    ///
    /// # Errors
    /// If the emulator refuses it.
    pub fn faults(&self, fault: &str) -> anyhow::Result<()> {
        self.run("fault", &[fault]).map(drop)
    }

    /// Ends the fault in force.
    ///
    /// # Errors
    /// If the emulator has gone.
    pub fn clear_faults(&self) -> anyhow::Result<()> {
        self.run("fault", &["--clear"]).map(drop)
    }

    /// What has been counted so far.
    ///
    /// # Errors
    /// If the emulator has gone.
    pub fn counters(&self) -> anyhow::Result<Counters> {
        Counters::parse(&self.run("counters", &[])?)
    }

    /// Sets all counters to zero.
    ///
    /// # Errors
    /// If the emulator has gone.
    pub fn reset_counters(&self) -> anyhow::Result<()> {
        self.run("counters", &["--reset"]).map(drop)
    }

    /// Returns once at least `exchanges` token requests have arrived, answered or not.
    ///
    /// # Errors
    /// If they do not arrive within 20 seconds.
    pub fn wait_for_exchanges(&self, exchanges: u64) -> anyhow::Result<Counters> {
        let arguments = ["--exchanges", &exchanges.to_string(), "--timeout-ms", PATIENCE_MS];
        Counters::parse(&self.run("counters", &arguments)?)
    }

    /// Stops it in the middle of whatever it does: connections stay, and nothing answers.
    ///
    /// # Errors
    /// If it has gone.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// The end of [`Emulator::freeze`].
    ///
    /// # Errors
    /// If it has gone.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    fn run(&self, subcommand: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = (self.command)();
        command.arg(subcommand).arg("--dir").arg(self.dir.path()).args(arguments).stdin(Stdio::null());
        let output = command.output().context("cannot run azwi-emulator")?;
        if !output.status.success() {
            bail!("azwi-emulator {subcommand}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Counters {
    fn parse(json: &str) -> anyhow::Result<Self> {
        let json: Value = serde_json::from_str(json).context("the counters are not JSON")?;
        let number = |name: &str| json.get(name).and_then(Value::as_u64).with_context(|| format!("no `{name}`"));
        let map = |name: &str| -> anyhow::Result<BTreeMap<String, u64>> {
            let entries = json.get(name).and_then(Value::as_object).with_context(|| format!("no `{name}`"))?;
            entries.iter().map(|(key, n)| Ok((key.clone(), n.as_u64().context("not a number")?))).collect()
        };
        Ok(Self {
            exchanges: number("exchanges")?,
            succeeded: number("succeeded")?,
            refused: map("refused")?,
            by_client: map("by_client")?,
            connections: number("connections")?,
            requests_http2: number("requests_http2")?,
        })
    }
}
