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
use serde_json::error::Category;
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
    let fault: Fault = serde_path_to_error::deserialize(&mut json).map_err(shape_problem)?;
    json.end().map_err(|error| error.to_string())?;
    match fault.problem() {
        Some(problem) => Err(problem.to_owned()),
        None => Ok(fault),
    }
}

/// With the field's name, but not twice: serde's words for an unknown field begin with it.
fn shape_problem(error: serde_path_to_error::Error<serde_json::Error>) -> String {
    let field = error.path().to_string();
    let error = error.into_inner();
    let named = error.to_string().starts_with(&format!("unknown field `{field}`"));
    match error.classify() {
        Category::Data if named || field == "." => error.to_string(),
        Category::Data => format!("{field}: {error}"),
        _ => format!("not JSON: {error}"),
    }
}

fn bad_request(problem: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": problem }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(fault: &str) -> String {
        read_fault(fault.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_unknown_field_is_named_once() {
        assert_eq!(problem(r#"{"sttus":503}"#).matches("sttus").count(), 1);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        assert!(problem(r#"{"status":"503"}"#).starts_with("status: invalid type"));
    }

    #[test]
    fn what_is_not_json_is_called_so() {
        assert!(problem("status=503").starts_with("not JSON: expected value"));
    }
}
