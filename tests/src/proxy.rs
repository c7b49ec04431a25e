//! The sidecar as a process, on a port of its own.

use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, bail};

use crate::binaries::{binary, released};
use crate::http::{self, Connection, METADATA, Response};
use crate::log::Log;
use crate::process::Process;

/// Below Linux's range of ephemeral ports, so that no outgoing connection takes one.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
/// Ports that are tried before giving up.
const TRIES: usize = 50;

/// The path of the token endpoint.
pub const TOKEN: &str = "/metadata/identity/oauth2/token";

/// A running sidecar; ends with this value.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    port: u16,
    /// What it has logged.
    pub log: Log,
}

impl Proxy {
    /// Starts it with `env` and `args` beside its port, in an otherwise empty environment. Returns once it listens.
    ///
    /// # Errors
    /// If it ends instead; with its log.
    pub fn start(env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<Self> {
        Self::launch(|| Ok(Command::new(binary("azwi-proxy")?)), env, args)
    }

    /// As [`Self::start`], but the program as it ships.
    ///
    /// # Errors
    /// If it is not built or ends instead; with its log.
    pub fn start_released(env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<Self> {
        Self::launch(|| Ok(Command::new(released("azwi-proxy")?)), env, args)
    }

    /// As [`Self::start`], but with room for `files` open files at most.
    ///
    /// # Errors
    /// If it ends instead; with its log.
    pub fn start_with_few_files(files: u32, env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<Self> {
        let limited = || {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(format!(r#"ulimit -n {files} && exec "$0" "$@""#)).arg(binary("azwi-proxy")?);
            Ok(command)
        };
        Self::launch(limited, env, args)
    }

    fn launch(
        program: impl Fn() -> anyhow::Result<Command>,
        env: &[(&str, &str)],
        args: &[&str],
    ) -> anyhow::Result<Self> {
        for _ in 0..TRIES {
            let port = next_port();
            let mut command = program()?;
            command.env_clear().envs(env.iter().copied()).arg(format!("--proxy-port={port}")).args(args);
            let mut process = Process::spawn(command.stderr(Stdio::piped()))?;
            let log = Log::follow(process.stderr.take().context("no stderr")?);
            if log.wait_for(&[("message", "listening")]).is_some() {
                return Ok(Self { process, port, log });
            }
            // It may be alive and silent, and its log would have no end.
            drop(process);
            let log = log.whole();
            if !log.contains("cannot listen") {
                bail!("azwi-proxy did not start:\n{log}");
            }
        }
        bail!("no free port")
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A request on a connection of its own.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn ask(&self, method: &str, target: &str, headers: &[&str]) -> anyhow::Result<Response> {
        http::ask(self.port, method, target, headers)
    }

    /// Asks for a token as an app does; `query` comes after `api-version`.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn token(&self, query: &str) -> anyhow::Result<Response> {
        self.ask("GET", &format!("{TOKEN}?api-version=2018-02-01&{query}"), &[METADATA])
    }

    /// A connection that is kept alive.
    ///
    /// # Errors
    /// If it does not listen any more.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.port)
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.process.terminate()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If that cannot be waited for.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.process.wait()?)
    }
}

/// Another port at each call; processes start at different places.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let size = u32::from(PORTS.end - PORTS.start);
    let offset = (std::process::id() * 97 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % size;
    PORTS.start + u16::try_from(offset).unwrap_or_default()
}
