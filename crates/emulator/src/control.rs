//! The control API: faults, counters and health. Plain HTTP without authentication, for loopback.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::entra::Entra;
use crate::faults::Fault;

const MAX_BODY: usize = 64 * 1024;

pub(crate) fn router(entra: Arc<Entra>) -> Router {
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/faults", get(show_fault).put(set_fault).delete(clear_fault))
        .route("/counters", get(show_counters).delete(reset_counters))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(entra)
}

async fn show_fault(State(entra): State<Arc<Entra>>) -> Json<Fault> {
    Json(entra.faults.get())
}

async fn set_fault(State(entra): State<Arc<Entra>>, body: Bytes) -> Response {
    match read_fault(&body) {
        Ok(fault) => {
            if fault.issuer_down {
                entra.discovery.forget();
            }
            entra.faults.set(fault.clone());
            Json(fault).into_response()
        }
        Err(problem) => bad_request(&problem),
    }
}

async fn clear_fault(State(entra): State<Arc<Entra>>) -> StatusCode {
    entra.faults.set(Fault::default());
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    exchanges: Option<u64>,
    #[serde(default = "default_timeout")]
    timeout_ms: u64,
}

fn default_timeout() -> u64 {
    10_000
}

/// With `exchanges`, answers once so many token requests have arrived, or 408 after `timeout_ms`.
async fn show_counters(State(entra): State<Arc<Entra>>, wait: Result<Query<Wait>, QueryRejection>) -> Response {
    let wait = match wait {
        Ok(Query(wait)) => wait,
        Err(rejection) => return bad_request(&rejection.body_text()),
    };
    let Some(exchanges) = wait.exchanges else {
        return Json(entra.counters.now()).into_response();
    };
    let timeout = Duration::from_millis(wait.timeout_ms);
    match entra.counters.reached(exchanges, timeout).await {
        Some(counts) => Json(counts).into_response(),
        None => (StatusCode::REQUEST_TIMEOUT, Json(entra.counters.now())).into_response(),
    }
}

async fn reset_counters(State(entra): State<Arc<Entra>>) -> StatusCode {
    entra.counters.reset();
    StatusCode::NO_CONTENT
}

fn read_fault(body: &[u8]) -> Result<Fault, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let fault: Fault = serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    match fault.problem() {
        Some(problem) => Err(problem.to_owned()),
        None => Ok(fault),
    }
}

fn bad_request(problem: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": problem }))).into_response()
}
