//! The webhook, and the server that allows everything.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use azwi_tests::api_server::{Accounts, ApiServer};
use azwi_tests::binaries::binary;
use azwi_tests::lone_webhook::{LoneWebhook, server_name, tls};
use azwi_tests::process::Process;
use azwi_tests::tls_server::Authority;
use tempfile::TempDir;

use crate::cores::Cores;
use crate::load::{Address, Load, Tls};

/// A webhook that is ready.
pub(super) struct Webhook {
    program: LoneWebhook,
    tls: Tls,
    ready: Instant,
}

impl Webhook {
    /// Its API server plays on the load's core.
    pub(super) fn start(cores: Cores, accounts: Accounts) -> anyhow::Result<Self> {
        let api = ApiServer::start(accounts)?;
        let program = cores.on_the_servers(|| LoneWebhook::spawn(api))?.until_ready()?;
        let ready = Instant::now();
        let tls = Tls { config: program.tls()?, name: server_name()? };
        Ok(Self { program, tls, ready })
    }

    pub(super) fn pid(&self) -> u32 {
        self.program.pid()
    }

    pub(super) fn address(&self) -> Address<'_> {
        Address { port: self.program.port(), tls: Some(&self.tls) }
    }

    /// From being ready to the whole answer to one of `requests`, on a new connection.
    pub(super) fn first(&self, requests: &[Vec<u8>]) -> anyhow::Result<Duration> {
        Load::new(self.address(), requests)?.one_after_another(1)?;
        Ok(self.ready.elapsed())
    }

    /// The most that was ever in memory, in bytes.
    pub(super) fn peak(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(line.context("the kernel does not tell")?.trim().parse::<u64>()? * 1024)
    }
}

/// The server that allows everything.
pub(super) struct Yardstick {
    process: Process,
    port: u16,
    tls: Tls,
}

impl Yardstick {
    /// With a key of the webhook's kind.
    pub(super) fn start(cores: Cores) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("azwi-bench-")?;
        let authority = Authority::new("nobody")?;
        let name = server_name()?;
        let (certificate, key) = authority.certificate(&[&name.to_str()])?;
        let path = |name, text| -> anyhow::Result<_> {
            let path = directory.path().join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let mut command = Command::new(binary("bench-admission")?);
        command.arg(path("tls.crt", certificate)?).arg(path("tls.key", key)?).stdout(Stdio::piped());
        let mut process = cores.on_the_servers(|| Process::spawn(&mut command))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let port = line.trim().parse().context("bench-admission did not start")?;
        Ok(Self { process, port, tls: Tls { config: tls(authority.pem().as_bytes())?, name } })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn address(&self) -> Address<'_> {
        Address { port: self.port, tls: Some(&self.tls) }
    }
}
