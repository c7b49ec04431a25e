//! The body of a granted token. It says how long the token still lives, so each second has a body of its own, made from
//! the one before: a long token is kept once.
//!
//! Order, quoting and the absence of whitespace are those of IMDS, and clients depend on each:
//! mssql-jdbc searches for the literals `"access_token":"` and `"expires_in":"`;
//! Microsoft.Data.SqlClient adds fixed offsets to key names; the C++ SDK takes the first substring
//! `expires_in`, so it must precede `ext_expires_in`; MSAL.NET lets the later of `expires_in` and
//! `expires_on` win. No key may be added: MSAL for Go reads `error`, `client_info` and `scope`.

use std::fmt;
use std::io::Write;

use bytes::Bytes;

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

/// The body of one moment. Holds an access token; its `Debug` shows none of it. Cheap to clone.
#[derive(Clone)]
pub struct TokenBody {
    text: Bytes,
    parts: Parts,
}

/// Where in the text what lies, and what depends on the moment.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// Length up to and including `"expires_in":"`.
    head: usize,
    /// Length from there to `"ext_expires_in":"`, without the number.
    middle: usize,
    expires_on: u64,
    /// As granted.
    ext_expires_in: u64,
    /// As printed.
    expires_in: u64,
}

impl Parts {
    /// `ext_expires_in` stays as granted, but never prints lower than `expires_in`.
    fn ext_expires_in(&self) -> u64 {
        self.ext_expires_in.max(self.expires_in)
    }
}

impl TokenBody {
    /// Renders the answer at `now` (seconds since the Unix epoch).
    ///
    /// What carries it must have no `Retry-After`: MSAL for Python would replay it.
    pub fn new(answer: &TokenAnswer<'_>, now: u64) -> Self {
        let TokenAnswer { expires_on, ext_expires_in, .. } = *answer;
        let head = head(answer);
        let middle = format!(r#"","expires_on":"{expires_on}","ext_expires_in":""#);
        let expires_in = expires_on.saturating_sub(now);
        let parts = Parts { head: head.len(), middle: middle.len(), expires_on, ext_expires_in, expires_in };
        Self { text: join(head.as_bytes(), middle.as_bytes(), tail(answer).as_bytes(), &parts), parts }
    }

    /// The same answer at `now` (seconds since the Unix epoch): `expires_in` is what remains, 0 once the token has ended.
    #[must_use]
    pub fn at(&self, now: u64) -> Self {
        let parts = Parts { expires_in: self.parts.expires_on.saturating_sub(now), ..self.parts };
        let (head, rest) = split(&self.text, self.parts.head);
        let (middle, rest) = split(split(rest, digits(self.parts.expires_in)).1, self.parts.middle);
        let (_, tail) = split(rest, digits(self.parts.ext_expires_in()));
        Self { text: join(head, middle, tail, &parts), parts }
    }

    /// `expires_in`: the seconds that remained at its moment.
    pub fn expires_in(&self) -> u64 {
        self.parts.expires_in
    }

    /// What is sent.
    pub fn text(&self) -> &Bytes {
        &self.text
    }
}

impl fmt::Debug for TokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBody").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// A cut inside a text that is long enough.
fn split(text: &[u8], at: usize) -> (&[u8], &[u8]) {
    text.split_at_checked(at).unwrap_or((text, &[]))
}

fn join(head: &[u8], middle: &[u8], tail: &[u8], parts: &Parts) -> Bytes {
    let (expires_in, ext_expires_in) = (parts.expires_in, parts.ext_expires_in());
    let fixed = head.len() + middle.len() + tail.len();
    let mut text = Vec::with_capacity(fixed + digits(expires_in) + digits(ext_expires_in));
    text.extend_from_slice(head);
    push_number(&mut text, expires_in);
    text.extend_from_slice(middle);
    push_number(&mut text, ext_expires_in);
    text.extend_from_slice(tail);
    text.into()
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
