//! Entra refuses, throttles, fails or is not there. Codes are tried with the words in which `azwi-emulator` has them.

use std::time::Instant;

use anyhow::{Context as _, Result};
use azwi_tests::stage::{RESOURCE, SUBJECT, Stage};

use crate::answer::{
    BAD_REQUEST, BUDGET, FORBIDDEN, TEMPORARY, THROTTLED, UNAVAILABLE, assert_from_entra, assert_refusal,
    assert_retry_after, refused_with, resource, side_by_side, start,
};

/// A federated credential or an application that may not have reached all of Entra yet.
const PROPAGATING: [(u64, &str); 8] = [
    (70_021, "invalid_client"),
    (70_025, "invalid_client"),
    (700_016, "unauthorized_client"),
    (700_211, "invalid_client"),
    (700_212, "invalid_client"),
    (700_213, "invalid_client"),
    (7_002_121, "invalid_request"),
    (7_002_137, "invalid_request"),
];

/// What Entra says of an assertion, and what the app is told when no better one comes.
const ASSERTION: [(u64, &str, &str); 4] = [
    (700_024, UNAVAILABLE, TEMPORARY),
    (700_027, UNAVAILABLE, TEMPORARY),
    (50_027, FORBIDDEN, "invalid_client"),
    (5_002_738, FORBIDDEN, "invalid_client"),
];

#[test]
fn row_08_a_resource_or_scope_that_entra_does_not_know_is_400_in_entras_words() -> Result<()> {
    let stage = Stage::new()?;
    for (code, error) in [
        (500_011, "invalid_resource"),
        (50_001, "invalid_resource"),
        (650_057, "invalid_request"),
        (65_005, "invalid_request"),
        (1_002_012, "invalid_scope"),
        (70_011, "invalid_scope"),
    ] {
        let response = refused_with(&stage, code)?;
        assert_refusal(&response, BAD_REQUEST, error);
        assert_from_entra(&response, code);
    }
    Ok(())
}

#[test]
fn row_09_within_the_grace_a_missing_credential_is_503_after_some_tries() -> Result<()> {
    side_by_side(&PROPAGATING, |&(code, _)| {
        let stage = Stage::with(&[("AZWI_PROPAGATION_GRACE", "60")], &[])?;
        let started = Instant::now();
        let response = refused_with(&stage, code)?;
        assert!(started.elapsed() < BUDGET, "{code}: {:?}", started.elapsed());
        assert_refusal(&response, UNAVAILABLE, TEMPORARY);
        assert_from_entra(&response, code);
        assert_retry_after(&response, 10..=10);
        assert!(stage.exchanges()? >= 3, "{code} was tried {} times", stage.exchanges()?);
        Ok(())
    })
}

#[test]
fn row_09_a_credential_that_arrives_within_the_grace_is_found_by_the_request_that_waits() -> Result<()> {
    let stage = Stage::with(&[("AZWI_PROPAGATION_GRACE", "60")], &[])?;
    stage.entra.faults(r#"{"aadsts":700213,"remaining":1}"#)?;
    assert_eq!(stage.token()?.status, 200);
    assert_eq!(stage.exchanges()?, 2);
    Ok(())
}

#[test]
fn row_10_a_missing_credential_is_403_in_entras_words() -> Result<()> {
    let stage = Stage::new()?;
    for (code, error) in PROPAGATING {
        let response = refused_with(&stage, code)?;
        assert_refusal(&response, FORBIDDEN, error);
        assert_from_entra(&response, code);
    }
    assert_eq!(stage.exchanges()?, PROPAGATING.len() as u64, "each was tried once");
    Ok(())
}

#[test]
fn row_10_a_request_that_outlives_the_grace_is_403() -> Result<()> {
    let stage = Stage::with(&[("AZWI_PROPAGATION_GRACE", "60")], &["--propagation-grace", "1"])?;
    let response = refused_with(&stage, 700_213)?;
    assert_refusal(&response, FORBIDDEN, "invalid_client");
    assert_eq!(stage.exchanges()?, 2, "once within the grace and once after it");
    for is_final in ["false", "true"] {
        let line = [("message", "token exchange refused"), ("is_final", is_final)];
        assert!(stage.proxy.log.wait_for(&line).is_some(), "no line with is_final {is_final}");
    }
    Ok(())
}

#[test]
fn row_10_a_service_account_that_no_credential_names_is_403() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.write_token(&stage.token_file(), "system:serviceaccount:default:stranger")?;
    let response = stage.token()?;
    assert_refusal(&response, FORBIDDEN, "invalid_client");
    assert_from_entra(&response, 700_213);
    assert!(response.field("error_description").contains("system:serviceaccount:default:stranger"));
    Ok(())
}

#[test]
fn row_11_a_refusal_that_somebody_must_end_is_403_in_entras_words() -> Result<()> {
    let stage = Stage::new()?;
    for (code, error) in [
        (7_002_138, "invalid_client"),
        (700_222, "invalid_request"),
        (700_226, "invalid_request"),
        (700_229, "invalid_request"),
        (700_236, "invalid_request"),
        (7_000_112, "unauthorized_client"),
        (7_000_215, "invalid_client"),
        (7_000_222, "invalid_request"),
        (70_001, "invalid_request"),
        (90_002, "invalid_request"),
        (90_036, "invalid_request"),
        (900_023, "invalid_request"),
        (900_384, "invalid_request"),
        (53_000, "invalid_request"),
        (53_003, "invalid_grant"),
        (530_032, "invalid_request"),
        (100_007, "invalid_request"),
        (901_002, "invalid_request"),
        // One that nobody here has heard of.
        (9_999_999, "invalid_request"),
    ] {
        let response = refused_with(&stage, code)?;
        assert_refusal(&response, FORBIDDEN, error);
        assert_from_entra(&response, code);
    }
    Ok(())
}

#[test]
fn row_11_an_unknown_refusal_is_403_whichever_status_of_4xx_it_has() -> Result<()> {
    let stage = Stage::new()?;
    for status in [400, 401, 403, 404, 405, 410, 418, 451] {
        stage.entra.faults(&format!(r#"{{"aadsts":9999999,"status":{status}}}"#))?;
        assert_refusal(&stage.proxy.token(&resource(status))?, FORBIDDEN, "invalid_request");
    }
    Ok(())
}

#[test]
fn rows_08_10_11_what_is_final_is_remembered() -> Result<()> {
    let stage = Stage::new()?;
    let finals = [(500_011, 400), (700_213, 403), (7_000_112, 403)];
    for (code, _) in finals {
        refused_with(&stage, code)?;
    }
    stage.entra.clear_faults()?;
    for _ in 0..10 {
        for (code, status) in finals {
            let response = stage.proxy.token(&resource(code))?;
            assert_eq!(response.status, status);
            assert_from_entra(&response, code);
        }
    }
    assert_eq!(stage.exchanges()?, 3);
    Ok(())
}

#[test]
fn row_12_a_refused_assertion_that_stays_the_same_is_not_sent_again() -> Result<()> {
    let stage = Stage::new()?;
    let mut waiting = Vec::new();
    for (number, (code, ..)) in (1..).zip(ASSERTION) {
        // A second try would get a token.
        stage.entra.faults(&format!(r#"{{"aadsts":{code},"remaining":1}}"#))?;
        waiting.push(start(&stage, &resource(code))?);
        stage.entra.wait_for_exchanges(number)?;
    }
    for (connection, (code, status_line, error)) in waiting.iter_mut().zip(ASSERTION) {
        let response = connection.response()?;
        assert_refusal(&response, status_line, error);
        assert_from_entra(&response, code);
        if status_line == UNAVAILABLE {
            assert_retry_after(&response, 5..=5);
        }
    }
    Ok(())
}

#[test]
fn row_12_a_refused_assertion_that_kubelet_replaces_is_sent_once_more_for_the_same_request() -> Result<()> {
    for (code, ..) in ASSERTION {
        let stage = Stage::new()?;
        stage.entra.faults(&format!(r#"{{"aadsts":{code},"remaining":1}}"#))?;
        let mut waiting = start(&stage, RESOURCE)?;
        stage.entra.wait_for_exchanges(1)?;
        stage.entra.write_token(&stage.token_file(), SUBJECT)?;
        let response = waiting.response()?;
        assert_eq!(response.status, 200, "{code}: {}", response.body);
        assert_eq!(stage.exchanges()?, 2, "{code}");
    }
    Ok(())
}

#[test]
fn row_13_an_issuer_that_entra_cannot_fetch_is_503_after_some_tries() -> Result<()> {
    let faults = [r#"{"aadsts":90061}"#, r#"{"aadsts":50166}"#, r#"{"issuer_down":true}"#];
    side_by_side(&faults, |fault| {
        let stage = Stage::new()?;
        stage.entra.faults(fault)?;
        let started = Instant::now();
        let response = stage.token()?;
        assert!(started.elapsed() < BUDGET, "{fault}: {:?}", started.elapsed());
        assert_refusal(&response, UNAVAILABLE, TEMPORARY);
        assert!(matches!(response.json()["error_codes"][0].as_u64(), Some(90_061 | 50_166)), "{}", response.body);
        assert_retry_after(&response, 10..=10);
        assert!(stage.exchanges()? >= 2, "{fault}");
        Ok(())
    })
}

#[test]
fn row_14_throttling_is_429_and_entra_is_left_alone_for_as_long_as_it_wants() -> Result<()> {
    let stage = Stage::new()?;
    let cases = [
        (r#"{"status":429,"retry_after":17}"#, 15..=17),
        (r#"{"aadsts":90055,"retry_after":17}"#, 15..=17),
        (r#"{"aadsts":50196,"retry_after":300}"#, 20..=20),
        (r#"{"aadsts":9999999,"status":429}"#, 8..=10),
    ];
    for (number, (fault, seconds)) in cases.into_iter().enumerate() {
        stage.entra.reset_counters()?;
        stage.entra.faults(fault)?;
        for _ in 0..5 {
            let response = stage.proxy.token(&resource(number))?;
            assert_refusal(&response, THROTTLED, TEMPORARY);
            assert_retry_after(&response, seconds.clone());
        }
        assert_eq!(stage.exchanges()?, 1, "{fault}");
    }
    Ok(())
}

#[test]
fn row_14_a_short_throttling_is_absorbed_by_the_request() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"status":429,"retry_after":1,"remaining":1}"#)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn row_15_a_fault_that_passes_is_503_whatever_its_code_and_status() -> Result<()> {
    let stage = Stage::new()?;
    let codes = [50_000, 50_033, 90_006, 90_012, 90_024, 90_033, 90_090, 90_091];
    let codes = codes.map(|code| (code, format!(r#""aadsts":{code}"#)));
    let statuses = [500, 501, 502, 503, 504, 599];
    let statuses = statuses.map(|status| (9_999_999, format!(r#""aadsts":9999999,"status":{status}"#)));
    let timeout = (9_999_999, r#""aadsts":9999999,"status":408"#.to_owned());
    for (number, (code, fault)) in codes.into_iter().chain(statuses).chain([timeout]).enumerate() {
        // Longer than a request may take, so that it need not be waited for.
        stage.entra.faults(&format!(r#"{{{fault},"retry_after":15}}"#))?;
        let response = stage.proxy.token(&resource(number))?;
        assert_refusal(&response, UNAVAILABLE, TEMPORARY);
        assert_from_entra(&response, code);
        assert_retry_after(&response, 13..=15);
    }
    Ok(())
}

#[test]
fn row_15_an_entra_that_keeps_failing_is_503_when_the_budget_of_the_request_ends() -> Result<()> {
    let nobody = ("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1/");
    let faults = [
        (None, r#"{"status":503}"#, "AADSTS90033"),
        (None, r#"{"hang":true}"#, "timed out"),
        (None, r#"{"reset":true}"#, "cannot be reached"),
        (None, r#"{"garbage":true}"#, "holds no token"),
        (Some(nobody), "{}", "refused"),
    ];
    side_by_side(&faults, |(env, fault, reason)| {
        let stage = Stage::with(env.as_slice(), &[])?;
        stage.entra.faults(fault)?;
        let started = Instant::now();
        let response = stage.token()?;
        assert!(started.elapsed() < BUDGET, "{reason}: {:?}", started.elapsed());
        assert_refusal(&response, UNAVAILABLE, TEMPORARY);
        assert_retry_after(&response, 2..=5);
        assert!(response.field("error_description").contains(reason), "{reason}: {}", response.body);
        Ok(())
    })
}

#[test]
fn row_15_an_answer_that_comes_too_late_is_kept_for_the_retry() -> Result<()> {
    let stage = Stage::new()?;
    // The second try begins at about 3.7 seconds.
    stage.entra.faults(r#"{"latency_ms":6000}"#)?;
    let started = Instant::now();
    let response = stage.token()?;
    assert!(started.elapsed() < BUDGET, "{:?}", started.elapsed());
    assert_refusal(&response, UNAVAILABLE, TEMPORARY);
    stage.proxy.log.wait_for(&[("message", "token exchanged")]).context("the exchange did not go on")?;
    stage.entra.faults(r#"{"status":503}"#)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}
