//! Tokens that the sidecar fetches before anybody asks.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::metrics::{FLAG, Scrape};
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::{ORPHAN, RESOURCE, Stage};
use serde_json::Value;

const MANAGEMENT: &str = "https://management.azure.com/";

/// The line of the log about a resource.
fn outcome(proxy: &Proxy, message: &str, resource: &str) -> Result<Value> {
    proxy.log.wait_for(&[("message", message), ("resource", resource)]).with_context(|| format!("{resource}: no line"))
}

fn text(line: &Value, field: &str) -> String {
    line.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn the_first_request_finds_a_prewarmed_token_in_memory() -> Result<()> {
    let stage = Stage::with(&[], &["--prewarm", MANAGEMENT, FLAG])?;
    assert_eq!(text(&outcome(&stage.proxy, "prewarmed", MANAGEMENT)?, "level"), "INFO");
    assert_eq!(stage.token()?.status, 200);
    assert_eq!(stage.exchanges()?, 1);
    let scrape = Scrape::of(&stage.proxy)?;
    assert_eq!((scrape.requests("cached"), scrape.requests("fetched")), (Some(1.0), Some(0.0)));
    Ok(())
}

#[test]
fn a_prewarmed_token_that_nobody_asked_for_is_not_in_use() -> Result<()> {
    let stage = Stage::with(&[], &["--prewarm", MANAGEMENT, FLAG])?;
    outcome(&stage.proxy, "prewarmed", MANAGEMENT)?;
    let expiry = |scrape: Scrape| scrape.value("azwi_proxy_token_expiry_seconds", &[]);
    assert_eq!(expiry(Scrape::of(&stage.proxy)?), None);
    assert_eq!(stage.token()?.status, 200);
    assert!(expiry(Scrape::of(&stage.proxy)?).is_some());
    Ok(())
}

#[test]
fn without_the_flag_nothing_is_fetched_before_somebody_asks() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 200);
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn all_resources_are_fetched_at_once() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.entra.faults(r#"{"latency_ms":2500}"#)?;
    let resources = [MANAGEMENT, "https://vault.azure.net", "https://storage.azure.com/"];
    stage.restart(&[], &["--prewarm", &resources.join(", ")])?;
    // Entra has all of them before it has answered one.
    let counters = stage.entra.wait_for_exchanges(3)?;
    assert_eq!((counters.exchanges, counters.succeeded), (3, 0));
    for resource in resources {
        outcome(&stage.proxy, "prewarmed", resource)?;
    }
    Ok(())
}

#[test]
fn an_entra_that_hangs_holds_up_neither_the_start_nor_being_ready_and_is_given_up_after_five_seconds() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.entra.faults(r#"{"hang":true}"#)?;
    let started = Instant::now();
    stage.restart(&[], &["--prewarm", MANAGEMENT])?;
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 200);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let line = outcome(&stage.proxy, "not prewarmed", MANAGEMENT)?;
    assert!((5..9).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert_eq!(text(&line, "level"), "WARN");
    assert!(text(&line, "error").contains("timed out"), "{line}");
    Ok(())
}

#[test]
fn one_resource_that_entra_refuses_is_one_warning_with_the_reason() -> Result<()> {
    let stage = Stage::with(&[("AZURE_CLIENT_ID", ORPHAN)], &["--prewarm", MANAGEMENT])?;
    let line = outcome(&stage.proxy, "not prewarmed", MANAGEMENT)?;
    assert!(text(&line, "error").contains("AADSTS700213"), "{line}");
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 200);
    Ok(())
}

#[test]
fn a_passing_fault_at_the_start_is_absorbed() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.entra.faults(r#"{"status":503,"remaining":1}"#)?;
    stage.restart(&[], &["--prewarm", MANAGEMENT])?;
    outcome(&stage.proxy, "prewarmed", MANAGEMENT)?;
    Ok(())
}

#[test]
fn a_pod_that_lacks_what_an_exchange_needs_is_told_so() -> Result<()> {
    for (variable, reason) in [
        ("AZURE_CLIENT_ID", "AZURE_CLIENT_ID is not set"),
        ("AZURE_TENANT_ID", "AZURE_TENANT_ID is not set"),
        ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE is not set"),
    ] {
        let stage = Stage::with(&[(variable, "")], &["--prewarm", MANAGEMENT])?;
        let line = outcome(&stage.proxy, "not prewarmed", MANAGEMENT)?;
        assert!(text(&line, "error").contains(reason), "{line}");
    }
    Ok(())
}

#[test]
fn a_resource_that_is_spelled_otherwise_is_another_one() -> Result<()> {
    let stage = Stage::with(&[], &["--prewarm", "https://management.azure.com"])?;
    outcome(&stage.proxy, "prewarmed", "https://management.azure.com")?;
    assert_eq!(stage.proxy.token(RESOURCE)?.status, 200);
    assert_eq!(stage.exchanges()?, 2);
    Ok(())
}

#[test]
fn a_malformed_resource_is_refused_by_its_flag() -> Result<()> {
    for value in ["https://vault.azure.net,,", "two words"] {
        let output = Command::new(binary("azwi-proxy")?).env_clear().args(["--prewarm", value]).output()?;
        assert_eq!(output.status.code(), Some(64));
        let stderr = String::from_utf8(output.stderr)?;
        assert!(stderr.contains("--prewarm: "), "{stderr}");
    }
    Ok(())
}
