//! Faults on request, and the counters that tell when they struck.

use std::time::{Duration, Instant};

use azwi_tests::emulator::{DEMO_SUBJECT, Emulator, clients};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::common::{client, code, exchange, form, json, request, start};

/// An emulator with a fault in force, and an assertion that is fine.
fn faulty(fault: &str) -> (Emulator<'static>, String) {
    let emulator = start();
    emulator.faults(fault).unwrap();
    let assertion = emulator.token(DEMO_SUBJECT).unwrap();
    (emulator, assertion)
}

async fn exchange_with(fault: &str) -> Response {
    let (emulator, assertion) = faulty(fault);
    exchange(&emulator, &assertion).await.unwrap()
}

#[tokio::test]
async fn a_status_comes_with_its_retry_after_and_entras_usual_body() {
    let response = exchange_with(r#"{"status":503,"retry_after":7}"#).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(json(response).await["error"], "temporarily_unavailable");
}

#[tokio::test]
async fn an_aadsts_code_comes_with_its_own_status_and_text() {
    let response = exchange_with(r#"{"aadsts":70021}"#).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let answer = json(response).await;
    let text = answer["error_description"].as_str().unwrap();
    assert!(text.contains(&format!("Assertion Subject: '{DEMO_SUBJECT}'")), "{text}");
}

#[tokio::test]
async fn a_status_overrides_that_of_the_code() {
    let response = exchange_with(r#"{"aadsts":90055,"status":503}"#).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(response).await, 90_055);
}

#[tokio::test]
async fn garbage_is_a_success_that_is_not_json() {
    let response = exchange_with(r#"{"garbage":true}"#).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&body).is_err());
}

#[tokio::test]
async fn a_reset_ends_the_connection_without_an_answer() {
    let (emulator, assertion) = faulty(r#"{"reset":true}"#);
    let error = exchange(&emulator, &assertion).await.unwrap_err();
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
}

#[tokio::test]
async fn requests_that_hang_do_not_keep_others_from_arriving() {
    let (emulator, assertion) = faulty(r#"{"hang":true}"#);
    let hanging = async || exchange(&emulator, &assertion).await;
    tokio::select! {
        _ = async { tokio::join!(hanging(), hanging(), hanging()) } => panic!("a hanging request was answered"),
        counters = arrival(&emulator, 3) => assert_eq!((counters.exchanges, counters.succeeded), (3, 0)),
    }
}

/// Waits without blocking, so that the requests go on.
async fn arrival(emulator: &Emulator<'_>, exchanges: u64) -> azwi_tests::emulator::Counters {
    let url = format!("{}/counters?exchanges={exchanges}&timeout_ms=20000", emulator.control());
    let response = client(emulator).get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    emulator.counters().unwrap()
}

#[tokio::test]
async fn latency_comes_before_the_answer() {
    let (emulator, assertion) = faulty(r#"{"latency_ms":300}"#);
    let begun = Instant::now();
    let response = exchange(&emulator, &assertion).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_fault_ends_by_itself_or_by_command() {
    let (emulator, assertion) = faulty(r#"{"status":503,"remaining":1}"#);
    assert_eq!(exchange(&emulator, &assertion).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(exchange(&emulator, &assertion).await.unwrap().status(), StatusCode::OK);
    emulator.faults(r#"{"status":503}"#).unwrap();
    emulator.clear_faults().unwrap();
    assert_eq!(exchange(&emulator, &assertion).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_fault_strikes_only_the_client_it_names() {
    let (emulator, assertion) = faulty(&format!(r#"{{"status":503,"client_id":"{}"}}"#, clients::SECOND));
    assert_eq!(exchange(&emulator, &assertion).await.unwrap().status(), StatusCode::OK);
    let body = form(clients::SECOND, &assertion);
    let response = request(&emulator, &client(&emulator), body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn tokens_live_as_long_as_the_fault_says() {
    let answer = json(exchange_with(r#"{"token_lifetime":120,"refresh_in":60}"#).await).await;
    assert_eq!((&answer["expires_in"], &answer["refresh_in"]), (&119.into(), &60.into()));
}

#[tokio::test]
async fn an_issuer_that_is_down_fails_exchanges_until_it_is_back() {
    let (emulator, assertion) = faulty("{}");
    assert_eq!(exchange(&emulator, &assertion).await.unwrap().status(), StatusCode::OK);
    emulator.faults(r#"{"issuer_down":true}"#).unwrap();
    assert_eq!(code(exchange(&emulator, &assertion).await.unwrap()).await, 50_166);
    emulator.clear_faults().unwrap();
    assert_eq!(exchange(&emulator, &assertion).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn refusals_are_counted_by_code_and_requests_by_client() {
    let (emulator, assertion) = faulty("{}");
    for client_id in [clients::ORPHAN, clients::ORPHAN, clients::DEMO] {
        request(&emulator, &client(&emulator), form(client_id, &assertion)).send().await.unwrap();
    }
    let counters = emulator.counters().unwrap();
    assert_eq!((counters.exchanges, counters.succeeded, counters.connections), (3, 1, 3));
    assert_eq!(counters.refused["700213"], 2);
    assert_eq!(counters.by_client[clients::ORPHAN], 2);
    emulator.reset_counters().unwrap();
    assert_eq!(emulator.counters().unwrap(), azwi_tests::emulator::Counters::default());
}

#[tokio::test]
async fn a_wait_for_requests_that_do_not_come_ends_with_408() {
    let emulator = start();
    let url = format!("{}/counters?exchanges=1&timeout_ms=1", emulator.control());
    let response = client(&emulator).get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn an_unknown_field_is_named_with_400() {
    let emulator = start();
    let url = format!("{}/faults", emulator.control());
    let response = client(&emulator).put(url).body(r#"{"latency":1}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(json(response).await["error"].as_str().unwrap().contains("unknown field `latency`"));
}

#[tokio::test]
async fn the_control_api_is_healthy() {
    let emulator = start();
    let response = client(&emulator).get(format!("{}/health", emulator.control())).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
