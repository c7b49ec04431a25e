//! What becomes of pods.

use anyhow::Result;
use azwi_tests::webhook::TENANT;
use serde_json::{Value, json};

use crate::workload::{CLIENT_ID, Place, account, container, has_mount, names, pod, token, variables, volume};

const TOKEN_FILE: &str = "/var/run/secrets/azure/wi/token/azure-identity-token";
const AUTHORITY: &str = "https://login.microsoftonline.com/";

#[test]
fn every_container_of_a_labelled_pod_gets_its_identity() -> Result<()> {
    let pod = Place::new()?.created(&json!({}))?;
    let wanted = [
        ("AZURE_CLIENT_ID", CLIENT_ID),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_FEDERATED_TOKEN_FILE", TOKEN_FILE),
        ("AZURE_AUTHORITY_HOST", AUTHORITY),
    ];
    for name in ["prepare", "app", "other"] {
        let container = container(&pod, name);
        assert_eq!(variables(container), wanted, "{name}");
        assert!(has_mount(container), "{name}: {container}");
    }
    Ok(())
}

#[test]
fn a_labelled_pod_gets_a_token_for_entra() -> Result<()> {
    let pod = Place::new()?.created(&json!({}))?;
    let wanted = json!({ "audience": "api://AzureADTokenExchange", "expirationSeconds": 3600, "path": "token/azure-identity-token" });
    assert_eq!(token(&pod), &wanted);
    Ok(())
}

#[test]
fn an_unlabelled_pod_stays_as_it_is() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({ "inject-proxy-sidecar": "true" }));
    pod["metadata"]["labels"] = json!({ "azure.workload.identity/use": "false" });
    let created = place.installation.cluster.create(&pod)?;
    assert_eq!(volume(&created), &Value::Null);
    assert_eq!(names(&created, "initContainers"), ["prepare"]);
    assert!(variables(container(&created, "app")).is_empty());
    Ok(())
}

#[test]
fn an_unlabelled_pod_needs_no_webhook() -> Result<()> {
    let place = Place::of(std::sync::Arc::new(azwi_tests::webhook::Installation::new(0, "logLevel=info")?))?;
    let mut pod = place.pod(&json!({}));
    let refused = place.installation.cluster.try_to_create(&pod)?.bad()?;
    assert!(refused.contains("failed calling webhook \"mutation.azure-workload-identity.io\""), "{refused}");
    pod["metadata"]["labels"] = json!({});
    place.installation.cluster.create(&pod).map(drop)
}

#[test]
fn a_pod_that_a_controller_makes_has_no_name_yet() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({}));
    pod["metadata"]["name"] = Value::Null;
    pod["metadata"]["generateName"] = "web-5d8f7b9c6d-".into();
    let [one, other] = [place.installation.cluster.create(&pod)?, place.installation.cluster.create(&pod)?];
    assert_ne!(one["metadata"]["name"], other["metadata"]["name"]);
    let name = volume(&one)["name"].as_str().unwrap_or_default();
    // The first digits of the digest of `web-5d8f7b9c6d- (prefix)`, up to the longest name there is.
    assert_eq!(name.len(), 63, "{name}");
    assert_eq!(volume(&other)["name"], name);
    Ok(())
}

#[test]
fn a_pod_without_a_service_account_is_of_the_default_one() -> Result<()> {
    let place = Place::new()?;
    let annotation = format!("azure.workload.identity/client-id={CLIENT_ID}");
    let arguments = ["annotate", "serviceaccount", "default", &annotation, "--namespace", &place.namespace];
    place.installation.cluster.kubectl(&arguments)?;
    let mut pod = place.pod(&json!({}));
    pod["spec"]["serviceAccountName"] = Value::Null;
    let created = place.installation.cluster.create(&pod)?;
    assert!(variables(container(&created, "app")).contains(&("AZURE_CLIENT_ID", CLIENT_ID)));
    Ok(())
}

#[test]
fn a_service_account_may_be_applied_together_with_its_pods() -> Result<()> {
    let place = Place::new()?;
    let objects = (0..10).flat_map(|number| {
        let name = format!("together-{number}");
        let account = account(&place.namespace, &name, &json!({ "client-id": CLIENT_ID }));
        let mut pod = pod(&place.namespace, &name, &json!({}));
        pod["spec"]["serviceAccountName"] = name.into();
        [account, pod]
    });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>() });
    place.installation.cluster.ask(&["apply", "--filename=-"], &list.to_string())?.good()?;
    for number in 0..10 {
        let pod = place.installation.cluster.get(&format!("pod/together-{number}"), &place.namespace)?;
        assert!(variables(container(&pod, "app")).contains(&("AZURE_CLIENT_ID", CLIENT_ID)), "{number}: {pod}");
    }
    Ok(())
}

#[test]
fn a_changed_service_account_holds_for_pods_that_come_after() -> Result<()> {
    let place = Place::new()?;
    place.is_given_a_new_client_id()
}

#[test]
fn what_the_user_has_set_stays() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({}));
    pod["spec"]["containers"][0]["env"] = json!([{ "name": "AZURE_CLIENT_ID", "value": "mine" }]);
    let created = place.installation.cluster.create(&pod)?;
    let found = variables(container(&created, "app"));
    assert_eq!(found.first(), Some(&("AZURE_CLIENT_ID", "mine")));
    assert_eq!(found.len(), 4, "{found:?}");
    Ok(())
}

#[test]
fn a_pod_may_be_as_large_as_the_cluster_takes_them() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({}));
    let value = "x".repeat(10_000);
    let large: Vec<_> = (0..100).map(|number| json!({ "name": format!("LARGE_{number}"), "value": value })).collect();
    pod["spec"]["containers"][0]["env"] = large.into();
    let created = place.installation.cluster.create(&pod)?;
    let found = variables(container(&created, "app"));
    assert!(found.contains(&("AZURE_CLIENT_ID", CLIENT_ID)), "{}", found.len());
    assert_eq!(found.len(), 104);
    Ok(())
}

#[test]
fn the_user_is_warned_of_a_service_account_without_client_id() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({}));
    pod["spec"]["serviceAccountName"] = "default".into();
    let created = place.installation.cluster.try_to_create(&pod)?;
    assert!(created.is_good, "{}", created.stderr);
    let warning = "Warning: the service account has no annotation azure.workload.identity/client-id";
    assert!(created.stderr.contains(warning), "{}", created.stderr);
    Ok(())
}

#[test]
fn the_user_is_warned_of_an_annotation_that_does_nothing() -> Result<()> {
    let place = Place::new()?;
    let created = place.installation.cluster.try_to_create(&place.pod(&json!({ "inject-proxy": "true" })))?;
    assert!(created.is_good, "{}", created.stderr);
    let warning = "Warning: annotation azure.workload.identity/inject-proxy has no effect";
    assert!(created.stderr.contains(warning), "{}", created.stderr);
    Ok(())
}

#[test]
fn a_dry_run_is_answered_as_the_real_one() -> Result<()> {
    let place = Place::new()?;
    let arguments = ["create", "--dry-run=server", "--output=json", "--filename=-"];
    let answer = place.installation.cluster.ask(&arguments, &place.pod(&json!({})).to_string())?.good()?;
    assert!(has_mount(container(&serde_json::from_str(&answer)?, "app")), "{answer}");
    Ok(())
}
