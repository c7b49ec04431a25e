//! What Entra answers when it does not agree.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::taxonomy::{Class, classify};

/// Entra's error answer. Fields are as Entra sent them, empty or `None` where it sent nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// OAuth 2.0 error, e.g. `invalid_client`.
    pub error: String,
    /// `AADSTS<code>: …`, for people.
    pub description: String,
    /// AADSTS codes, the most telling one first.
    pub error_codes: Vec<u64>,
    /// Entra's own time of the refusal.
    pub timestamp: Option<String>,
    /// Names the request in Entra's logs.
    pub trace_id: Option<String>,
    /// Names the request across services.
    pub correlation_id: Option<String>,
    /// How long Entra wants to be left alone.
    pub retry_after: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorResponse {
    error: String,
    error_description: String,
    error_codes: Vec<u64>,
    timestamp: Option<String>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
}

impl Refusal {
    /// Reads an answer that was not a success. A body that is not Entra's JSON (a gateway's page) leaves the status.
    pub(crate) fn from_response(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let response: ErrorResponse = serde_json::from_slice(body).unwrap_or_default();
        Self {
            status,
            error: response.error,
            description: response.error_description,
            error_codes: response.error_codes,
            timestamp: response.timestamp,
            trace_id: response.trace_id,
            correlation_id: response.correlation_id,
            retry_after,
        }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        classify(&self.error_codes, &self.error, self.status)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.description.is_empty() {
            write!(f, "Entra answered HTTP {} without saying why", self.status)
        } else {
            f.write_str(&self.description)
        }
    }
}

/// `Retry-After` as seconds or as an HTTP date (RFC 9110 §10.2.3), relative to `now`.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value.trim()).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entras_error_json_is_kept_field_by_field() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS700213: No match","error_codes":[700213],"timestamp":"2024-01-01 00:00:00Z","trace_id":"t","correlation_id":"c","error_uri":"https://x"}"#;
        let refusal = Refusal::from_response(401, None, body);
        assert_eq!((refusal.error.as_str(), refusal.error_codes.as_slice()), ("invalid_client", &[700_213][..]));
        assert_eq!((refusal.trace_id.as_deref(), refusal.correlation_id.as_deref()), (Some("t"), Some("c")));
        assert_eq!(refusal.class(), Class::Propagating);
        assert_eq!(refusal.to_string(), "AADSTS700213: No match");
    }

    #[test]
    fn a_gateways_page_is_judged_by_its_status() {
        let refusal = Refusal::from_response(502, None, b"<html>Bad Gateway</html>");
        assert_eq!(refusal.class(), Class::Transient);
        assert_eq!(refusal.to_string(), "Entra answered HTTP 502 without saying why");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("17", now), Some(Duration::from_secs(17)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:27 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
