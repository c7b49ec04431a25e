//! Releases of the chart in a cluster, first ones and upgrades.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use azwi_tests::chart::{NAMESPACE, directory, manifest_file};
use azwi_tests::cluster::Cluster;
use serde_json::{Value, json};

const TENANT: &str = "azureTenantID=11111111-1111-4111-8111-111111111111";
const CONFIGURATION: &str = "mutatingwebhookconfiguration/azure-wi-webhook-mutating-webhook-configuration";
const DEPLOYMENT: &str = "deployment/azure-wi-webhook-controller-manager";
const SECRET: &str = "secret/azure-wi-webhook-server-cert";
const SERVICE: &str = "service/azure-wi-webhook-webhook-service";
const SUBJECT: &str = "--as=system:serviceaccount:azure-workload-identity-system:azure-wi-webhook-admin";

/// A release of azure-workload-identity, as far as it matters who comes after it.
pub(crate) fn predecessor() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kube/predecessor")
}

fn helm(cluster: &Cluster, command: &str, chart: &Path, values: &str) -> Result<String> {
    let chart = chart.to_str().context("the path is not UTF-8")?;
    let arguments = [command, "azwi", chart, "--namespace", NAMESPACE, "--set", TENANT, "--set", values];
    let option = if command == "install" { "--create-namespace" } else { "--reset-then-reuse-values" };
    cluster.helm(&[&arguments[..], &[option]].concat())?.good()
}

fn pointer<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// What the Go webhook writes once it runs.
fn has_run(cluster: &Cluster) -> Result<()> {
    let data = r#"{"data":{"ca.crt":"Y2E=","ca.key":"a2V5","tls.crt":"Y3J0","tls.key":"a2V5"}}"#;
    cluster.kubectl(&["patch", SECRET, "--namespace", NAMESPACE, "--patch", data])?;
    let bundle = r#"[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"Y2E="}]"#;
    cluster.kubectl(&["patch", CONFIGURATION, "--type=json", "--patch", bundle]).map(drop)
}

/// Whose absence fails the creation of pods; and what would be lost if it were made anew.
fn what_must_last(cluster: &Cluster) -> Result<Value> {
    let [configuration, deployment, secret, service] =
        [CONFIGURATION, DEPLOYMENT, SECRET, SERVICE].map(|object| cluster.get(object, NAMESPACE));
    let (configuration, deployment, secret, service) = (configuration?, deployment?, secret?, service?);
    let uids = [&configuration, &deployment, &secret, &service].map(|object| pointer(object, "/metadata/uid"));
    Ok(json!({
        "uids": uids,
        "caBundle": pointer(&configuration, "/webhooks/0/clientConfig/caBundle"),
        "clusterIP": pointer(&service, "/spec/clusterIP"),
        "selector": deployment.pointer("/spec/selector"),
        "data": secret.get("data"),
    }))
}

#[test]
fn every_object_is_accepted_by_the_api_server() -> Result<()> {
    let cluster = Cluster::start()?;
    let values = "networkPolicy.enabled=true,excludedNamespaces={kube-system},podDisruptionBudget.maxUnavailable=1";
    helm(&cluster, "install", &directory(), &format!("{values},imagePullSecrets[0].name=pull"))?;
    Ok(())
}

#[test]
fn the_plain_manifest_is_accepted_by_a_strict_server() -> Result<()> {
    let cluster = Cluster::start()?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    let manifest = fs::read_to_string(manifest_file())?.replace("${AZURE_TENANT_ID}", "t");
    let applied =
        cluster.ask(&["apply", "--dry-run=server", "--validate=strict", "--filename=-"], &manifest)?.good()?;
    for kind in ["clusterrole", "configmap", "deployment", "mutatingwebhookconfiguration", "secret", "service"] {
        assert!(applied.contains(&format!("{kind}.")) || applied.contains(&format!("{kind}/")), "{kind}: {applied}");
    }
    Ok(())
}

#[test]
fn an_upgrade_from_azure_workload_identity_replaces_nothing_that_must_last() -> Result<()> {
    let cluster = Cluster::start()?;
    helm(&cluster, "install", &predecessor(), "replicaCount=3")?;
    has_run(&cluster)?;
    let before = what_must_last(&cluster)?;
    helm(&cluster, "upgrade", &directory(), "image.repository=registry.example/azwi-webhook")?;
    assert_eq!(what_must_last(&cluster)?, before);
    let deployment = cluster.get(DEPLOYMENT, NAMESPACE)?;
    assert_eq!(deployment["spec"]["replicas"], 3, "a value of that release is lost");
    let container = "/spec/template/spec/containers/0";
    let image = pointer(&deployment, &format!("{container}/image"));
    assert!(image.is_some_and(|image| image.starts_with("registry.example/azwi-webhook:")), "{image:?}");
    assert_eq!(pointer(&deployment, &format!("{container}/command/0")), Some("/manager"));
    Ok(())
}

#[test]
fn the_plain_manifest_can_be_applied_over_azure_workload_identitys() -> Result<()> {
    let cluster = Cluster::start()?;
    let chart = predecessor();
    let chart = chart.to_str().context("the path is not UTF-8")?;
    let plain = cluster.helm(&["template", "azwi", chart, "--namespace", NAMESPACE, "--set=plain=true"])?.good()?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    cluster.ask(&["apply", "--filename=-"], &plain)?.good()?;
    has_run(&cluster)?;
    let before = what_must_last(&cluster)?;
    let manifest = fs::read_to_string(manifest_file())?.replace("${AZURE_TENANT_ID}", "t");
    cluster.ask(&["apply", "--filename=-"], &manifest)?.good()?;
    assert_eq!(what_must_last(&cluster)?, before);
    Ok(())
}

#[test]
fn an_upgrade_keeps_the_certificate() -> Result<()> {
    let cluster = Cluster::start()?;
    helm(&cluster, "install", &directory(), "logLevel=info")?;
    has_run(&cluster)?;
    let before = what_must_last(&cluster)?;
    helm(&cluster, "upgrade", &directory(), "logLevel=debug")?;
    assert_eq!(what_must_last(&cluster)?, before);
    Ok(())
}

#[test]
fn the_webhook_may_do_what_it_must_and_nothing_else() -> Result<()> {
    let cluster = Cluster::start()?;
    helm(&cluster, "install", &directory(), "logLevel=info")?;
    cluster.namespace("other")?;
    let may = |words: &[&str]| -> Result<bool> {
        Ok(cluster.ask(&[&["auth", "can-i", SUBJECT], words].concat(), "")?.is_good)
    };
    for words in [
        &["list", "serviceaccounts", "--all-namespaces"] as &[_],
        &["watch", "serviceaccounts", "--all-namespaces"],
        &["get", "serviceaccounts", "--namespace=other"],
        &["get", SECRET, "--namespace", NAMESPACE],
        &["update", SECRET, "--namespace", NAMESPACE],
        &["update", CONFIGURATION],
    ] {
        assert!(may(words)?, "may not {words:?}");
    }
    for words in [
        &["get", "secrets/another", "--namespace", NAMESPACE] as &[_],
        &["create", "secrets", "--namespace", NAMESPACE],
        &["delete", SECRET, "--namespace", NAMESPACE],
        &["get", SECRET, "--namespace=other"],
        &["update", "mutatingwebhookconfigurations/another"],
        &["create", "mutatingwebhookconfigurations"],
        &["update", "serviceaccounts", "--namespace=other"],
        &["create", "serviceaccounts", "--subresource=token", "--namespace=other"],
        &["get", "pods", "--namespace=other"],
    ] {
        assert!(!may(words)?, "may {words:?}");
    }
    Ok(())
}

/// A pod of the Deployment, as its controller would make it.
fn pod_of(deployment: &Value) -> Result<Value> {
    let template = deployment.pointer("/spec/template").context("no template")?;
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "manager" } });
    pod["spec"] = template["spec"].clone();
    pod["metadata"]["labels"] = template["metadata"]["labels"].clone();
    Ok(pod)
}

#[test]
fn the_webhooks_pods_run_where_pod_security_is_restricted() -> Result<()> {
    let cluster = Cluster::start()?;
    helm(&cluster, "install", &directory(), "logLevel=info")?;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", NAMESPACE, enforce])?;
    let mut pod = pod_of(&cluster.get(DEPLOYMENT, NAMESPACE)?)?;
    let arguments = ["create", "--dry-run=server", "--filename=-", "--namespace", NAMESPACE];
    cluster.ask(&arguments, &pod.to_string())?.good()?;
    // And what is not as restricted would have been refused.
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    let refused = cluster.ask(&arguments, &pod.to_string())?.bad()?;
    assert!(refused.contains("violates PodSecurity"), "{refused}");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_release_that_is_uninstalled() -> Result<()> {
    let cluster = Cluster::start()?;
    helm(&cluster, "install", &directory(), "networkPolicy.enabled=true")?;
    cluster.helm(&["uninstall", "azwi", "--namespace", NAMESPACE])?.good()?;
    let kinds = "mutatingwebhookconfigurations,clusterroles,clusterrolebindings,deployments,secrets,services,configmaps,\
        serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies";
    let left = cluster.kubectl(&["get", kinds, "--namespace", NAMESPACE, "--output=name"])?;
    assert!(!left.contains("azure-wi-webhook"), "{left}");
    Ok(())
}
