//! A cluster's API server and its etcd: the real programs, on loopback, with a directory of their own.
//!
//! There is no kubelet, no scheduler and no controller: what is created stays as it was admitted, and no pod runs.

mod assets;
mod patience;

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context as _, bail, ensure};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
pub use assets::{directory_of, program};
pub use patience::eventually;

/// Of the only user there is to begin with, who may do everything.
const ADMIN_TOKEN: &str = "admin";

/// Lets anybody ask for the issuer's keys, as clusters do whose tokens are to be known elsewhere.
const DISCOVERY_FOR_ALL: &str = "--group=system:unauthenticated";

/// A running cluster. Ends, and all that was in it, when dropped.
pub struct Cluster {
    // Ends first, for it complains of an etcd that has gone.
    api_server: Mutex<Option<Process>>,
    _etcd: Process,
    etcd_port: u16,
    port: u16,
    flags: Vec<String>,
    directory: TempDir,
}

/// What a program said, and whether it ended well.
#[derive(Debug)]
pub struct Answer {
    /// If it ended with 0.
    pub is_good: bool,
    /// Its output.
    pub stdout: String,
    /// Its errors and warnings.
    pub stderr: String,
}

impl Cluster {
    /// One of its own, for tests that break it.
    ///
    /// # Errors
    /// If the programs are not there, or do not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// One whose API server has more flags.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(flags: &[&str]) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("azwi-cluster-")?;
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        fs::write(directory.path().join("service-accounts.key"), key.serialize_pem())?;
        fs::write(directory.path().join("users.csv"), format!("{ADMIN_TOKEN},admin,admin,system:masters\n"))?;
        let etcd_port = free_port()?;
        let etcd = Process::spawn(&mut etcd(etcd_port, directory.path())?)?;
        let flags = flags.iter().map(ToString::to_string).collect();
        let cluster =
            Self { api_server: Mutex::default(), _etcd: etcd, etcd_port, port: free_port()?, flags, directory };
        cluster.write_kubeconfig("admin", ADMIN_TOKEN)?;
        cluster.start_api_server()?;
        let role = "--clusterrole=system:service-account-issuer-discovery";
        cluster.kubectl(&["create", "clusterrolebinding", "issuer-discovery-for-all", role, DISCOVERY_FOR_ALL])?;
        Ok(cluster)
    }

    /// One for all tests that run at the same time and only look after what is theirs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        shared(&SHARED, Self::start)
    }

    /// Starts it again after [`Self::stop_api_server`], at the same address.
    ///
    /// # Errors
    /// If it is not ready soon.
    pub fn start_api_server(&self) -> anyhow::Result<()> {
        let process = Process::spawn(&mut self.api_server()?)?;
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        let is_ready = eventually(|| Ok(self.ask(&["get", "--raw=/readyz"], "")?.is_good && self.is_bootstrapped()?));
        is_ready.with_context(|| format!("the API server: {}", self.log()))
    }

    /// Ends it, hard; what it knew is in etcd.
    pub fn stop_api_server(&self) {
        drop(self.api_server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn api_server(&self) -> anyhow::Result<Command> {
        let directory = self.directory.path();
        let (issuer, key) = (self.url(), directory.join("service-accounts.key"));
        let mut command = Command::new(program("kube-apiserver")?);
        command.args(["--bind-address=127.0.0.1", "--service-cluster-ip-range=10.0.0.0/24"]);
        command.args(["--authorization-mode=RBAC", "--anonymous-auth=true", "--allow-privileged=true"]);
        // It refuses to announce a loopback address.
        command.arg("--endpoint-reconciler-type=none");
        command.arg(format!("--secure-port={}", self.port));
        command.arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port));
        command.arg(format!("--service-account-issuer={issuer}"));
        command.arg(format!("--service-account-jwks-uri={issuer}/openid/v1/jwks"));
        command.arg(format!("--service-account-key-file={}", key.display()));
        command.arg(format!("--service-account-signing-key-file={}", key.display()));
        command.arg(format!("--token-auth-file={}", directory.join("users.csv").display()));
        command.arg(format!("--cert-dir={}", directory.display())).args(&self.flags);
        let log = File::options().append(true).create(true).open(directory.join("api-server.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// The roles that are always there come soon after the start, and with them what the rest is built on.
    fn is_bootstrapped(&self) -> anyhow::Result<bool> {
        Ok(self.ask(&["get", "clusterrole/system:service-account-issuer-discovery", "namespace/default"], "")?.is_good)
    }

    /// Where it is, and who issues its service accounts' tokens.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A place for what belongs to it; gone with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Who vouches for it.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("apiserver.crt")
    }

    /// Of its only user.
    pub fn token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// How its only user reaches it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
    }

    /// How a service account reaches it, with a token for an hour.
    ///
    /// # Errors
    /// If there is no such service account.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl(&["create", "token", account, "--namespace", namespace])?;
        self.write_kubeconfig(&format!("{namespace}.{account}"), token.trim())
    }

    fn write_kubeconfig(&self, name: &str, token: &str) -> anyhow::Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{ "name": "it", "cluster": { "server": self.url(), "certificate-authority": self.ca_file() } }],
            "users": [{ "name": "it", "user": { "token": token } }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        });
        let path = self.directory.path().join(format!("{name}.kubeconfig"));
        fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// What the API server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("api-server.log")).unwrap_or_default()
    }

    /// A namespace with the service account that pods have who name none.
    ///
    /// # Errors
    /// If there is one already.
    pub fn namespace(&self, name: &str) -> anyhow::Result<()> {
        self.kubectl(&["create", "namespace", name])?;
        self.kubectl(&["create", "serviceaccount", "default", "--namespace", name]).map(drop)
    }

    /// Creates what `object` says, and returns what has become of it.
    ///
    /// # Errors
    /// If it is refused: the error is what the user is told.
    pub fn create(&self, object: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.try_to_create(object)?.good()?)?)
    }

    /// Creates what `object` says, whatever comes of it.
    ///
    /// # Errors
    /// If kubectl cannot be run.
    pub fn try_to_create(&self, object: &Value) -> anyhow::Result<Answer> {
        self.ask(&["create", "--output=json", "--filename=-"], &object.to_string())
    }

    /// An object as it is, e.g. of `pod/web`.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, object: &str, namespace: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", object, "--namespace", namespace, "--output=json"])?)?)
    }

    /// Runs kubectl and returns what it says.
    ///
    /// # Errors
    /// If it does not end well: the error is what the user is told.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.ask(arguments, "")?.good()
    }

    /// Runs kubectl, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn ask(&self, arguments: &[&str], stdin: &str) -> anyhow::Result<Answer> {
        let mut command = self.command("kubectl")?;
        // What kubectl knows of the API must not outlive it.
        command.arg("--cache-dir").arg(self.directory.path().join("kubectl")).args(arguments);
        run(&mut command, stdin)
    }

    /// Runs helm, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<Answer> {
        let mut command = self.command("helm")?;
        command.envs(["CACHE", "CONFIG", "DATA"].map(|kind| (format!("HELM_{kind}_HOME"), self.directory.path())));
        run(command.args(arguments), "")
    }

    fn command(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program(name)?);
        command.env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }
}

impl Answer {
    /// What it said.
    ///
    /// # Errors
    /// If it did not end well: what it complained of.
    pub fn good(self) -> anyhow::Result<String> {
        if self.is_good { Ok(self.stdout) } else { bail!("{}", self.stderr.trim()) }
    }

    /// What it complained of.
    ///
    /// # Errors
    /// If it ended well.
    pub fn bad(self) -> anyhow::Result<String> {
        ensure!(!self.is_good, "no error but {}", self.stdout);
        Ok(self.stderr.trim().to_owned())
    }
}

/// Runs a program to its end.
///
/// # Errors
/// If it cannot be run.
pub fn run(command: &mut Command, stdin: &str) -> anyhow::Result<Answer> {
    let program = command.get_program().display().to_string();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    // One that reads nothing may have ended before.
    drop(child.stdin.take().map(|mut pipe| pipe.write_all(stdin.as_bytes())));
    let output = child.wait_with_output()?;
    Ok(Answer {
        is_good: output.status.success(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// The value that others hold still, or a new one.
///
/// # Errors
/// If there is none and none can be made.
pub fn shared<T>(slot: &Mutex<Weak<T>>, make: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Arc<T>> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = slot.upgrade() {
        return Ok(held);
    }
    let new = Arc::new(make()?);
    *slot = Arc::downgrade(&new);
    Ok(new)
}

/// A port of loopback that nobody has now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn etcd(port: u16, directory: &Path) -> anyhow::Result<Command> {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(program("etcd")?);
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-peer-urls=http://127.0.0.1:0", "--log-level=warn", "--unsafe-no-fsync"]);
    command.arg(format!("--listen-client-urls={url}")).arg(format!("--advertise-client-urls={url}"));
    let log = File::create(directory.join("etcd.log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}
