//! Values of the chart that change what becomes of pods.

use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};
use azwi_tests::cluster::{Cluster, eventually};
use azwi_tests::tls_server::Authority;
use azwi_tests::webhook::{Installation, NAMESPACE, Replica, mount_certificate};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

#[test]
fn authorities_of_a_token_endpoint_may_be_a_signers() -> Result<()> {
    // Not yet on by default.
    let cluster = Cluster::start_with(&["--feature-gates=ClusterTrustBundle=true,ClusterTrustBundleProjection=true"])?;
    let values = format!("{ENDPOINT},customTokenEndpoint.azureKubernetesCACTBSignerName=example.com/signer");
    let place = Place::of(Arc::new(Installation::on(cluster, 1, &values)?))?;
    let pod = place.created(&json!({ "use-proxy": "true" }))?;
    let bundle = &volume(&pod)["projected"]["sources"][1]["clusterTrustBundle"];
    assert_eq!(bundle["signerName"], "example.com/signer", "{pod}");
    assert_eq!((&bundle["path"], &bundle["optional"]), (&json!("ca-cert/ca.crt"), &json!(false)));
    Ok(())
}

/// Puts a certificate of `authority` for the Service into the Secret, as somebody else than the webhook does.
fn put_certificate(cluster: &Cluster, authority: &Authority) -> Result<()> {
    let name = format!("azure-wi-webhook-webhook-service.{NAMESPACE}.svc");
    let (certificate, key) = authority.certificate(&[&name])?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "azure-wi-webhook-server-cert", "namespace": NAMESPACE },
        "stringData": { "tls.crt": certificate, "tls.key": key },
    });
    cluster.ask(&["apply", "--filename=-"], &secret.to_string())?.good().map(drop)
}

#[test]
fn a_certificate_of_somebody_elses_is_served_and_so_is_the_next() -> Result<()> {
    let authority = Authority::new("somebody else")?;
    let bundle = STANDARD.encode(authority.pem());
    let mut installation = Installation::new(0, &format!("disableCertRotation=true,caBundle={bundle}"))?;
    put_certificate(&installation.cluster, &authority)?;
    installation.add_replica()?;
    let place = Place::of(Arc::new(installation))?;
    place.created(&json!({}))?;

    let Installation { cluster, replicas, .. } = &*place.installation;
    put_certificate(cluster, &authority)?;
    mount_certificate(cluster)?;
    let has_new = |replica: &Replica| replica.log.count(&[("message", "serving with a new certificate")]) > 1;
    eventually(|| {
        cluster.kubectl(&["get", "namespace", NAMESPACE])?;
        Ok(replicas.iter().all(has_new))
    })?;
    let mut pod = place.pod(&json!({}));
    pod["metadata"]["name"] = "after".into();
    cluster.create(&pod).map(drop)
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
