//! Nothing that happens to the webhook, its certificate or the API server fails the creation of a pod.

use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use azwi_tests::cluster::eventually;
use azwi_tests::webhook::{Installation, NAMESPACE, Replica};
use serde_json::{Value, json};

use crate::asker::Asker;
use crate::load::Load;
use crate::workload::Place;

const SECRET: &str = "secret/azure-wi-webhook-server-cert";
const CONFIGURATION: &str = "mutatingwebhookconfiguration/azure-wi-webhook-mutating-webhook-configuration";

fn ports(replicas: &[Replica]) -> Vec<u16> {
    replicas.iter().map(Replica::port).collect()
}

#[test]
fn a_replica_that_goes_takes_no_creation_with_it() -> Result<()> {
    let mut installation = Installation::new(2, "logLevel=info")?;
    let mut gone = installation.replicas.pop().context("no replica")?;
    let load = Load::new(&installation.cluster, 2000)?;
    load.run(|| {
        load.wait_for(500)?;
        gone.terminate()?;
        // Endpoints lag behind: the Service leads to it for a while still.
        load.wait_for(560)?;
        installation.service.lead_to(&ports(&installation.replicas));
        ensure!(gone.wait()?, "it did not end well: {}", gone.log.whole());
        Ok(())
    })
}

/// API servers ask once: no webhook can help those that are asking it when it is killed, nor those that are led to it
/// until its Service knows.
#[test]
fn a_replica_that_is_killed_takes_few_creations_with_it_and_none_that_is_tried_again() -> Result<()> {
    let mut installation = Installation::new(2, "logLevel=info")?;
    let gone = installation.replicas.pop().context("no replica")?;
    let load = Load::new(&installation.cluster, 2000)?;
    let refusals = load.insist(|| {
        load.wait_for(500)?;
        gone.kill()?;
        load.wait_for(560)?;
        installation.service.lead_to(&ports(&installation.replicas));
        Ok(())
    })?;
    assert!(refusals.len() <= 40, "{}: {refusals:?}", refusals.len());
    let failed = "failed calling webhook \\\"mutation.azure-workload-identity.io\\\"";
    assert!(refusals.iter().all(|refusal| refusal.contains(failed)), "{refusals:?}");
    Ok(())
}

#[test]
fn a_rolling_update_takes_no_creation_with_it() -> Result<()> {
    let mut installation = Installation::new(2, "logLevel=info")?;
    let old = std::mem::take(&mut installation.replicas);
    let new = [Replica::start(&installation.cluster)?, Replica::start(&installation.cluster)?];
    let load = Load::new(&installation.cluster, 1000)?;
    load.run(|| {
        load.wait_for(200)?;
        old.iter().try_for_each(Replica::terminate)?;
        load.wait_for(260)?;
        installation.service.lead_to(&ports(&new));
        for mut replica in old {
            ensure!(replica.wait()?, "it did not end well: {}", replica.log.whole());
        }
        Ok(())
    })
}

/// Changes the Secret while pods are created, until all replicas serve with a new certificate.
fn change_secret(installation: &Installation, patch: &str) -> Result<()> {
    let cluster = &installation.cluster;
    let load = Load::endless(cluster)?;
    load.run(|| {
        load.wait_for(200)?;
        cluster.kubectl(&["patch", SECRET, "--namespace", NAMESPACE, "--type=json", "--patch", patch])?;
        // One line is of the start. What is asked meanwhile takes its time.
        let has_new = |replica: &Replica| replica.log.count(&[("message", "serving with a new certificate")]) > 1;
        eventually(|| {
            cluster.kubectl(&["get", SECRET, "--namespace", NAMESPACE])?;
            Ok(installation.replicas.iter().all(has_new))
        })
    })?;
    // API servers keep their connections: a new one shows the new certificate.
    for replica in &installation.replicas {
        Asker::new(installation, replica)?.is_answered()?;
    }
    Ok(())
}

fn authority(installation: &Installation) -> Result<Value> {
    Ok(installation.cluster.get(SECRET, NAMESPACE)?["data"]["ca.crt"].clone())
}

#[test]
fn a_new_certificate_takes_no_creation_with_it() -> Result<()> {
    let installation = Installation::new(2, "logLevel=info")?;
    let before = authority(&installation)?;
    // The certificate can be used no more.
    change_secret(&installation, r#"[{"op":"replace","path":"/data/tls.crt","value":"eA=="}]"#)?;
    assert_eq!(authority(&installation)?, before);
    Ok(())
}

#[test]
fn a_lost_authority_takes_no_creation_with_it() -> Result<()> {
    let installation = Installation::new(2, "logLevel=info")?;
    let before = authority(&installation)?;
    change_secret(&installation, r#"[{"op":"remove","path":"/data"}]"#)?;
    assert_ne!(authority(&installation)?, before);
    Ok(())
}

#[test]
fn the_webhook_outlives_the_api_server() -> Result<()> {
    let place = Place::of(Arc::new(Installation::new(1, "logLevel=info")?))?;
    let installation = &place.installation;
    // Known, so that only the watch can tell of a change.
    place.created(&json!({}))?;
    installation.cluster.stop_api_server();
    installation.cluster.start_api_server()?;
    Load::new(&installation.cluster, 20)?.run(|| Ok(()))?;
    place.is_given_a_new_client_id()
}

#[test]
fn replicas_that_start_at_once_agree_on_an_authority() -> Result<()> {
    let installation = Installation::new(0, "logLevel=info")?;
    let cluster = &installation.cluster;
    let replicas = thread::scope(|scope| {
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(|| Replica::start(cluster))).collect();
        let joined = starting.into_iter().map(|starting| starting.join().map_err(|_| anyhow!("a start panicked"))?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    installation.service.lead_to(&ports(&replicas));
    let load = Load::new(cluster, 30)?;
    // Eight connections in turn: each of them is believed.
    load.run(|| Ok(()))
}

#[test]
fn the_configuration_trusts_the_authority_in_the_secret() -> Result<()> {
    let installation = Installation::new(1, "logLevel=info")?;
    let configuration = installation.cluster.get(CONFIGURATION, NAMESPACE)?;
    let secret = installation.cluster.get(SECRET, NAMESPACE)?;
    let bundle = configuration.pointer("/webhooks/0/clientConfig/caBundle").and_then(Value::as_str);
    assert!(bundle.is_some_and(|bundle| !bundle.is_empty()), "{configuration}");
    assert_eq!(bundle, secret["data"]["ca.crt"].as_str());
    Ok(())
}
