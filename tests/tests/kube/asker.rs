//! A replica that is asked itself, over TLS, as the Service.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use azwi_tests::webhook::{Installation, NAMESPACE, Replica};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client};
use serde_json::Value;
use tokio::runtime::Builder;

const CONFIGURATION: &str = "mutatingwebhookconfiguration/azure-wi-webhook-mutating-webhook-configuration";

/// An API server that this test plays.
pub(crate) struct Asker {
    client: Client,
    url: String,
}

impl Asker {
    /// Who trusts whom the webhook configuration names, and asks that replica on a connection of its own.
    pub(crate) fn new(installation: &Installation, replica: &Replica) -> Result<Self> {
        // Tests of one process share the provider: another may have been faster.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let configuration = installation.cluster.get(CONFIGURATION, NAMESPACE)?;
        let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().context("no authority")?;
        let (ca, port) = (STANDARD.decode(bundle)?, replica.port());
        let service = format!("azure-wi-webhook-webhook-service.{NAMESPACE}.svc");
        let client = Client::builder().no_proxy().tls_certs_only(Certificate::from_pem_bundle(&ca)?);
        let client = client.resolve(&service, SocketAddr::from((Ipv4Addr::LOCALHOST, port))).build()?;
        Ok(Self { client, url: format!("https://{service}:{port}/mutate-v1-pod") })
    }

    /// The answer; an error if there is none, or it is no JSON.
    pub(crate) fn ask(&self, body: String) -> Result<Value> {
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let answer = request.send().await?.error_for_status()?;
            Ok(serde_json::from_slice(&answer.bytes().await?)?)
        })
    }

    /// Whether it has a certificate that is trusted, and says something.
    pub(crate) fn is_answered(&self) -> Result<()> {
        self.ask("{}".to_owned()).map(drop)
    }
}
