//! The webhook as its chart installs it: beside a cluster, with the arguments, the environment and the rights that its
//! Deployment would give it, behind a Service that leads out of the cluster.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binaries::binary;
use crate::chart;
use crate::cluster::{Cluster, free_port, shared};
use crate::log::Log;
use crate::process::Process;
use crate::relay::Relay;

/// Where releases are by custom.
pub use crate::chart::NAMESPACE;

/// The tenant that the chart is installed for.
pub const TENANT: &str = "11111111-1111-4111-8111-111111111111";

const DEPLOYMENT: &str = "deployment/azure-wi-webhook-controller-manager";
const CONFIG: &str = "configmap/azure-wi-webhook-config";
const SERVICE: &str = "service/azure-wi-webhook-webhook-service";
const SECRET: &str = "secret/azure-wi-webhook-server-cert";
const SERVICE_ACCOUNT: &str = "azure-wi-webhook-admin";

/// Flags whose ports may be taken on this machine.
const ADDRESSES: [&str; 3] = ["--webhook-addr=", "--health-addr=", "--metrics-addr="];

/// A cluster with the chart installed and replicas of the webhook that run. All ends when dropped.
pub struct Installation {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// What API servers ask.
    pub service: Relay,
    /// Where it is installed.
    pub cluster: Cluster,
}

/// A process of the webhook.
pub struct Replica {
    process: Process,
    port: u16,
    /// What it has logged.
    pub log: Log,
}

impl Installation {
    /// With as many replicas, and these values for the chart, as helm's `--set` takes them.
    ///
    /// # Errors
    /// If something does not start; with what it said.
    pub fn new(replicas: usize, values: &str) -> anyhow::Result<Self> {
        Self::on(Cluster::start()?, replicas, values)
    }

    /// The same on a cluster that is there.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn on(cluster: Cluster, replicas: usize, values: &str) -> anyhow::Result<Self> {
        let service = Relay::start_without()?;
        install(&cluster, service.port(), values)?;
        let mut installation = Self { replicas: Vec::new(), service, cluster };
        for _ in 0..replicas {
            installation.add_replica()?;
        }
        Ok(installation)
    }

    /// One with the chart's own values, for all tests that run at the same time and only look after what is theirs.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Installation>> = Mutex::new(Weak::new());
        shared(&SHARED, || Self::new(1, "logLevel=info"))
    }

    /// Starts one more replica, and leads the Service to it once it is ready.
    ///
    /// # Errors
    /// If it is not ready soon; with what it said.
    pub fn add_replica(&mut self) -> anyhow::Result<()> {
        self.replicas.push(Replica::start(&self.cluster)?);
        self.lead_to_all();
        Ok(())
    }

    /// Leads the Service to all replicas.
    pub fn lead_to_all(&self) {
        let ports: Vec<_> = self.replicas.iter().map(|replica| replica.port).collect();
        self.service.lead_to(&ports);
    }
}

/// Clusters have no endpoints without a controller, so the Service is made a name for this machine's loopback.
fn install(cluster: &Cluster, port: u16, values: &str) -> anyhow::Result<()> {
    let chart = chart::directory();
    let chart = chart.to_str().context("the path is not UTF-8")?;
    let own = format!("azureTenantID={TENANT},service.port={port}");
    let place = ["--namespace", NAMESPACE, "--create-namespace"];
    cluster.helm(&[&["install", "azwi", chart, "--set", &own, "--set", values], &place[..]].concat())?.good()?;
    let name = json!({ "spec": { "type": "ExternalName", "externalName": "127.0.0.1" } }).to_string();
    cluster.kubectl(&["patch", SERVICE, "--namespace", NAMESPACE, "--type=merge", "--patch", &name])?;
    cluster.kubectl(&["create", "serviceaccount", "default", "--namespace", NAMESPACE]).map(drop)
}

impl Replica {
    /// Returns once it is ready.
    ///
    /// # Errors
    /// If it is not; with what it said.
    pub fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = command(cluster, port)?;
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
        let log = Log::follow(process.stderr.take().context("no stderr")?);
        if log.wait_for(&[("message", "ready")]).is_none() {
            drop(process);
            bail!("azwi-webhook is not ready:\n{}", log.whole());
        }
        Ok(Self { process, port, log })
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends SIGTERM, as a kubelet does.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.process.terminate()
    }

    /// Sends SIGKILL, as a kernel does that is out of memory.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGKILL)
    }

    /// Waits for its end; whether it ended well.
    ///
    /// # Errors
    /// If that cannot be waited for.
    pub fn wait(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.wait()?.success())
    }
}

fn command(cluster: &Cluster, port: u16) -> anyhow::Result<Command> {
    let deployment = cluster.get(DEPLOYMENT, NAMESPACE)?;
    let container = deployment.pointer("/spec/template/spec/containers/0").context("no container")?;
    let config = cluster.get(CONFIG, NAMESPACE)?;
    let mut command = Command::new(binary("azwi-webhook")?);
    command.env_clear().env("KUBECONFIG", cluster.kubeconfig_of(NAMESPACE, SERVICE_ACCOUNT)?);
    command.env("POD_NAMESPACE", NAMESPACE);
    command.envs(config.get("data").into_iter().flat_map(entries));
    let args = container.get("args").into_iter().flat_map(texts);
    command.args(args.filter(|arg| !ADDRESSES.iter().any(|flag| arg.starts_with(flag))));
    command.arg(format!("--webhook-addr=127.0.0.1:{port}"));
    command.args(["--health-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0"]);
    if container.get("volumeMounts").is_some() {
        command.arg("--webhook-cert-dir").arg(mount_certificate(cluster)?);
    }
    Ok(command)
}

/// Writes the entries of the Secret to the directory that replicas have in place of its volume, as a kubelet does: all at
/// once, by a link to a new directory.
///
/// # Errors
/// If there is no such Secret.
pub fn mount_certificate(cluster: &Cluster) -> anyhow::Result<PathBuf> {
    let directory = cluster.directory().join("certs");
    fs::create_dir_all(&directory)?;
    let new = TempDir::with_prefix_in("..", &directory)?.keep();
    let secret = cluster.get(SECRET, NAMESPACE)?;
    for (name, value) in secret.get("data").into_iter().flat_map(entries) {
        fs::write(new.join(name), STANDARD.decode(value)?)?;
        let link = directory.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link)?;
        }
    }
    let link = directory.join("..data_tmp");
    symlink(new.file_name().context("no name")?, &link)?;
    fs::rename(link, directory.join("..data"))?;
    Ok(directory)
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}
