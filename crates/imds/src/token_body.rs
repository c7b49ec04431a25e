//! The body of a granted token, rendered once per token and completed once per request.
//!
//! Order, quoting and the absence of whitespace are those of IMDS, and clients depend on each:
//! mssql-jdbc searches for the literals `"access_token":"` and `"expires_in":"`;
//! Microsoft.Data.SqlClient adds fixed offsets to key names; the C++ SDK takes the first substring
//! `expires_in`, so it must precede `ext_expires_in`; MSAL.NET lets the later of `expires_in` and
//! `expires_on` win. No key may be added: MSAL for Go reads `error`, `client_info` and `scope`.

use std::fmt;
use std::io::Write;

use crate::json;

/// What an access token is answered with. Times are whole seconds.
#[derive(Clone, Copy)]
pub struct TokenAnswer<'a> {
    /// The token itself: a secret.
    pub access_token: &'a str,
    /// Application id of the identity that answers.
    pub client_id: &'a str,
    /// When the token ends, in seconds since the Unix epoch: ten digits until 2286, as
    /// Microsoft.Data.SqlClient needs.
    pub expires_on: u64,
    /// The extended lifetime that Entra ID granted, a duration.
    pub ext_expires_in: u64,
    /// From when the token is valid, in seconds since the Unix epoch.
    pub not_before: u64,
    /// The resource exactly as the client sent it.
    pub resource: &'a str,
}

impl fmt::Debug for TokenAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("client_id", &self.client_id)
            .field("resource", &self.resource)
            .field("expires_on", &self.expires_on)
            .finish_non_exhaustive()
    }
}

/// A rendered body in which only the seconds that remain are open. Holds an access token; its
/// `Debug` shows none of it.
#[derive(Clone)]
pub struct TokenBody {
    /// Up to and including `"expires_in":"`.
    head: String,
    /// From there to `"ext_expires_in":"`.
    middle: String,
    /// The rest.
    tail: String,
    expires_on: u64,
    ext_expires_in: u64,
}

impl TokenBody {
    /// Renders all that does not change while the token lives.
    pub fn new(answer: &TokenAnswer<'_>) -> Self {
        Self {
            head: head(answer),
            middle: format!(r#"","expires_on":"{}","ext_expires_in":""#, answer.expires_on),
            tail: tail(answer),
            expires_on: answer.expires_on,
            ext_expires_in: answer.ext_expires_in,
        }
    }

    /// The body at `now_unix_seconds`: `expires_in` is what remains, 0 once the token has ended.
    /// `ext_expires_in` stays as granted, but never prints lower than `expires_in`.
    ///
    /// The answer that carries it must have no `Retry-After`: MSAL for Python would replay it.
    pub fn render(&self, now_unix_seconds: u64) -> Vec<u8> {
        let expires_in = self.expires_on.saturating_sub(now_unix_seconds);
        let ext_expires_in = self.ext_expires_in.max(expires_in);
        let fixed = self.head.len() + self.middle.len() + self.tail.len();
        let mut body = Vec::with_capacity(fixed + digits(expires_in) + digits(ext_expires_in));
        body.extend_from_slice(self.head.as_bytes());
        push_number(&mut body, expires_in);
        body.extend_from_slice(self.middle.as_bytes());
        push_number(&mut body, ext_expires_in);
        body.extend_from_slice(self.tail.as_bytes());
        body
    }
}

impl fmt::Debug for TokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBody").field("expires_on", &self.expires_on).finish_non_exhaustive()
    }
}

fn head(answer: &TokenAnswer<'_>) -> String {
    let mut head = String::from(r#"{"access_token":""#);
    json::push_escaped(&mut head, answer.access_token);
    head.push_str(r#"","client_id":""#);
    json::push_escaped(&mut head, answer.client_id);
    head.push_str(r#"","expires_in":""#);
    head
}

fn tail(answer: &TokenAnswer<'_>) -> String {
    let mut tail = format!(r#"","not_before":"{}","resource":""#, answer.not_before);
    json::push_escaped(&mut tail, answer.resource);
    tail.push_str(r#"","token_type":"Bearer"}"#);
    tail
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn push_number(body: &mut Vec<u8>, number: u64) {
    // Writing to a `Vec` cannot fail.
    let _ = write!(body, "{number}");
}
