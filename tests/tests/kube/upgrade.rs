//! From azure-workload-identity's release to ours, while pods are created.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use azwi_tests::chart::directory;
use azwi_tests::cluster::Cluster;
use azwi_tests::relay::Relay;
use azwi_tests::webhook::{Installation, NAMESPACE, Replica, TENANT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::load::Load;
use crate::release::predecessor;

const CONFIGURATION: &str = "mutatingwebhookconfiguration/azure-wi-webhook-mutating-webhook-configuration";
const SECRET: &str = "secret/azure-wi-webhook-server-cert";
const SERVICE: &str = "service/azure-wi-webhook-webhook-service";

/// That release, with what its webhook has written into Secret and configuration.
fn install_predecessor(cluster: &Cluster, port: u16) -> Result<()> {
    let values = format!("azureTenantID={TENANT},service.port={port}");
    helm(cluster, &["install", "--create-namespace", "--set", &values], &predecessor())?;
    let name = json!({ "spec": { "type": "ExternalName", "externalName": "127.0.0.1" } }).to_string();
    cluster.kubectl(&["patch", SERVICE, "--namespace", NAMESPACE, "--type=merge", "--patch", &name])?;
    let data = json!({ "data": {
        "ca.crt": written("ca.crt")?, "ca.key": written("ca.key")?,
        "tls.crt": written("tls.crt")?, "tls.key": written("tls.key")?,
    } });
    cluster.kubectl(&["patch", SECRET, "--namespace", NAMESPACE, "--patch", &data.to_string()])?;
    let bundle = json!([
        { "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": written("ca.crt")? },
    ]);
    cluster.kubectl(&["patch", CONFIGURATION, "--type=json", "--patch", &bundle.to_string()]).map(drop)
}

/// By the Go webhook.
fn written(file: &str) -> Result<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/webhook/src/certificates/testdata");
    Ok(STANDARD.encode(fs::read(directory.join(file))?))
}

fn helm(cluster: &Cluster, arguments: &[&str], chart: &Path) -> Result<()> {
    let chart = chart.to_str().context("the path is not UTF-8")?;
    cluster.helm(&[arguments, &["azwi", chart, "--namespace", NAMESPACE]].concat())?.good().map(drop)
}

fn bundle(cluster: &Cluster) -> Result<Value> {
    Ok(cluster.get(CONFIGURATION, NAMESPACE)?["webhooks"][0]["clientConfig"]["caBundle"].clone())
}

/// The part of the Go webhook's replicas is played by ours, with the certificate, the rights and the arguments of that
/// release; that of the Deployment's controller, which starts new ones before it ends old ones, by the test.
#[test]
fn an_upgrade_from_azure_workload_identity_takes_no_creation_with_it() -> Result<()> {
    let cluster = Cluster::start()?;
    let service = Relay::start_without()?;
    install_predecessor(&cluster, service.port())?;
    let mut installation = Installation { replicas: Vec::new(), service, cluster };
    installation.add_replica()?;
    installation.add_replica()?;
    let old = std::mem::take(&mut installation.replicas);
    let before = bundle(&installation.cluster)?;
    let load = Load::new(&installation.cluster, 2000)?;
    load.run(|| {
        load.wait_for(200)?;
        // Its Service leads out of the cluster, which the chart does not know.
        let values = ["--reset-then-reuse-values", "--set=service.type=ExternalName", "--skip-schema-validation"];
        helm(&installation.cluster, &[&["upgrade"], &values[..]].concat(), &directory())?;
        let new = [Replica::start(&installation.cluster)?, Replica::start(&installation.cluster)?];
        let ports: Vec<_> = new.iter().map(Replica::port).collect();
        installation.service.lead_to(&[&ports[..], &old.iter().map(Replica::port).collect::<Vec<_>>()].concat());
        old.iter().try_for_each(Replica::terminate)?;
        installation.service.lead_to(&ports);
        for mut replica in old {
            ensure!(replica.wait()?, "it did not end well: {}", replica.log.whole());
        }
        installation.cluster.kubectl(&["get", "namespace", NAMESPACE])?;
        // The rest of them is for the new ones alone.
        load.wait_for(2000)?;
        drop(new);
        Ok(())
    })?;
    assert_eq!(bundle(&installation.cluster)?, before);
    Ok(())
}
