//! How many connections to Entra there are, and what becomes of the exchanges when one of them fails.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::emulator::clients::APP;
use azwi_tests::http::METADATA;
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::relay::Relay;
use azwi_tests::stage::{DEMO, SECOND, Stage, alone};
use azwi_tests::tls_server::{Authority, TlsServer, token_answer};

/// Resources that Entra knows, half of them with a slash: each has a token of its own.
fn resources(number: usize) -> Vec<String> {
    let names = ["management", "storage", "cosmos", "redis", "search", "cognitiveservices", "monitor"];
    let known = names.map(|name| format!("https://{name}.azure.com"));
    let others = ["vault", "managedhsm", "servicebus", "eventhubs", "eventgrid", "containerregistry"];
    let known = known.into_iter().chain(others.map(|name| format!("https://{name}.azure.net")));
    known.flat_map(|resource| [format!("{resource}/"), resource]).take(number).collect()
}

/// Asks for the tokens of `client` for several resources at once; all must be there.
fn fetch(proxy: &Proxy, client: &str, number: usize) -> Result<Duration> {
    let started = Instant::now();
    let mut connections = Vec::new();
    for resource in resources(number) {
        let mut connection = proxy.connect()?;
        connection.request("GET", &format!("{TOKEN}?resource={resource}&client_id={client}"), &[METADATA])?;
        connections.push(connection);
    }
    for connection in &mut connections {
        let response = connection.response()?;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    Ok(started.elapsed())
}

/// A second sidecar of the stage, which reaches Entra through `relay`.
fn behind(relay: &Relay, stage: &Stage) -> Result<Proxy> {
    let token_file = stage.token_file().to_string_lossy().into_owned();
    let env = [
        ("AZURE_CLIENT_ID", DEMO),
        ("AZURE_TENANT_ID", stage.entra.tenant()),
        ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
        ("AZURE_AUTHORITY_HOST", &format!("https://localhost:{}/", relay.port())),
    ];
    Proxy::start(&env, &["--ca-file", &stage.entra.ca_file().to_string_lossy()])
}

fn relay(stage: &Stage) -> Result<Relay> {
    let port = stage.entra.authority().trim_end_matches('/').rsplit_once(':').context("no port")?.1;
    Relay::start(port.parse()?)
}

#[test]
fn twenty_resources_at_once_are_fetched_in_parallel_over_one_connection() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"latency_ms":500}"#)?;
    let took = fetch(&stage.proxy, DEMO, 20)?;
    // One after the other they would take ten seconds.
    assert!(took < Duration::from_secs(3), "{took:?}");
    let counters = stage.entra.counters()?;
    assert_eq!((counters.exchanges, counters.requests_http2, counters.connections), (20, 20, 1));
    Ok(())
}

#[test]
fn a_connection_that_was_ended_is_replaced_within_the_request() -> Result<()> {
    let stage = Stage::new()?;
    let relay = relay(&stage)?;
    let proxy = behind(&relay, &stage)?;
    fetch(&proxy, DEMO, 1)?;
    relay.cut();
    let took = fetch(&proxy, APP, 5)?;
    // No attempt has failed: a retry would have waited for a while.
    assert!(!proxy_log(proxy)?.contains("failed"), "{took:?}");
    assert_eq!((relay.connections(), stage.exchanges()?), (2, 6));
    Ok(())
}

#[test]
fn a_connection_that_swallows_everything_is_given_up_and_replaced() -> Result<()> {
    let stage = Stage::new()?;
    let relay = relay(&stage)?;
    let proxy = behind(&relay, &stage)?;
    fetch(&proxy, DEMO, 1)?;
    relay.black_hole();
    fetch(&proxy, SECOND, 5)?;
    assert_eq!(relay.connections(), 2);
    // Later ones do not notice any more.
    assert!(fetch(&proxy, APP, 5)? < Duration::from_secs(2));
    assert_eq!(relay.connections(), 2);
    Ok(())
}

#[test]
fn an_entra_that_froze_is_used_again_when_it_goes_on() -> Result<()> {
    let stage = Stage::new()?;
    fetch(&stage.proxy, DEMO, 1)?;
    stage.entra.freeze()?;
    let response = stage.proxy.token("resource=https://vault.azure.net")?;
    assert_eq!((response.status, response.field("error").as_str()), (503, "temporarily_unavailable"));
    stage.entra.go_on()?;
    fetch(&stage.proxy, SECOND, 5)?;
    Ok(())
}

#[test]
fn an_authority_that_speaks_http_1_1_only_is_asked_in_parallel_too() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new("ours")?;
    // It knows nothing of ALPN, as some gateways.
    let server = TlsServer::start(authority.certify(&["localhost"])?, &token_answer())?;
    let ca_file = directory.path().join("ca.crt");
    std::fs::write(&ca_file, authority.pem())?;
    let env = [
        ("AZURE_AUTHORITY_HOST", format!("https://localhost:{}/", server.port())),
        ("SSL_CERT_FILE", ca_file.to_string_lossy().into_owned()),
    ];
    let proxy = alone(directory.path(), &env.each_ref().map(|(name, value)| (*name, value.as_str())), &[])?;
    for client in [DEMO, SECOND] {
        fetch(&proxy, client, 20)?;
    }
    let visits = server.visits();
    assert_eq!(visits.len(), 40);
    assert!(visits.iter().all(|visit| visit.protocols == "h2 http/1.1" && visit.request_line.ends_with("HTTP/1.1")));
    Ok(())
}

#[test]
fn idle_connections_that_swallow_everything_are_given_up_together() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new("ours")?;
    let server = TlsServer::start(authority.certify(&["localhost"])?, &token_answer())?;
    let relay = Relay::start(server.port())?;
    let ca_file = directory.path().join("ca.crt");
    std::fs::write(&ca_file, authority.pem())?;
    let env = [
        ("AZURE_AUTHORITY_HOST", format!("https://localhost:{}/", relay.port())),
        ("SSL_CERT_FILE", ca_file.to_string_lossy().into_owned()),
    ];
    let proxy = alone(directory.path(), &env.each_ref().map(|(name, value)| (*name, value.as_str())), &[])?;
    fetch(&proxy, DEMO, 5)?;
    let before = relay.connections();
    relay.black_hole();
    // The first attempt finds out; the second one must not have to.
    fetch(&proxy, SECOND, 1)?;
    assert!((2..=5).contains(&before), "{before}");
    assert_eq!(relay.connections(), before + 1);
    Ok(())
}

fn proxy_log(mut proxy: Proxy) -> Result<String> {
    proxy.terminate()?;
    proxy.wait()?;
    Ok(proxy.log.whole())
}
