//! The whole chain with a real cluster's issuer: the webhook's pod, a token that the API server signs for it, the sidecar,
//! and an Entra ID that fetches the keys from the API server.

use std::fs;

use anyhow::{Context as _, Result};
use azwi_tests::emulator::Emulator;
use azwi_tests::jwt;
use azwi_tests::proxy::Proxy;
use azwi_tests::webhook::TENANT;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::workload::{CLIENT_ID, Place, container, token, variables};

/// An Entra ID where the identity trusts `subject`, as this cluster spells its issuer.
pub(crate) fn entra(place: &Place, subject: &str) -> Result<Emulator<'static>> {
    let cluster = &place.installation.cluster;
    let ca = cluster.ca_file();
    let config = json!({
        "tenants": [{
            "id": TENANT,
            "applications": [{
                "name": "app",
                "client_id": CLIENT_ID,
                "kind": "managed_identity",
                "federated_identity_credentials": [{ "issuer": cluster.url(), "subject": subject }],
            }],
        }],
    });
    Emulator::start_with(Some(&config.to_string()), &["--issuer-ca", ca.to_str().context("not UTF-8")?])
}

/// What a kubelet does for the volume: asks for the token, bound to the pod, and writes it.
pub(crate) fn project(place: &Place, pod: &Value, directory: &TempDir) -> Result<String> {
    let wanted = token(pod);
    let audience = wanted["audience"].as_str().context("no audience")?;
    let duration = format!("{}s", wanted["expirationSeconds"]);
    let uid = pod["metadata"]["uid"].as_str().context("no uid")?;
    let name = pod["metadata"]["name"].as_str().context("no name")?;
    let account = pod["spec"]["serviceAccountName"].as_str().context("no service account")?;
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", name, "--bound-object-uid", uid];
    let arguments =
        ["create", "token", account, "--namespace", &place.namespace, "--audience", audience, "--duration", &duration];
    let token = place.installation.cluster.kubectl(&[&arguments[..], &bound].concat())?;
    let file = directory.path().join("azure-identity-token");
    fs::write(&file, token.trim())?;
    Ok(file.to_str().context("not UTF-8")?.to_owned())
}

/// The sidecar as the pod has it, but where its token and Entra are.
pub(crate) fn sidecar(pod: &Value, token_file: &str, entra: &Emulator<'_>) -> Result<Proxy> {
    let elsewhere = [("AZURE_FEDERATED_TOKEN_FILE", token_file), ("AZURE_AUTHORITY_HOST", entra.authority())];
    let given = variables(container(pod, "azwi-proxy"));
    for (name, _) in elsewhere {
        assert!(given.iter().any(|(given, _)| *given == name), "the pod has no {name}");
    }
    let kept = given.into_iter().filter(|(name, _)| elsewhere.iter().all(|(other, _)| other != name));
    let ca_file = entra.ca_file();
    let ca_file = ca_file.to_str().context("not UTF-8")?;
    Proxy::start(&kept.chain(elsewhere).collect::<Vec<_>>(), &["--ca-file", ca_file])
}

#[test]
fn an_app_gets_a_token_for_the_identity_that_trusts_its_service_account() -> Result<()> {
    let place = Place::new()?;
    let pod = place.created(&json!({ "inject-proxy-sidecar": "true" }))?;
    let entra = entra(&place, &format!("system:serviceaccount:{}:app", place.namespace))?;
    let directory = TempDir::new()?;
    let sidecar = sidecar(&pod, &project(&place, &pod, &directory)?, &entra)?;
    let answer = sidecar.token("resource=https://vault.azure.net")?;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let claims = jwt::claims(&answer.field("access_token"));
    assert_eq!((&claims["appid"], &claims["aud"]), (&json!(CLIENT_ID), &json!("https://vault.azure.net")));
    Ok(())
}

#[test]
fn an_identity_that_trusts_another_service_account_is_refused() -> Result<()> {
    let place = Place::new()?;
    let pod = place.created(&json!({ "inject-proxy-sidecar": "true" }))?;
    let entra = entra(&place, &format!("system:serviceaccount:{}:other", place.namespace))?;
    let directory = TempDir::new()?;
    let sidecar = sidecar(&pod, &project(&place, &pod, &directory)?, &entra)?;
    let answer = sidecar.token("resource=https://vault.azure.net")?;
    assert_ne!(answer.status, 200);
    assert_eq!(entra.counters()?.refused.keys().collect::<Vec<_>>(), ["700213"]);
    Ok(())
}
