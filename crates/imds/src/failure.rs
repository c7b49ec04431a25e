//! A token that could not be had, told so that clients do the right thing: statuses that they
//! retry exactly when retrying helps, JSON they can parse, and no words they misread.
//!
//! Which failure deserves which status is the caller's decision.

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};

use crate::{json, response};

/// Whole bodies stay below 4 KiB: SDKs put them into exception messages and log lines.
const MAX_BODY_BYTES: usize = 4095;
/// OAuth error codes are short words (RFC 6749 section 5.2).
const MAX_ERROR_BYTES: usize = 128;
/// Timestamps and GUIDs.
const MAX_DETAIL_BYTES: usize = 64;
/// Entra ID rarely sends more than one.
const MAX_ERROR_CODES: usize = 16;

/// Words of which clients make something else: azidentity, Azure.Identity and azure-identity take a
/// 403 with `unreachable` in its body for the absence of IMDS, and in a 400 Azure.Identity takes
/// `Identity not found` for it.
const MISREAD: [(&str, &str); 2] = [("unreachable", "not reachable"), ("identity not found", "identity was not found")];

/// Why there is no token. Rendered, it is one line below 4 KiB free of words that clients misread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the client is to do about it.
    pub status: FailureStatus,
    /// The OAuth error code, e.g. `invalid_client` or `temporarily_unavailable`.
    pub error: String,
    /// For the operator who reads the app's log. Must hold no secret.
    pub description: String,
    /// What Entra ID said, if it answered.
    pub details: Option<EntraDetails>,
}

/// The statuses that a failed exchange may have. Only those that clients retry carry a
/// `Retry-After`: with it on any other, some would replay a request that cannot succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureStatus {
    /// 400: the request is at fault, e.g. its resource. No client retries.
    BadRequest,
    /// 403: Entra ID refuses the identity. No client retries, and none remembers it.
    Forbidden,
    /// 429: throttled.
    TooManyRequests {
        /// When to ask again.
        retry_after: RetryAfter,
    },
    /// 503: transient.
    Unavailable {
        /// When to ask again.
        retry_after: RetryAfter,
    },
}

/// A delay in whole seconds, 1 to 20. azidentity gives up on more than 60; @azure/identity
/// does not retry without one; MSAL for Python cannot read the date form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetryAfter(u64);

impl RetryAfter {
    /// Clamps `seconds` to 1..=20.
    pub fn new(seconds: u64) -> Self {
        Self(seconds.clamp(1, 20))
    }

    /// The delay in seconds.
    pub fn as_secs(self) -> u64 {
        self.0
    }
}

/// The diagnostic fields of an Entra ID error (Microsoft Learn, "Microsoft identity platform and
/// the OAuth 2.0 client credentials flow"). Absent ones, and an empty list, are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntraDetails {
    /// `AADSTS` codes as numbers, e.g. 700213.
    pub error_codes: Vec<u64>,
    /// When the error arose, as Entra ID prints it.
    pub timestamp: Option<String>,
    /// Entra ID's id of the request.
    pub trace_id: Option<String>,
    /// The id that ties requests together.
    pub correlation_id: Option<String>,
}

impl FailureStatus {
    /// The HTTP status.
    pub fn code(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The delay, on the statuses that have one.
    pub fn retry_after(self) -> Option<RetryAfter> {
        match self {
            Self::BadRequest | Self::Forbidden => None,
            Self::TooManyRequests { retry_after } | Self::Unavailable { retry_after } => Some(retry_after),
        }
    }
}

impl Failure {
    /// The complete answer.
    pub fn response(&self) -> Response<Vec<u8>> {
        let mut response = response::text(self.status.code(), self.body());
        if let Some(delay) = self.status.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
        }
        response
    }

    fn body(&self) -> String {
        // The end is rendered first since the description may have only what the rest leaves.
        let end = self.end();
        let mut body = String::from(r#"{"error":""#);
        push_text(&mut body, &self.error, MAX_ERROR_BYTES);
        body.push_str(r#"","error_description":""#);
        let left = MAX_BODY_BYTES.saturating_sub(body.len() + end.len());
        push_text(&mut body, &self.description, left);
        body.push_str(&end);
        body
    }

    fn end(&self) -> String {
        let mut end = String::from('"');
        if let Some(details) = &self.details {
            details.push(&mut end);
        }
        end.push('}');
        end
    }
}

impl EntraDetails {
    fn push(&self, out: &mut String) {
        self.push_codes(out);
        push_field(out, "timestamp", self.timestamp.as_deref());
        push_field(out, "trace_id", self.trace_id.as_deref());
        push_field(out, "correlation_id", self.correlation_id.as_deref());
    }

    fn push_codes(&self, out: &mut String) {
        let codes = self.error_codes.iter().take(MAX_ERROR_CODES).map(u64::to_string);
        let codes = codes.collect::<Vec<_>>().join(",");
        if !codes.is_empty() {
            json::push_display(out, format_args!(r#","error_codes":[{codes}]"#));
        }
    }
}

fn push_field(out: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    json::push_display(out, format_args!(r#","{name}":""#));
    push_text(out, value, MAX_DETAIL_BYTES);
    out.push('"');
}

/// Appends `text` as a client may see it, cut to `limit` bytes.
fn push_text(out: &mut String, text: &str, limit: usize) {
    let one_line = text.replace(json::is_control, " ");
    let clear = MISREAD.iter().fold(one_line, |text, (word, instead)| replace_ignoring_case(&text, word, instead));
    json::push_clipped(out, &clear, limit);
}

/// `word` is in lower case.
fn replace_ignoring_case(text: &str, word: &str, instead: &str) -> String {
    // Lowering ASCII only keeps every byte where it is.
    let lower = text.to_ascii_lowercase();
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in lower.match_indices(word) {
        replaced.push_str(text.get(from..at).unwrap_or_default());
        replaced.push_str(instead);
        from = at + word.len();
    }
    replaced.push_str(text.get(from..).unwrap_or_default());
    replaced
}
