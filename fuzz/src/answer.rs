//! What holds for every answer to an app.

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;

/// Statuses that all SDKs understand (docs/compatibility.md).
const STATUSES: [u16; 6] = [400, 403, 404, 405, 429, 503];

/// A refusal: JSON on one line below 4 KiB, and to be repeated only where that helps.
pub(crate) fn assert_refusal(response: &Response<Vec<u8>>) {
    let status = response.status().as_u16();
    assert!(STATUSES.contains(&status), "{status}");
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header(CONTENT_TYPE), Some("application/json; charset=utf-8"));
    assert_eq!(header(CONTENT_LENGTH), Some(response.body().len().to_string().as_str()));
    let seconds = header(RETRY_AFTER).map(|value| value.parse().unwrap_or(0));
    assert_eq!(seconds.is_some_and(|seconds| (1..=20).contains(&seconds)), matches!(status, 429 | 503));
    let body = String::from_utf8_lossy(response.body());
    assert!(body.len() < 4096 && !body.contains(char::is_control), "{body}");
    assert!(!body.to_lowercase().contains("unreachable"), "{body}");
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    assert!(json.get("error").is_some_and(Value::is_string), "{body}");
    assert!(json.get("error_description").is_some_and(Value::is_string), "{body}");
}
