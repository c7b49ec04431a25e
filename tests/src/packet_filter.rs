//! A stage with other people's packet filters on it, for tests that have the programs `iptables`, `nft` and `ip`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::namespace::{As, Namespace};
use crate::process::Process;
use crate::proxy_init::{Answer, proxy_init};

/// The two flavours of the iptables program.
pub const FLAVOURS: [&str; 2] = ["iptables-nft", "iptables-legacy"];

/// A namespace with its own iptables lock, for /run/xtables.lock is root's.
#[derive(Debug)]
pub struct Filtered {
    /// The namespace itself.
    pub namespace: Namespace,
    directory: TempDir,
}

impl Filtered {
    /// Without any rule. [`Namespace::new`]'s metadata address is on `lo`.
    ///
    /// # Errors
    /// If there is no namespace to be had.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { namespace: Namespace::new()?, directory: tempfile::tempdir()? })
    }

    /// As a pod: the metadata address lies behind an interface, and nobody is there.
    ///
    /// # Errors
    /// If there is no namespace to be had, or no `ip` program.
    pub fn as_pod() -> anyhow::Result<Self> {
        let stage = Self::new()?;
        for command in [
            "addr del 169.254.169.254/32 dev lo",
            "link add eth0 type veth peer name node0",
            "addr add 10.0.0.2/24 dev eth0",
            "link set eth0 up",
            "link set node0 up",
            "route add default via 10.0.0.1 dev eth0",
        ] {
            stage.run("ip", command)?;
        }
        Ok(stage)
    }

    /// The lock file of the iptables programs, and the variable that names it.
    pub fn lock(&self) -> (&'static str, PathBuf) {
        ("XTABLES_LOCKFILE", self.directory.path().join("xtables.lock"))
    }

    /// Runs `azwi-proxy-init`.
    ///
    /// # Errors
    /// If it is not built or was ended by a signal.
    pub fn proxy_init(&self, user: As, args: &[&str]) -> anyhow::Result<Answer> {
        proxy_init(&self.namespace, user, args, &[self.lock()])
    }

    /// Runs `azwi-proxy-init` as root, to success, and gives what it says of it.
    ///
    /// # Errors
    /// With its log, if it fails.
    pub fn redirect(&self, args: &[&str]) -> anyhow::Result<serde_json::Value> {
        let answer = self.proxy_init(As::Root, args)?;
        ensure!(answer.code == 0, "{}", answer.log);
        Ok(serde_json::from_str(&answer.log)?)
    }

    /// What `program` prints to a command whose words are separated by spaces.
    ///
    /// # Errors
    /// With its words, if it fails or is not there.
    pub fn run(&self, program: &str, command: &str) -> anyhow::Result<String> {
        self.feed(program, command, "")
    }

    /// The same, with something to read.
    ///
    /// # Errors
    /// With its words, if it fails or is not there.
    pub fn feed(&self, program: &str, command: &str, input: &str) -> anyhow::Result<String> {
        let mut run = self.namespace.command(program, As::Root);
        run.args(command.split(' ')).envs([self.lock()]);
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // Dropped at the end of the line, so that the program sees the end of its input.
        child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{program} {command}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The nat table of a flavour of iptables, without the policies of its built-in chains.
    ///
    /// # Errors
    /// If the program fails or is not there.
    pub fn rules(&self, flavour: &str) -> anyhow::Result<Vec<String>> {
        let listing = self.run(flavour, "-t nat -S")?;
        Ok(listing
            .lines()
            .filter(|line| line.starts_with("-A ") || line.starts_with("-N "))
            .map(str::to_owned)
            .collect())
    }

    /// A process that holds the lock of the iptables programs until it is dropped.
    ///
    /// # Errors
    /// If there is no `flock` program.
    pub fn hold_lock(&self) -> anyhow::Result<Process> {
        let mut flock = self.namespace.command("flock", As::Root);
        flock.arg(self.lock().1).args(["sh", "-c", "echo locked; exec cat"]);
        let mut holder = Process::spawn(flock.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let mut said = [0; 7];
        std::io::Read::read_exact(holder.stdout.as_mut().context("no stdout")?, &mut said)?;
        ensure!(&said == b"locked\n", "flock said {said:?}");
        Ok(holder)
    }
}
