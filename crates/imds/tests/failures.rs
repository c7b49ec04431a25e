//! The bytes of an exchange that failed.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a helper that panics is a failed test")]

use azwi_imds::{EntraDetails, Failure, FailureStatus, RetryAfter};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

fn failure(description: &str) -> Failure {
    Failure {
        status: FailureStatus::Forbidden,
        error: "invalid_client".to_owned(),
        description: description.to_owned(),
        details: None,
    }
}

fn details() -> EntraDetails {
    EntraDetails {
        error_codes: vec![700_213, 70_021],
        timestamp: Some("2024-03-07 11:01:37Z".to_owned()),
        trace_id: Some("0a1b2c3d-1111-4000-8000-abcdefabcdef".to_owned()),
        correlation_id: Some("0a1b2c3d-2222-4000-8000-abcdefabcdef".to_owned()),
    }
}

fn body_of(failure: &Failure) -> String {
    String::from_utf8_lossy(failure.response().body()).into_owned()
}

fn description_of(failure: &Failure) -> String {
    let body: Value = serde_json::from_str(&body_of(failure)).expect("a body is JSON");
    body["error_description"].as_str().expect("a description is a string").to_owned()
}

#[test]
fn a_failure_without_details_has_two_fields() {
    assert_eq!(
        body_of(&failure("AADSTS700016: Application not in tenant")),
        r#"{"error":"invalid_client","error_description":"AADSTS700016: Application not in tenant"}"#
    );
}

#[test]
fn details_follow_the_description_in_order() {
    let failure = Failure { details: Some(details()), ..failure("AADSTS700213") };
    assert_eq!(
        body_of(&failure),
        concat!(
            r#"{"error":"invalid_client","error_description":"AADSTS700213","error_codes":[700213,70021],"#,
            r#""timestamp":"2024-03-07 11:01:37Z","trace_id":"0a1b2c3d-1111-4000-8000-abcdefabcdef","#,
            r#""correlation_id":"0a1b2c3d-2222-4000-8000-abcdefabcdef"}"#
        )
    );
}

#[test]
fn absent_details_are_left_out() {
    let trace_only = EntraDetails { trace_id: Some("t".to_owned()), ..EntraDetails::default() };
    let with = |details| body_of(&Failure { details: Some(details), ..failure("x") });
    assert_eq!(with(trace_only), r#"{"error":"invalid_client","error_description":"x","trace_id":"t"}"#);
    assert_eq!(with(EntraDetails::default()), r#"{"error":"invalid_client","error_description":"x"}"#);
}

#[test]
fn statuses_that_clients_retry_say_when_and_the_others_never_do() {
    let retry_after = RetryAfter::new(5);
    for (status, code, delay) in [
        (FailureStatus::BadRequest, 400, None),
        (FailureStatus::Forbidden, 403, None),
        (FailureStatus::TooManyRequests { retry_after }, 429, Some("5")),
        (FailureStatus::Unavailable { retry_after }, 503, Some("5")),
    ] {
        let response = Failure { status, ..failure("x") }.response();
        assert_eq!(response.status().as_u16(), code);
        assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), delay);
    }
}

#[test]
fn retry_after_is_between_1_and_20_seconds() {
    for (asked, granted) in [(0, 1), (1, 1), (20, 20), (21, 20), (u64::MAX, 20)] {
        assert_eq!(RetryAfter::new(asked).as_secs(), granted);
    }
}

#[test]
fn a_failure_is_json_of_a_known_length() {
    let response = failure("x").response();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string().as_str());
}

#[test]
fn a_description_becomes_one_line() {
    assert_eq!(
        description_of(&failure("AADSTS7000: a\r\nTrace ID: b\tc\0\u{2028}\u{85}\"\\é")),
        "AADSTS7000: a  Trace ID: b c   \"\\é"
    );
}

#[test]
fn words_that_clients_misread_are_reworded() {
    for (text, expected) in [
        ("host Unreachable, UNREACHABLE", "host not reachable, not reachable"),
        ("Identity not found", "identity was not found"),
        ("é IDENTITY NOT FOUND é", "é identity was not found é"),
        ("Identity\nnot\tfound", "identity was not found"),
        ("unreachunreachableable", "unreachnot reachableable"),
    ] {
        assert_eq!(description_of(&failure(text)), expected, "{text:?}");
    }
}

#[test]
fn no_field_holds_words_that_clients_misread() {
    let text = || "Network unreachable: Identity\u{b}not found".to_owned();
    let details = EntraDetails {
        error_codes: vec![],
        timestamp: Some(text()),
        trace_id: Some(text()),
        correlation_id: Some(text()),
    };
    let body = body_of(&Failure { error: text(), details: Some(details), ..failure(&text()) }).to_lowercase();
    assert!(!body.contains("unreachable") && !body.contains("identity not found"), "{body}");
    assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body}");
}

#[test]
fn a_long_description_is_cut_between_characters_and_the_details_stay() {
    for text in ["a", "é", "😀", "\"", "\\", "x\"é"] {
        let failure = Failure { details: Some(details()), ..failure(&text.repeat(5000)) };
        let body = body_of(&failure);
        assert!((4090..4096).contains(&body.len()), "{}", body.len());
        let parsed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(parsed["correlation_id"], "0a1b2c3d-2222-4000-8000-abcdefabcdef");
        assert!(text.repeat(5000).starts_with(parsed["error_description"].as_str().unwrap()));
    }
}

#[test]
fn no_field_however_long_takes_the_body_to_4_kib() {
    let long = || "\"\u{7f}é".repeat(5000);
    let details = EntraDetails {
        error_codes: vec![u64::MAX; 5000],
        timestamp: Some(long()),
        trace_id: Some(long()),
        correlation_id: Some(long()),
    };
    let body = body_of(&Failure { error: long(), details: Some(details), ..failure(&long()) });
    assert!(body.len() < 4096, "{}", body.len());
    let parsed: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(parsed["error_codes"][0], json!(u64::MAX));
    assert!(parsed["error_description"].as_str().unwrap().len() > 1000);
}
