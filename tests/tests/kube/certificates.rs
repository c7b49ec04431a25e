//! Certificates that somebody else makes: cert-manager, or a person.

use std::fs;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use azwi_tests::cluster::{Cluster, directory_of, eventually};
use azwi_tests::tls_server::Authority;
use azwi_tests::webhook::{Installation, NAMESPACE, Replica, mount_certificate};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::load::Load;
use crate::workload::{Place, container, has_mount};

const CERTIFICATE: &str = "certificate.cert-manager.io/azure-wi-webhook-serving-cert";
const CONFIGURATION: &str = "mutatingwebhookconfiguration/azure-wi-webhook-mutating-webhook-configuration";

/// Puts a certificate of `authority` into the Secret, as somebody else than the webhook does.
pub(crate) fn put_certificate(cluster: &Cluster, authority: &Authority, names: &[&str]) -> Result<()> {
    let (certificate, key) = authority.certificate(names)?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "azure-wi-webhook-server-cert", "namespace": NAMESPACE },
        "stringData": { "tls.crt": certificate, "tls.key": key },
    });
    cluster.ask(&["apply", "--filename=-"], &secret.to_string())?.good().map(drop)
}

/// From now on API servers believe these.
fn trust(cluster: &Cluster, authorities: &[&Authority]) -> Result<()> {
    let bundle: String = authorities.iter().map(|authority| authority.pem()).collect();
    let patch = json!([
        { "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(bundle) },
    ]);
    cluster.kubectl(&["patch", CONFIGURATION, "--type=json", "--patch", &patch.to_string()]).map(drop)
}

pub(crate) fn service() -> String {
    format!("azure-wi-webhook-webhook-service.{NAMESPACE}.svc")
}

#[test]
fn a_mounted_certificate_is_replaced_and_so_is_its_authority_and_no_creation_fails() -> Result<()> {
    let [old, new] = [Authority::new("old")?, Authority::new("new")?];
    let bundle = STANDARD.encode(old.pem());
    let mut installation = Installation::new(0, &format!("disableCertRotation=true,caBundle={bundle}"))?;
    put_certificate(&installation.cluster, &old, &[&service()])?;
    installation.add_replica()?;
    installation.add_replica()?;
    let Installation { cluster, replicas, .. } = &installation;
    let load = Load::new(cluster, 1000)?;
    load.run(|| {
        load.wait_for(200)?;
        trust(cluster, &[&old, &new])?;
        put_certificate(cluster, &new, &[&service()])?;
        mount_certificate(cluster)?;
        // One line is of the start. What is asked meanwhile takes its time.
        let has_new = |replica: &Replica| replica.log.count(&[("message", "serving with a new certificate")]) > 1;
        eventually(|| {
            cluster.kubectl(&["get", "namespace", NAMESPACE])?;
            Ok(replicas.iter().all(has_new))
        })?;
        trust(cluster, &[&new])
    })?;
    // The new authority alone is believed now, whoever is asked.
    let place = Place::of(Arc::new(installation))?;
    place.created(&json!({})).map(drop)
}

/// With the kinds of objects that are there when cert-manager and the Prometheus operator are.
fn cluster_with_other_kinds() -> Result<Cluster> {
    let cluster = Cluster::start()?;
    let directory = directory_of("crds")?;
    let mut arguments = vec!["create".to_owned()];
    for file in fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()? {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            arguments.push(format!("--filename={}", path.display()));
        }
    }
    cluster.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    Ok(cluster)
}

/// What cert-manager does with the chart's Certificate: it puts one for these names into that Secret, and its injector
/// writes who vouches for it.
fn play_cert_manager(cluster: &Cluster, authority: &Authority) -> Result<()> {
    let certificate = cluster.get(CERTIFICATE, NAMESPACE)?;
    assert_eq!(certificate["spec"]["secretName"], "azure-wi-webhook-server-cert");
    let names = certificate["spec"]["dnsNames"].as_array().context("no names")?;
    let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
    put_certificate(cluster, authority, &names)?;
    let injected = &cluster.get(CONFIGURATION, NAMESPACE)?["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
    assert_eq!(injected, &format!("{NAMESPACE}/azure-wi-webhook-serving-cert"));
    trust(cluster, &[authority])
}

#[test]
fn what_cert_manager_makes_of_the_charts_certificate_is_served() -> Result<()> {
    let mut installation =
        Installation::on(cluster_with_other_kinds()?, 0, "certManager.enabled=true,podMonitor.enabled=true")?;
    play_cert_manager(&installation.cluster, &Authority::new("cert-manager")?)?;
    installation.add_replica()?;
    let pod = Place::of(Arc::new(installation))?.created(&json!({}))?;
    assert!(has_mount(container(&pod, "app")), "{pod}");
    Ok(())
}

#[test]
fn every_object_that_the_chart_can_have_is_accepted_by_a_strict_server() -> Result<()> {
    let cluster = cluster_with_other_kinds()?;
    cluster.namespace(NAMESPACE)?;
    let rendered = crate::chart::everything(NAMESPACE)?;
    let arguments = ["create", "--dry-run=server", "--validate=strict", "--output=name", "--filename=-"];
    let accepted = cluster.ask(&arguments, &rendered)?.good()?;
    for kind in
        ["certificate.", "issuer.", "podmonitor.", "networkpolicy.", "poddisruptionbudget.", "deployment.", "pod/"]
    {
        assert!(accepted.lines().any(|line| line.starts_with(kind)), "no {kind} in {accepted}");
    }
    Ok(())
}
