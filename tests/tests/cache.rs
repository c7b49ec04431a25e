//! How many exchanges reach Entra, and who waits for them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::http::METADATA;
use azwi_tests::metrics::{self, Scrape};
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::{DEMO, RESOURCE, SECOND, Stage};

#[test]
fn two_hundred_parallel_cold_requests_cause_exactly_one_exchange() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"latency_ms":300}"#)?;
    let mut connections = Vec::new();
    for _ in 0..200 {
        let mut connection = stage.proxy.connect()?;
        connection.request("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA])?;
        connections.push(connection);
    }
    let mut tokens = Vec::new();
    for connection in &mut connections {
        let response = connection.response()?;
        assert_eq!(response.status, 200, "{}", response.body);
        tokens.push(response.field("access_token"));
    }
    tokens.dedup();
    assert_eq!((tokens.len(), stage.exchanges()?), (1, 1));
    Ok(())
}

#[test]
fn a_client_that_disconnects_cancels_nothing() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"latency_ms":300}"#)?;
    let mut connection = stage.proxy.connect()?;
    connection.request("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA])?;
    stage.entra.wait_for_exchanges(1)?;
    drop(connection);
    stage.proxy.log.wait_for(&[("message", "token exchanged")]).context("the exchange was cancelled")?;
    assert_eq!(stage.token()?.status, 200);
    assert_eq!(stage.exchanges()?, 1);
    Ok(())
}

#[test]
fn each_identity_and_each_resource_has_a_token_of_its_own() -> Result<()> {
    let stage = Stage::new()?;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        for resource in ["https://vault.azure.net", "https://vault.azure.net/", "https://graph.microsoft.com"] {
            for client in [DEMO, SECOND] {
                let response = stage.proxy.token(&format!("resource={resource}&client_id={client}"))?;
                assert_eq!(response.status, 200, "{}", response.body);
                tokens.push(response.field("access_token"));
            }
        }
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!((tokens.len(), stage.exchanges()?), (6, 6));
    Ok(())
}

#[test]
fn the_case_of_a_client_id_does_not_matter() -> Result<()> {
    let client = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
    let stage = Stage::new()?;
    for id in [client.to_owned(), client.to_uppercase()] {
        assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={id}"))?.status, 403);
    }
    assert_eq!(stage.exchanges()?, 1);
    Ok(())
}

#[test]
fn a_token_in_use_is_refreshed_before_it_expires() -> Result<()> {
    let stage = Stage::new()?;
    // Entra's `expires_in` is a second short, so the alarm at 80 % comes after seven to eight seconds.
    stage.entra.faults(r#"{"token_lifetime":11}"#)?;
    let started = Instant::now();
    let first = stage.token()?.field("access_token");
    // Asked for again, so the alarm at 80 % finds somebody interested.
    assert_eq!(stage.token()?.field("access_token"), first);
    stage.entra.wait_for_exchanges(2)?;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn bypass_cache_causes_one_exchange_at_most_every_ten_seconds() -> Result<()> {
    let stage = Stage::with(&[], &[metrics::FLAG])?;
    for _ in 0..5 {
        assert_eq!(stage.proxy.token(&format!("{RESOURCE}&bypass_cache=true"))?.status, 200);
    }
    assert_eq!(stage.exchanges()?, 1);
    // None of them was taken for a request that any token will do for.
    let scrape = Scrape::of(&stage.proxy)?;
    assert_eq!((scrape.requests("fetched"), scrape.requests("cached")), (Some(5.0), Some(0.0)));
    Ok(())
}
