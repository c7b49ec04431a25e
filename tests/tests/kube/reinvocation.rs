//! Other webhooks that change a pod as well.

use anyhow::{Context as _, Result};
use azwi_tests::tls_server::{Authority, TlsServer, Visit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::workload::{Place, container, has_mount, names, variables};

/// Puts a container first, as meshes do, unless it is there already.
fn mesh(visit: &Visit) -> Result<String> {
    let review: Value = serde_json::from_str(&visit.body)?;
    let pod = &review["request"]["object"];
    let mut response = json!({ "uid": review["request"]["uid"], "allowed": true });
    if !names(pod, "containers").contains(&"mesh") {
        let sidecar = json!({ "name": "mesh", "image": "registry.example/mesh:1" });
        let patch = json!([{ "op": "add", "path": "/spec/containers/0", "value": sidecar }]).to_string();
        response["patch"] = STANDARD.encode(patch).into();
        response["patchType"] = "JSONPatch".into();
    }
    let body =
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response }).to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    Ok(format!("{head}{}\r\n\r\n{body}", body.len()))
}

/// A second webhook, asked after ours, for it comes later in the alphabet.
fn second_webhook(place: &Place) -> Result<TlsServer> {
    let authority = Authority::new("mesh")?;
    let server = TlsServer::start_with(authority.certify(&["127.0.0.1"])?, |visit| mesh(visit).unwrap_or_default())?;
    place.installation.cluster.create(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": format!("zz-mesh-{}", place.namespace) },
        "webhooks": [{
            "name": "mesh.example.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "url": format!("https://127.0.0.1:{}/", server.port()),
                "caBundle": STANDARD.encode(authority.pem()),
            },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": place.namespace } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
            "sideEffects": "None",
        }],
    }))?;
    Ok(server)
}

/// API servers learn of a configuration a moment after it is written.
fn created_with_mesh(place: &Place, annotations: &Value) -> Result<Value> {
    let mut found = None;
    for number in 0..1000 {
        let mut pod = place.pod(annotations);
        pod["metadata"]["name"] = format!("web-{number}").into();
        let created = place.installation.cluster.create(&pod)?;
        if names(&created, "containers").contains(&"mesh") {
            found = Some(created);
            break;
        }
    }
    found.context("the second webhook is not asked")
}

#[test]
fn a_container_that_another_webhook_adds_gets_the_identity_too() -> Result<()> {
    let place = Place::new()?;
    let _mesh = second_webhook(&place)?;
    let pod = created_with_mesh(&place, &json!({}))?;
    assert_eq!(names(&pod, "containers"), ["mesh", "app", "other"]);
    assert!(has_mount(container(&pod, "mesh")), "{pod}");
    Ok(())
}

#[test]
fn being_asked_twice_doubles_nothing() -> Result<()> {
    let place = Place::new()?;
    let _mesh = second_webhook(&place)?;
    let pod = created_with_mesh(&place, &json!({ "inject-proxy-sidecar": "true" }))?;
    assert_eq!(names(&pod, "initContainers"), ["azwi-proxy-init", "azwi-proxy", "prepare"]);
    assert_eq!(variables(container(&pod, "app")).len(), 4, "{pod}");
    let volumes = pod["spec"]["volumes"].as_array().context("no volumes")?;
    let ours = volumes.iter().filter(|volume| {
        volume["name"].as_str().is_some_and(|name| name.starts_with("azure-workload-identity-reserved-"))
    });
    assert_eq!(ours.count(), 1, "{pod}");
    Ok(())
}
