//! What Entra answers when it does not agree.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

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

/// Longest text that is kept of a field, in bytes; Entra's own stay below 2 KiB.
const MAX_TEXT: usize = 2048;
/// Most codes that are kept; Entra sends one.
const MAX_CODES: usize = 16;
/// Shorter parts of an assertion give nothing away, and might occur by chance.
const SHORTEST_SECRET: usize = 16;

impl Refusal {
    /// Reads an answer that was not a success, field by field: what is not as it should be is left out, and what an
    /// authority or a gateway echoes of the `assertion` it was sent is blackened. A body that is not Entra's JSON (a
    /// gateway's page) leaves the status.
    pub fn from_response(status: u16, retry_after: Option<Duration>, body: &[u8], assertion: &str) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        // Clipped last, so that no cut makes a part of the assertion unknowable.
        let text = |name| body.get(name).and_then(Value::as_str).map(|text| clip(&redact(text, assertion)));
        Self {
            status,
            error: text("error").unwrap_or_default(),
            description: text("error_description").unwrap_or_default(),
            error_codes: codes(body.get("error_codes")),
            timestamp: text("timestamp"),
            trace_id: text("trace_id"),
            correlation_id: text("correlation_id"),
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

/// Codes as numbers; some gateways make strings of them.
fn codes(field: Option<&Value>) -> Vec<u64> {
    let number = |code: &Value| code.as_u64().or_else(|| code.as_str()?.parse().ok());
    field.and_then(Value::as_array).into_iter().flatten().filter_map(number).take(MAX_CODES).collect()
}

fn redact(text: &str, assertion: &str) -> String {
    let secrets = assertion.split('.').filter(|part| part.len() >= SHORTEST_SECRET);
    secrets.fold(text.to_owned(), |text, part| text.replace(part, "[redacted]"))
}

fn clip(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
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
        let refusal = Refusal::from_response(401, None, body, "");
        assert_eq!((refusal.error.as_str(), refusal.error_codes.as_slice()), ("invalid_client", &[700_213][..]));
        assert_eq!((refusal.trace_id.as_deref(), refusal.correlation_id.as_deref()), (Some("t"), Some("c")));
        assert_eq!(refusal.class(), Class::Propagating);
        assert_eq!(refusal.to_string(), "AADSTS700213: No match");
    }

    #[test]
    fn a_gateways_page_is_judged_by_its_status() {
        let refusal = Refusal::from_response(502, None, b"<html>Bad Gateway</html>", "");
        assert_eq!(refusal.class(), Class::Transient);
        assert_eq!(refusal.to_string(), "Entra answered HTTP 502 without saying why");
    }

    #[test]
    fn fields_of_another_shape_are_left_out_and_the_rest_is_kept() {
        let body = br#"{"error":"invalid_client","error_description":null,"error_codes":["7000112"],"trace_id":7}"#;
        let refusal = Refusal::from_response(401, None, body, "");
        assert_eq!((refusal.error.as_str(), refusal.error_codes.as_slice()), ("invalid_client", &[7_000_112][..]));
        assert_eq!((refusal.description.as_str(), refusal.trace_id), ("", None));
    }

    #[test]
    fn an_echoed_assertion_is_blackened_whole_or_in_parts() {
        let assertion = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
        let body = format!(r#"{{"error_description":"you sent {assertion}","trace_id":"c2lnbmF0dXJlLXNpZ25hdHVyZQ"}}"#);
        let refusal = Refusal::from_response(401, None, body.as_bytes(), assertion);
        assert_eq!(refusal.description, "you sent [redacted].[redacted].[redacted]");
        assert_eq!(refusal.trace_id.as_deref(), Some("[redacted]"));
    }

    #[test]
    fn an_echo_across_the_clipping_is_blackened_too() {
        let assertion = format!("{}.{}", "a".repeat(40), "b".repeat(400));
        let body = format!(r#"{{"error_description":"{}{assertion}"}}"#, "-".repeat(MAX_TEXT - 100));
        let refusal = Refusal::from_response(401, None, body.as_bytes(), &assertion);
        assert!(!refusal.description.contains("bbbb"), "{}", refusal.description);
    }

    #[test]
    fn an_endless_text_is_clipped_between_characters() {
        let body = format!(r#"{{"error_description":"{}"}}"#, "é€".repeat(2000));
        let refusal = Refusal::from_response(401, None, body.as_bytes(), "");
        assert!((MAX_TEXT - 3..=MAX_TEXT).contains(&refusal.description.len()));
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
