//! The pod's own side: its service account token, its configuration, its end, its load. And what it does for an app whose
//! token is still good.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::http::Response;
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::{DEMO, RESOURCE, Stage};

use crate::answer::{
    BAD_REQUEST, BUDGET, FORBIDDEN, TEMPORARY, THROTTLED, UNAVAILABLE, assert_refusal, assert_retry_after, resource,
    side_by_side, start,
};

#[test]
fn row_16_a_service_account_token_that_is_not_there_is_503_after_two_seconds() -> Result<()> {
    let stage = Stage::new()?;
    let file = stage.token_file();
    let empty = || fs::write(&file, " \n");
    let missing = || fs::remove_file(&file);
    for (case, spoil) in [("empty", &empty as &dyn Fn() -> std::io::Result<()>), ("missing", &missing)] {
        spoil()?;
        let started = Instant::now();
        let response = stage.proxy.token(&resource(case))?;
        assert!(started.elapsed() < Duration::from_secs(4), "{case}: {:?}", started.elapsed());
        assert_refusal(&response, UNAVAILABLE, TEMPORARY);
        assert_retry_after(&response, 2..=2);
        assert!(response.field("error_description").contains("azure-identity-token"), "{}", response.body);
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn row_17_a_sidecar_that_lacks_a_setting_is_403_and_names_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("token").to_string_lossy().into_owned();
    let all =
        [("AZURE_TENANT_ID", "contoso.com"), ("AZURE_CLIENT_ID", DEMO), ("AZURE_FEDERATED_TOKEN_FILE", file.as_str())];
    for (missing, _) in all {
        let rest: Vec<_> = all.into_iter().filter(|(name, _)| *name != missing).collect();
        let response = Proxy::start(&rest, &[])?.token(RESOURCE)?;
        assert_refusal(&response, FORBIDDEN, "invalid_client");
        let description = response.field("error_description");
        assert!(description.starts_with(&format!("sidecar configuration: {missing}")), "{description}");
    }
    Ok(())
}

#[test]
fn row_18_whoever_still_waits_when_the_sidecar_ends_is_503_and_asks_its_successor() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.entra.faults(r#"{"hang":true}"#)?;
    let mut waiting = start(&stage, RESOURCE)?;
    stage.entra.wait_for_exchanges(1)?;
    let started = Instant::now();
    stage.proxy.terminate()?;
    let response = waiting.response()?;
    assert_refusal(&response, UNAVAILABLE, TEMPORARY);
    assert_retry_after(&response, 1..=1);
    assert_eq!(stage.proxy.wait()?.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    Ok(())
}

/// The answers to a hundred requests at once, each for a resource of its own.
fn a_hundred_at_once(stage: &Stage) -> Result<Vec<Response>> {
    let waiting: Result<Vec<_>> = (0..100).map(|number| start(stage, &resource(number))).collect();
    waiting?.iter_mut().map(azwi_tests::http::Connection::response).collect()
}

#[test]
fn row_19_whoever_finds_no_room_in_time_is_429() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"hang":true}"#)?;
    let started = Instant::now();
    let responses = a_hundred_at_once(&stage)?;
    assert!(started.elapsed() < BUDGET, "{:?}", started.elapsed());
    let (throttled, failed): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 429);
    for response in &throttled {
        assert_refusal(response, THROTTLED, TEMPORARY);
        assert_retry_after(response, 1..=1);
    }
    for response in &failed {
        assert_refusal(response, UNAVAILABLE, TEMPORARY);
    }
    assert!(!throttled.is_empty() && !failed.is_empty(), "{} of 100 are 429", throttled.len());
    Ok(())
}

#[test]
fn row_19_whoever_finds_no_room_at_first_waits_for_it() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"aadsts":500011,"latency_ms":500}"#)?;
    for response in a_hundred_at_once(&stage)? {
        assert_refusal(&response, BAD_REQUEST, "invalid_resource");
    }
    Ok(())
}

#[test]
fn row_20_a_token_that_is_still_good_is_served_whatever_becomes_of_its_refresh() -> Result<()> {
    let faults = [
        (r#"{"aadsts":700213}"#, "token exchange refused"),
        (r#"{"aadsts":7000112}"#, "token exchange refused"),
        (r#"{"aadsts":500011}"#, "token exchange refused"),
        (r#"{"aadsts":700024}"#, "token exchange refused"),
        (r#"{"aadsts":50027}"#, "token exchange refused"),
        (r#"{"aadsts":90055,"retry_after":30}"#, "token exchange refused"),
        (r#"{"issuer_down":true}"#, "token exchange refused"),
        (r#"{"status":503}"#, "token exchange refused"),
        (r#"{"hang":true}"#, "token exchange failed"),
        (r#"{"reset":true}"#, "token exchange failed"),
        (r#"{"garbage":true}"#, "token exchange failed"),
    ];
    side_by_side(&faults, |(fault, message)| {
        let stage = Stage::new()?;
        stage.entra.faults(r#"{"refresh_in":1,"remaining":1}"#)?;
        let token = stage.token()?.field("access_token");
        stage.entra.faults(fault)?;
        stage.proxy.log.wait_for(&[("message", message)]).context("the refresh did not fail")?;
        let response = stage.token()?;
        assert_eq!(response.status, 200, "{fault}: {}", response.body);
        assert_eq!((response.field("access_token"), response.header("Retry-After")), (token, None), "{fault}");
        Ok(())
    })
}

#[test]
fn row_20_a_token_that_is_served_through_an_outage_counts_down() -> Result<()> {
    let stage = Stage::new()?;
    let first = stage.token()?;
    stage.entra.faults(r#"{"status":503}"#)?;
    let second = loop {
        let response = stage.token()?;
        assert_eq!(response.status, 200);
        if response.field("expires_in") != first.field("expires_in") {
            break response;
        }
    };
    assert_eq!(second.field("access_token"), first.field("access_token"));
    assert_eq!(second.field("expires_on"), first.field("expires_on"));
    assert!(second.field("expires_in").parse::<u64>()? < first.field("expires_in").parse()?);
    Ok(())
}

#[test]
fn row_20_without_a_service_account_token_too() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"refresh_in":1,"remaining":1}"#)?;
    let token = stage.token()?.field("access_token");
    fs::remove_file(stage.token_file())?;
    let gone = stage.proxy.log.wait_for(&[("message", "no service account token to exchange")]);
    gone.context("nobody looked for it")?;
    assert_eq!(stage.token()?.field("access_token"), token);
    Ok(())
}
