//! Entra fails for a moment: the request that meets it absorbs it, since some SDKs repeat theirs without a pause.

use std::time::{Duration, Instant};

use anyhow::Result;
use azwi_tests::stage::{ORPHAN, RESOURCE, Stage};

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
fn a_refusal_that_follows_transient_faults_is_logged_whichever_try_it_was() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"status":503,"remaining":2}"#)?;
    assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?.status, 403);
    stage.proxy.terminate()?;
    let log = stage.proxy.log.whole();
    assert!(log.contains(r#""aadsts":700213"#), "{log}");
    Ok(())
}
