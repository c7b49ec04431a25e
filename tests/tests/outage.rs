//! Entra is down, slow, throttling, or answers nonsense: apps wait as little as possible and recover by themselves.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::http::Response;
use azwi_tests::stage::{ORPHAN, RESOURCE, Stage};

/// An answer that every SDK retries.
fn is_transient(response: &Response) -> bool {
    let retry_after = response.header("Retry-After").and_then(|value| value.parse::<u64>().ok());
    response.field("error") == "temporarily_unavailable" && retry_after.is_some_and(|s| (1..=20).contains(&s))
}

#[test]
fn one_503_is_absorbed_within_the_request() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"status":503,"remaining":2}"#)?;
    assert_eq!(stage.token()?.status, 200);
    assert_eq!(stage.exchanges()?, 3);
    Ok(())
}

#[test]
fn one_reset_is_absorbed_within_the_request() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"reset":true,"remaining":1}"#)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn one_hang_is_absorbed_within_the_request() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"hang":true,"remaining":1}"#)?;
    let started = Instant::now();
    assert_eq!(stage.token()?.status, 200);
    assert!(started.elapsed() < Duration::from_secs(8));
    Ok(())
}

#[test]
fn one_answer_of_garbage_is_absorbed_within_the_request() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"garbage":true,"remaining":1}"#)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn lasting_garbage_and_resets_are_503_within_the_budget() -> Result<()> {
    let stage = Stage::new()?;
    for fault in [r#"{"garbage":true}"#, r#"{"reset":true}"#] {
        stage.entra.faults(fault)?;
        let started = Instant::now();
        let response = stage.token()?;
        assert!(started.elapsed() < Duration::from_secs(9), "{fault}: {:?}", started.elapsed());
        assert!(response.status == 503 && is_transient(&response), "{fault}: {}", response.body);
    }
    Ok(())
}

#[test]
fn an_entra_that_is_too_slow_is_503_in_time_and_its_answer_is_kept_for_the_retry() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"latency_ms":9000}"#)?;
    let started = Instant::now();
    let response = stage.token()?;
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    assert!(response.status == 503 && is_transient(&response), "{}", response.body);
    stage.proxy.log.wait_for(&[("message", "token exchanged")]).context("the exchange did not go on")?;
    stage.entra.faults(r#"{"status":503}"#)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn an_entra_that_is_not_there_is_503_and_recovery_is_noticed() -> Result<()> {
    let stage = Stage::with(&[("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1/")], &[])?;
    let response = stage.token()?;
    assert!(response.status == 503 && is_transient(&response), "{}", response.body);
    assert!(response.field("error_description").contains("refused"), "{}", response.body);
    // NMI-era SDKs take this word for "there is no IMDS here".
    assert!(!response.body.contains("unreachable"));
    Ok(())
}

#[test]
fn throttling_is_429_with_entras_retry_after_and_entra_is_left_alone() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"aadsts":90055,"status":429,"retry_after":17}"#)?;
    for _ in 0..5 {
        let response = stage.token()?;
        assert_eq!((response.status, response.reason.as_str()), (429, "Too Many Requests"));
        let retry_after: u64 = response.header("Retry-After").unwrap_or_default().parse()?;
        assert!((15..=17).contains(&retry_after), "{retry_after}");
    }
    assert_eq!(stage.exchanges()?, 1);
    Ok(())
}

#[test]
fn a_short_throttling_is_absorbed_within_the_request() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"status":429,"retry_after":1,"remaining":1}"#)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn an_issuer_that_entra_cannot_fetch_is_503() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"issuer_down":true}"#)?;
    let response = stage.token()?;
    assert!(response.status == 503 && is_transient(&response), "{}", response.body);
    Ok(())
}

#[test]
fn a_new_identity_without_federated_credential_is_503_until_the_grace_ends() -> Result<()> {
    let stage = Stage::with(&[("AZWI_PROPAGATION_GRACE", "12")], &[])?;
    let query = format!("{RESOURCE}&client_id={ORPHAN}");
    let response = stage.proxy.token(&query)?;
    assert!(response.status == 503 && is_transient(&response), "{}", response.body);
    assert!(response.field("error_description").starts_with("AADSTS700213"), "{}", response.body);
    let deadline = Instant::now() + Duration::from_secs(30);
    while stage.proxy.token(&query)?.status != 403 {
        assert!(Instant::now() < deadline);
    }
    Ok(())
}

#[test]
fn the_flag_ends_the_grace_at_once() -> Result<()> {
    let stage = Stage::with(&[("AZWI_PROPAGATION_GRACE", "60")], &["--propagation-grace", "0"])?;
    let started = Instant::now();
    assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?.status, 403);
    assert!(started.elapsed() < Duration::from_secs(3));
    Ok(())
}

#[test]
fn a_refusal_that_follows_transient_faults_is_logged_whichever_try_it_was() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"status":503,"remaining":2}"#)?;
    assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?.status, 403);
    stage.proxy.terminate()?;
    let log = stage.proxy.log.whole();
    assert!(log.contains(r#""aadsts":700213"#), "{log}");
    Ok(())
}
