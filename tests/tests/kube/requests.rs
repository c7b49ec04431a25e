//! What the webhook asks of the API server, as that one's audit log has it.

use std::fs;

use anyhow::{Context as _, Result};
use azwi_tests::cluster::Cluster;
use azwi_tests::webhook::Installation;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::workload::account;

const USER: &str = "system:serviceaccount:azure-workload-identity-system:azure-wi-webhook-admin";

/// Verb and URI of each request of the webhook's.
fn requests(log: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["user"]["username"] == USER {
            let text = |name: &str| Ok::<_, anyhow::Error>(event[name].as_str().context("no text")?.to_owned());
            found.push((text("verb")?, text("requestURI")?));
        }
    }
    Ok(found)
}

#[test]
fn service_accounts_are_read_in_pages_and_all_else_by_name() -> Result<()> {
    let directory = TempDir::new()?;
    let [policy, log] = ["policy.yaml", "audit.log"].map(|name| directory.path().join(name));
    let rule = json!({ "level": "Metadata", "users": [USER], "omitStages": ["RequestReceived"] });
    fs::write(&policy, json!({ "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule] }).to_string())?;
    let flags = [
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
        "--audit-log-mode=blocking".to_owned(),
    ];
    let cluster = Cluster::start_with(&flags.each_ref().map(String::as_str))?;
    cluster.namespace("many")?;
    let accounts: Vec<_> = (0..101).map(|number| account("many", &format!("app-{number}"), &json!({}))).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": accounts });
    cluster.ask(&["create", "--output=name", "--filename=-"], &list.to_string())?.good()?;
    let _installation = Installation::on(cluster, 1, "logLevel=info")?;

    let requests = requests(&fs::read_to_string(log)?)?;
    let lists: Vec<_> =
        requests.iter().filter(|(verb, uri)| verb == "list" && uri.contains("/serviceaccounts")).collect();
    assert!(lists.len() >= 2 && lists.iter().all(|(_, uri)| uri.contains("limit=100")), "{requests:?}");
    assert!(lists.iter().any(|(_, uri)| uri.contains("continue=")), "{requests:?}");
    for kind in ["/secrets", "/mutatingwebhookconfigurations"] {
        let mut uris = requests.iter().map(|(_, uri)| uri).filter(|uri| uri.contains(kind)).peekable();
        assert!(uris.peek().is_some(), "nothing of {kind} in {requests:?}");
        assert!(uris.all(|uri| uri.contains("azure-wi-webhook-")), "{requests:?}");
    }
    Ok(())
}
