//! Reviews that no API server of today would send, or could not: a replica is asked itself, over TLS, as the Service.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use azwi_tests::webhook::{Installation, NAMESPACE, Replica};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::workload::{CLIENT_ID, Place};

/// An API server that this test plays.
struct Asker {
    client: Client,
    url: String,
}

impl Asker {
    fn new(installation: &Installation) -> Result<Self> {
        // Tests of one process share the provider: another may have been faster.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let secret = installation.cluster.get("secret/azure-wi-webhook-server-cert", NAMESPACE)?;
        let ca = STANDARD.decode(secret["data"]["ca.crt"].as_str().context("no authority")?)?;
        let port = installation.replicas.first().map(Replica::port).context("no replica")?;
        let service = format!("azure-wi-webhook-webhook-service.{NAMESPACE}.svc");
        let client = Client::builder().no_proxy().tls_certs_only(Certificate::from_pem_bundle(&ca)?);
        let client = client.resolve(&service, SocketAddr::from((Ipv4Addr::LOCALHOST, port))).build()?;
        Ok(Self { client, url: format!("https://{service}:{port}/mutate-v1-pod") })
    }

    /// The answer; an error if there is none, or it is no JSON.
    fn ask(&self, body: String) -> Result<Value> {
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let answer = request.send().await?.error_for_status()?;
            Ok(serde_json::from_slice(&answer.bytes().await?)?)
        })
    }
}

fn review(version: &str, place: &Place) -> String {
    let request = json!({
        "uid": "u-1", "kind": { "group": "", "version": "v1", "kind": "Pod" }, "operation": "CREATE",
        "namespace": place.namespace, "object": place.pod(&json!({})),
    });
    json!({ "apiVersion": version, "kind": "AdmissionReview", "request": request }).to_string()
}

fn patch(answer: &Value) -> Result<String> {
    let patch = answer["response"]["patch"].as_str().with_context(|| answer.to_string())?;
    Ok(String::from_utf8(STANDARD.decode(patch)?)?)
}

#[test]
fn while_the_api_server_is_away_service_accounts_are_answered_from_memory() -> Result<()> {
    let mut place = Place::of(Arc::new(Installation::new(0, "logLevel=info")?))?;
    // It has read all service accounts once it is ready.
    Arc::get_mut(&mut place.installation).context("shared")?.add_replica()?;
    let asker = Asker::new(&place.installation)?;
    place.installation.cluster.stop_api_server();
    let answer = asker.ask(review("admission.k8s.io/v1", &place))?;
    assert!(patch(&answer)?.contains(CLIENT_ID), "{answer}");
    Ok(())
}

#[test]
fn an_api_server_that_asks_in_v1beta1_is_answered_in_it() -> Result<()> {
    let place = Place::new()?;
    let answer = Asker::new(&place.installation)?.ask(review("admission.k8s.io/v1beta1", &place))?;
    assert_eq!(
        (&answer["apiVersion"], &answer["response"]["uid"]),
        (&json!("admission.k8s.io/v1beta1"), &json!("u-1"))
    );
    assert!(patch(&answer)?.contains(CLIENT_ID), "{answer}");
    Ok(())
}

#[test]
fn what_is_no_review_or_too_large_is_answered_with_the_reason() -> Result<()> {
    let place = Place::new()?;
    let asker = Asker::new(&place.installation)?;
    for (body, reason) in
        [("{".to_owned(), "this is no AdmissionReview"), (" ".repeat(8 << 20), "the review is larger than 7 MiB")]
    {
        let answer = asker.ask(body)?;
        assert_eq!(answer["response"]["allowed"], false, "{answer}");
        let message = answer["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(reason), "{answer}");
    }
    Ok(())
}
