//! Entra as the emulator plays it, and the servers that are compared.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use azwi_tests::binaries::binary;
use azwi_tests::emulator::{DEMO_SUBJECT, Emulator, clients::DEMO};
use azwi_tests::http::METADATA;
use azwi_tests::process::Process;
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::resources::config;
use tempfile::TempDir;

use crate::cores::Cores;

/// As a chart that wants metrics sets them; a port that is free.
pub(crate) const ARGUMENTS: [&str; 4] = ["--metrics-addr", "127.0.0.1:0", "--log-level", "info"];

/// The scene. All that runs ends with it.
pub(crate) struct Stage {
    pub cores: Cores,
    pub entra: Emulator<'static>,
    directory: TempDir,
}

impl Stage {
    /// Entra plays on the load's core: while it works the load waits.
    pub(crate) fn new(cores: Cores) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("azwi-bench-")?;
        let entra = Emulator::start_with(Some(&config()), &[])?;
        entra.write_token(&directory.path().join("assertion"), DEMO_SUBJECT)?;
        fs::create_dir(directory.path().join("no-roots"))?;
        Ok(Self { cores, entra, directory })
    }

    /// The service account token.
    pub(crate) fn assertion(&self) -> PathBuf {
        self.path("assertion")
    }

    /// Of a file that goes with the scene.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The sidecar as the webhook configures it in an image without certificates of its own.
    pub(crate) fn sidecar(&self) -> anyhow::Result<Proxy> {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ca_file = self.entra.ca_file();
        let ca_file = ca_file.to_str().context("the path of the CA is not UTF-8")?;
        let arguments = [&ARGUMENTS[..], &["--ca-file", ca_file]].concat();
        self.cores.on_the_servers(|| Proxy::start(&environment, &arguments))
    }

    /// What it is started with, if not by [`Self::sidecar`].
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        let path = |name| self.path(name).display().to_string();
        [
            ("AZURE_CLIENT_ID", DEMO.to_owned()),
            ("AZURE_TENANT_ID", self.entra.tenant().to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", path("assertion")),
            ("AZURE_AUTHORITY_HOST", self.entra.authority().to_owned()),
            ("SSL_CERT_DIR", path("no-roots")),
        ]
    }

    /// One of the servers to compare with; it answers with `bytes`.
    pub(crate) fn yardstick(&self, program: &str, bytes: &[u8]) -> anyhow::Result<Yardstick> {
        let file = self.path(program);
        fs::write(&file, bytes)?;
        self.cores.on_the_servers(|| Yardstick::start(program, &file))
    }
}

/// `bench-floor` or `bench-hyper`.
pub(crate) struct Yardstick {
    process: Process,
    pub port: u16,
}

impl Yardstick {
    fn start(program: &str, answer: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(binary(program)?);
        let mut process = Process::spawn(command.arg(answer).arg("0").stdout(Stdio::piped()))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{program} did not start"))?;
        Ok(Self { process, port })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// What an SDK sends for a token.
pub(crate) fn request(resource: &str) -> Vec<u8> {
    let encoded: String = form_urlencoded::byte_serialize(resource.as_bytes()).collect();
    let mut request = format!("GET {TOKEN}?api-version=2018-02-01&resource={encoded} HTTP/1.1\r\n");
    // Writing to a `String` cannot fail.
    let _ = write!(request, "Host: 169.254.169.254\r\n{METADATA}\r\nUser-Agent: azwi-bench\r\nAccept: */*\r\n\r\n");
    request.into_bytes()
}
