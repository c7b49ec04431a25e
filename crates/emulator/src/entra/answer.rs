//! The two answers of the token endpoint, byte for byte as clients expect them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::entra::aadsts::{Aadsts, Facts};
use crate::guid;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const RETURN_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("return-client-request-id");
const X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// The ids by which one exchange is found in Entra's logs and in the caller's.
pub(crate) struct RequestIds {
    pub(crate) trace_id: Uuid,
    /// The caller's `client-request-id` when it sent a GUID.
    pub(crate) correlation_id: Uuid,
    echoed: bool,
}

/// A token and its lifetimes in seconds.
#[derive(Serialize)]
pub(crate) struct Granted {
    token_type: &'static str,
    expires_in: u32,
    ext_expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_in: Option<u32>,
    access_token: String,
}

pub(crate) struct Refused {
    pub(crate) code: Aadsts,
    pub(crate) status: StatusCode,
    /// Seconds.
    pub(crate) retry_after: Option<u32>,
}

#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_description: String,
    error_codes: [Aadsts; 1],
    timestamp: String,
    trace_id: Uuid,
    correlation_id: Uuid,
    error_uri: String,
}

impl RequestIds {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let sent = text(CLIENT_REQUEST_ID).and_then(|id| Uuid::try_parse(id).ok());
        let wanted = text(RETURN_CLIENT_REQUEST_ID).is_some_and(|wanted| wanted.eq_ignore_ascii_case("true"));
        Self {
            trace_id: guid::random(),
            correlation_id: sent.unwrap_or_else(guid::random),
            echoed: sent.is_some() && wanted,
        }
    }

    fn respond(&self, status: StatusCode, body: &impl Serialize) -> Response {
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        set(headers, X_MS_REQUEST_ID, &self.trace_id.to_string());
        if self.echoed {
            set(headers, CLIENT_REQUEST_ID, &self.correlation_id.to_string());
        }
        response
    }
}

impl Granted {
    /// Entra's `expires_in` is one second short of the lifetime.
    pub(crate) fn new(access_token: String, lifetime: u32, refresh_in: Option<u32>) -> Self {
        let expires_in = lifetime.saturating_sub(1);
        Self { token_type: "Bearer", expires_in, ext_expires_in: expires_in, refresh_in, access_token }
    }

    pub(crate) fn respond(&self, ids: &RequestIds) -> Response {
        ids.respond(StatusCode::OK, self)
    }
}

impl Refused {
    pub(crate) fn of(code: Aadsts) -> Self {
        Self { code, status: code.status(), retry_after: None }
    }

    pub(crate) fn respond(&self, facts: &Facts, ids: &RequestIds, now: OffsetDateTime) -> Response {
        let body = self.body(facts, ids, now);
        let mut response = ids.respond(self.status, &body);
        if let Some(seconds) = self.retry_after {
            set(response.headers_mut(), header::RETRY_AFTER, &seconds.to_string());
        }
        response
    }

    fn body(&self, facts: &Facts, ids: &RequestIds, now: OffsetDateTime) -> ErrorBody {
        let RequestIds { trace_id, correlation_id, .. } = ids;
        let timestamp = timestamp(now);
        ErrorBody {
            error: self.code.error(),
            error_description: format!(
                "{} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}",
                self.code.describe(facts)
            ),
            error_codes: [self.code],
            timestamp,
            trace_id: *trace_id,
            correlation_id: *correlation_id,
            error_uri: format!("https://login.microsoftonline.com/error?code={}", self.code.0),
        }
    }
}

/// `YYYY-MM-DD HH:MM:SSZ`.
fn timestamp(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    let (hour, minute, second) = time.as_hms();
    format!("{date} {hour:02}:{minute:02}:{second:02}Z")
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
