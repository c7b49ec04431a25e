//! One request, taken apart.

use axum::body::Bytes;
use axum::http::{Method, request};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::time::Instant;

use crate::cloud::caller::Caller;
use crate::guid;

pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) method: Method,
    /// As it came, without the query.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) segments: Vec<String>,
    /// `https://host:port` and the path.
    pub(crate) url: String,
    pub(crate) caller: Caller,
    /// The answer is not wanted earlier.
    pub(crate) answer_at: Instant,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(head: &request::Parts, body: Bytes, caller: Caller, authority: &str, answer_at: Instant) -> Self {
        let path = head.uri.path();
        let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let query = head.uri.query().unwrap_or_default();
        Self {
            id: guid::random().to_string(),
            method: head.method.clone(),
            path: path.to_owned(),
            segments: path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect(),
            url: format!("{}{path}", authority.trim_end_matches('/')),
            caller,
            answer_at,
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            body,
        }
    }

    /// A parameter of the query, whose name is compared without regard to case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A JSON object.
    pub(crate) fn object(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(Value::is_object)
    }
}
