//! The webhook as its chart runs it, beside the stand-in of an API server.

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};

use crate::api_server::ApiServer;
use crate::binaries::binary;
use crate::chart::NAMESPACE;
use crate::cluster::free_port;
use crate::log::Log;
use crate::process::Process;
use crate::webhook::TENANT;

/// A running webhook. It ends with its API server.
pub struct LoneWebhook {
    process: Process,
    api: ApiServer,
    log: Log,
    port: u16,
}

impl LoneWebhook {
    /// Starts it, and does not wait.
    ///
    /// # Errors
    /// If it is not built.
    pub fn spawn(api: ApiServer) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut process = Process::spawn(&mut command(&api, port)?)?;
        let log = Log::follow(process.stderr.take().context("no stderr")?);
        Ok(Self { process, api, log, port })
    }

    /// Returns once it is ready.
    ///
    /// # Errors
    /// If it is not; with what it said.
    pub fn until_ready(self) -> anyhow::Result<Self> {
        if self.log.wait_for(&[("message", "ready")]).is_none() {
            let Self { process, log, .. } = self;
            drop(process);
            bail!("azwi-webhook is not ready:\n{}", log.whole());
        }
        Ok(self)
    }

    /// Of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How API servers speak to it.
    ///
    /// # Errors
    /// If it is not ready.
    pub fn tls(&self) -> anyhow::Result<Arc<ClientConfig>> {
        tls(&self.api.webhook_authority()?)
    }
}

fn command(api: &ApiServer, port: u16) -> anyhow::Result<Command> {
    let mut command = Command::new(binary("azwi-webhook")?);
    command.env_clear().env("KUBECONFIG", api.kubeconfig());
    command.env("POD_NAMESPACE", NAMESPACE).env("AZURE_TENANT_ID", TENANT);
    command.env("PROXY_IMAGE", "registry.example/azure-workload-identity/proxy:v1.0.0");
    command.env("PROXY_INIT_IMAGE", "registry.example/azure-workload-identity/proxy-init:v1.0.0");
    command.arg(format!("--webhook-addr=127.0.0.1:{port}"));
    command.args(["--health-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0", "--log-level=info"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// By which API servers know it.
///
/// # Errors
/// Never: it is a name.
pub fn server_name() -> anyhow::Result<ServerName<'static>> {
    Ok(ServerName::try_from(format!("azure-wi-webhook-webhook-service.{NAMESPACE}.svc"))?)
}

/// As API servers speak to whom `authority` (PEM) vouches for: with Go's favourite cipher, and without resumption.
///
/// # Errors
/// If that is no authority.
pub fn tls(authority: &[u8]) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate?)?;
    }
    let mut provider: CryptoProvider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
