//! Values of the chart that change what becomes of pods.

use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};
use azwi_tests::cluster::{Cluster, eventually};
use azwi_tests::webhook::{Installation, NAMESPACE};
use serde_json::{Value, json};

use crate::workload::{Place, container, has_mount, names, token, variables, volume};

const ENDPOINT: &str = "customTokenEndpoint.annotationSuffix=proxy,customTokenEndpoint.audience=api://proxy,\
    customTokenEndpoint.azureKubernetesTokenProxy=https://proxy.example,\
    customTokenEndpoint.azureKubernetesSniName=name.example";

fn place(values: &str) -> Result<Place> {
    Place::of(Arc::new(Installation::new(1, values)?))
}

#[test]
fn sidecars_that_must_not_be_native_come_first_among_the_containers() -> Result<()> {
    let pod = place("nativeSidecar=never")?.created(&json!({ "inject-proxy-sidecar": "true" }))?;
    assert_eq!(names(&pod, "initContainers"), ["azwi-proxy-init", "prepare"]);
    assert_eq!(names(&pod, "containers"), ["azwi-proxy", "app", "other"]);
    Ok(())
}

#[test]
fn the_cloud_and_the_audience_are_those_of_the_values() -> Result<()> {
    let pod =
        place("azureEnvironment=AzureUSGovernment,audience=api://AzureADTokenExchangeUSGov")?.created(&json!({}))?;
    let authority = ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/");
    assert!(variables(container(&pod, "app")).contains(&authority), "{pod}");
    assert_eq!(token(&pod)["audience"], "api://AzureADTokenExchangeUSGov");
    Ok(())
}

#[test]
fn an_excluded_namespace_stays_as_it_is() -> Result<()> {
    let installation = Installation::new(1, "excludedNamespaces={quiet}")?;
    let (cluster, pod) = (&installation.cluster, |namespace: &str| {
        let mut pod = crate::workload::pod(namespace, "web", &json!({}));
        pod["spec"]["serviceAccountName"] = "default".into();
        pod
    });
    cluster.namespace("quiet")?;
    cluster.namespace("loud")?;
    assert_eq!(volume(&cluster.create(&pod("quiet"))?), &Value::Null);
    assert_ne!(volume(&cluster.create(&pod("loud"))?), &Value::Null);
    Ok(())
}

/// A copy of the pod as it is now is accepted by a server that takes no field it does not know, and changed no more.
fn is_accepted_as_it_is(place: &Place, pod: &Value) -> Result<()> {
    let mut copy = pod.clone();
    let metadata = &pod["metadata"];
    copy["metadata"] = json!({ "name": "copy", "namespace": place.namespace });
    copy["metadata"]["labels"] = metadata["labels"].clone();
    copy["metadata"]["annotations"] = metadata["annotations"].clone();
    let arguments = ["create", "--dry-run=server", "--validate=strict", "--output=json", "--filename=-"];
    let answer = place.installation.cluster.ask(&arguments, &copy.to_string())?.good()?;
    let accepted: Value = serde_json::from_str(&answer)?;
    assert_eq!(accepted["spec"], pod["spec"]);
    Ok(())
}

#[test]
fn a_custom_token_endpoint_is_for_pods_that_ask_for_it() -> Result<()> {
    let place = place(&format!("{ENDPOINT},customTokenEndpoint.azureKubernetesCAConfigMapName=ca"))?;
    let pod = place.created(&json!({ "use-proxy": "True" }))?;
    let found = variables(container(&pod, "app"));
    for wanted in [
        ("AZURE_KUBERNETES_TOKEN_PROXY", "https://proxy.example"),
        ("AZURE_KUBERNETES_SNI_NAME", "name.example"),
        ("AZURE_KUBERNETES_CA_FILE", "/var/run/secrets/azure/wi/ca-cert/ca.crt"),
    ] {
        assert!(found.contains(&wanted), "no {wanted:?} in {found:?}");
    }
    assert_eq!(token(&pod)["audience"], "api://proxy");
    let config_map = &volume(&pod)["projected"]["sources"][1]["configMap"];
    let item = json!({ "key": "ca.crt", "path": "ca-cert/ca.crt" });
    assert_eq!(config_map, &json!({ "name": "ca", "items": [item], "optional": false }));
    is_accepted_as_it_is(&place, &pod)?;

    let mut other = place.pod(&json!({}));
    other["metadata"]["name"] = "other".into();
    let other = place.installation.cluster.create(&other)?;
    assert_eq!(variables(container(&other, "app")).len(), 4);
    assert_eq!(token(&other)["audience"], "api://AzureADTokenExchange");
    Ok(())
}

#[test]
fn authorities_of_a_token_endpoint_may_be_text() -> Result<()> {
    let place = place(&format!("{ENDPOINT},customTokenEndpoint.azureKubernetesCaData=PEM"))?;
    let pod = place.created(&json!({ "use-proxy": "true" }))?;
    let found = variables(container(&pod, "app"));
    assert!(found.contains(&("AZURE_KUBERNETES_CA_DATA", "PEM")), "{found:?}");
    // Azure's SDKs refuse both together.
    assert!(found.iter().all(|(name, _)| *name != "AZURE_KUBERNETES_CA_FILE"), "{found:?}");
    Ok(())
}

/// Where trust bundles are on, as they are not yet by default.
fn place_with_trust_bundles(values: &str) -> Result<Place> {
    let cluster = Cluster::start_with(&["--feature-gates=ClusterTrustBundle=true,ClusterTrustBundleProjection=true"])?;
    Place::of(Arc::new(Installation::on(cluster, 1, &format!("{ENDPOINT},{values}"))?))
}

/// Helm takes a comma, or a brace at the start, for its own, unless there is a backslash before it.
#[test]
fn authorities_of_a_token_endpoint_may_be_those_of_a_signer_with_these_labels() -> Result<()> {
    let place = place_with_trust_bundles(
        r#"customTokenEndpoint.azureKubernetesCACTBSignerName=example.com/signer,customTokenEndpoint.azureKubernetesCACTBLabelSelector=\{"matchLabels":{"for":"pods"}\,"matchExpressions":[{"key":"old"\,"operator":"DoesNotExist"}]}"#,
    )?;
    let pod = place.created(&json!({ "use-proxy": "true" }))?;
    let labels = json!({
        "matchLabels": { "for": "pods" },
        "matchExpressions": [{ "key": "old", "operator": "DoesNotExist" }],
    });
    let bundle = &volume(&pod)["projected"]["sources"][1]["clusterTrustBundle"];
    let wanted = json!({
        "signerName": "example.com/signer", "labelSelector": labels, "path": "ca-cert/ca.crt", "optional": false,
    });
    assert_eq!(bundle, &wanted, "{pod}");
    is_accepted_as_it_is(&place, &pod)
}

#[test]
fn authorities_of_a_token_endpoint_may_be_all_of_a_signer() -> Result<()> {
    let place = place_with_trust_bundles("customTokenEndpoint.azureKubernetesCACTBSignerName=example.com/signer")?;
    let pod = place.created(&json!({ "use-proxy": "true" }))?;
    let bundle = &volume(&pod)["projected"]["sources"][1]["clusterTrustBundle"];
    // A bundle without a selector is none at all; one that selects everything is all.
    assert_eq!(bundle["labelSelector"], json!({}), "{pod}");
    is_accepted_as_it_is(&place, &pod)
}

#[test]
fn helm_test_creates_a_pod_with_an_identity() -> Result<()> {
    let installation = Installation::new(1, "logLevel=info")?;
    let cluster = &installation.cluster;
    thread::scope(|scope| {
        let test = scope.spawn(|| cluster.helm(&["test", "azwi", "--namespace", NAMESPACE, "--timeout=1m"])?.good());
        let name = "pod/azure-wi-webhook-test";
        eventually(|| Ok(cluster.get(name, NAMESPACE).is_ok()))?;
        let pod = cluster.get(name, NAMESPACE)?;
        assert!(has_mount(container(&pod, "test")), "{pod}");
        // No kubelet says so.
        let succeeded = r#"{"status":{"phase":"Succeeded"}}"#;
        let patch = ["--subresource=status", "--type=merge", "--patch", succeeded];
        cluster.kubectl(&[&["patch", name, "--namespace", NAMESPACE], &patch[..]].concat())?;
        let told = test.join().map_err(|_| anyhow!("helm panicked"))??;
        assert!(told.contains("Phase:          Succeeded"), "{told}");
        Ok(())
    })
}
