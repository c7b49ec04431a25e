//! Microsoft Graph and Azure Resource Manager beside the token endpoint: what is created there can be exchanged for
//! here. This is what the two have in common: bearer token, fault, log and the form of an answer.

pub(crate) mod arm;
mod call;
mod caller;
mod filter;
mod graph;
mod page;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};
use serde_json::Value;
use tokio::time::Instant;

use crate::cloud::arm::ResourceManager;
use crate::cloud::call::Call;
use crate::cloud::caller::Unauthenticated;
use crate::cloud::graph::Graph;
use crate::connection::ConnectionHandle;
use crate::directory::UnknownTenant;
use crate::entra::Entra;
use crate::faults::{Api, Fault};
use uuid::Uuid;

const MAX_BODY: usize = 64 * 1024;

/// Resource Manager's paths begin with any scope and are compared without regard to case, so it gets whatever is left.
pub(crate) fn router() -> Router<Arc<Entra>> {
    Router::new().route("/v1.0/{*path}", any(serve::<Graph>)).fallback(serve::<ResourceManager>)
}

/// What the two differ in.
trait Surface {
    const API: Api;
    /// Of acceptable tokens, besides the emulator's own address; each with or without a slash.
    const AUDIENCES: &'static [&'static str];

    fn serves(path: &str) -> bool;
    fn unauthenticated(reason: &Unauthenticated) -> Problem;
    /// Id of the tenant where whoever asks for `path` has to log in, if that is told to everybody.
    fn tenant_of(entra: &Entra, path: &str) -> Option<Uuid>;
    /// What it says when it answers with this status for no reason of its own.
    fn usual(status: StatusCode) -> Problem;
    fn error(problem: &Problem, call_id: &str) -> Value;
    async fn answer(entra: &Entra, call: &Call) -> Outcome;
}

type Outcome = Result<Answer, Problem>;

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    body: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds.
    retry_after: Option<u32>,
    /// Told to whoever is not authenticated.
    log_in_at: Option<String>,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body) }
    }

    fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, body: Some(body) }
    }

    fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, log_in_at: None }
    }

    fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }
}

impl From<UnknownTenant> for Problem {
    fn from(_: UnknownTenant) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", "The tenant of the token does not exist.")
    }
}

async fn serve<S: Surface>(
    State(entra): State<Arc<Entra>>,
    Extension(connection): Extension<ConnectionHandle>,
    request: Request<Body>,
) -> Response {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    if !S::serves(head.uri.path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let caller = match caller::verify(&entra, &head.headers, S::AUDIENCES) {
        Ok(caller) => caller,
        Err(reason) => {
            let tenant = S::tenant_of(&entra, head.uri.path());
            let log_in_at = tenant.map(|tenant| format!("{}/{tenant}", entra.authority.trim_end_matches('/')));
            let problem = Problem { log_in_at, ..S::unauthenticated(&reason) };
            return render::<S>(Err(problem), &crate::guid::random().to_string());
        }
    };
    let fault = entra.faults.take(S::API, Some(&caller.client_id));
    let slowness = Duration::from_millis(fault.latency_ms.unwrap_or_default());
    let call = Call::new(&head, body, caller, &entra.authority, arrived + slowness);
    let outcome = suffer::<S>(&fault, &entra, &call, &connection).await;
    tokio::time::sleep_until(call.answer_at).await;
    record(S::API, &call, outcome.as_ref());
    match outcome {
        Some(outcome) => render::<S>(outcome, &call.id),
        None => "<html><body>Service temporarily unusual</body></html>".into_response(),
    }
}

/// `None` is garbage.
async fn suffer<S: Surface>(
    fault: &Fault,
    entra: &Entra,
    call: &Call,
    connection: &ConnectionHandle,
) -> Option<Outcome> {
    if fault.reset {
        connection.reset();
    }
    if fault.reset || fault.hang {
        return std::future::pending().await;
    }
    if fault.garbage {
        return None;
    }
    match fault.status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => Some(Err(Problem { retry_after: fault.retry_after, ..S::usual(status) })),
        None => Some(S::answer(entra, call).await),
    }
}

fn record(api: Api, call: &Call, outcome: Option<&Outcome>) {
    let (status, code) = match outcome {
        Some(Ok(answer)) => (answer.status.as_u16(), None),
        Some(Err(problem)) => (problem.status.as_u16(), Some(problem.code)),
        None => (200, Some("garbage")),
    };
    tracing::info!(
        ?api,
        method = %call.method,
        path = call.path,
        status,
        code,
        tenant = %call.caller.tenant,
        client_id = call.caller.client_id,
        "management request"
    );
}

fn render<S: Surface>(outcome: Outcome, call_id: &str) -> Response {
    let mut response = match outcome {
        Ok(Answer { status, body: Some(body) }) => (status, Json(body)).into_response(),
        Ok(Answer { status, body: None }) => status.into_response(),
        Err(problem) => refusal::<S>(&problem, call_id),
    };
    for name in ["request-id", "x-ms-request-id"] {
        if let Ok(id) = HeaderValue::from_str(call_id) {
            response.headers_mut().insert(name, id);
        }
    }
    response
}

fn refusal<S: Surface>(problem: &Problem, call_id: &str) -> Response {
    let mut response = (problem.status, Json(S::error(problem, call_id))).into_response();
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        let place =
            problem.log_in_at.as_ref().map(|place| format!("authorization_uri=\"{place}\", ")).unwrap_or_default();
        if let Ok(challenge) = HeaderValue::from_str(&format!("Bearer {place}error=\"invalid_token\"")) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
    }
    response
}
