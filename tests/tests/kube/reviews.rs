//! Reviews that no API server of today would send, or could not: a replica is asked itself, over TLS, as the Service.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use azwi_tests::webhook::Installation;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::asker::Asker;
use crate::workload::{CLIENT_ID, Place};

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
    let asker = Asker::new(&place.installation, place.installation.replicas.first().context("no replica")?)?;
    place.installation.cluster.stop_api_server();
    let answer = asker.ask(review("admission.k8s.io/v1", &place))?;
    assert!(patch(&answer)?.contains(CLIENT_ID), "{answer}");
    Ok(())
}

#[test]
fn an_api_server_that_asks_in_v1beta1_is_answered_in_it() -> Result<()> {
    let place = Place::new()?;
    let answer = Asker::new(&place.installation, place.installation.replicas.first().context("no replica")?)?
        .ask(review("admission.k8s.io/v1beta1", &place))?;
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
    let asker = Asker::new(&place.installation, place.installation.replicas.first().context("no replica")?)?;
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
