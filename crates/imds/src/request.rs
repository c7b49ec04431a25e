//! From a request line and headers to what is asked, in the order in which IMDS checks. Request
//! bodies and all headers but two are ignored: msal-node sends a form content type on its GET.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method};

use crate::path::{self, Endpoint};
use crate::query::Parameters;
use crate::{Rejection, Selector, selector};

/// Longest `resource` accepted, in bytes after decoding; App ID URIs are far shorter. It bounds
/// what a cache key can cost.
const MAX_RESOURCE_BYTES: usize = 2048;

const METADATA: HeaderName = HeaderName::from_static("metadata");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What the operator may relax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether `Metadata: true` must be present.
    pub metadata_header: MetadataHeader,
}

/// How the `Metadata` request header is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataHeader {
    /// Required, as in IMDS and NMI: it keeps a server-side request forgery from reading tokens,
    /// and older SDKs detect IMDS by the refusal.
    #[default]
    Required,
    /// Not looked at, as in the Go azwi proxy.
    Ignored,
}

/// A well-formed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'q> {
    /// `GET /metadata/identity/oauth2/token`
    Token(TokenRequest<'q>),
    /// `GET /metadata/identity/info`, answered by [`identity_info`](crate::identity_info).
    IdentityInfo,
    /// Another category of the metadata service, which only the real one can answer.
    Category {
        /// The path in its canonical spelling, e.g. `/metadata/instance/compute`; never below
        /// `/metadata/identity`.
        path: String,
    },
}

/// A request for an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest<'q> {
    /// The App ID URI or application id of the API to call, byte for byte as sent once form
    /// decoding is undone: clients compare the answer's `resource` with what they asked.
    pub resource: Cow<'q, str>,
    /// The identity asked for, if any.
    pub selector: Option<Selector>,
    /// `bypass_cache=true`: a token minted now is wanted (IMDS swagger, 2018-10-01).
    pub bypass_cache: bool,
}

/// Parses a request. `path` is the path as it stood in the request line, not decoded; `query` comes
/// without its `?`. Any `api-version`, or none, is accepted, as NMI did; unknown parameters are
/// ignored.
///
/// # Errors
/// The first failing check in this order: path, method, `Metadata`, `X-Forwarded-For`, query,
/// `resource`, selector.
pub fn parse<'q>(
    method: &Method,
    path: &str,
    query: Option<&'q str>,
    headers: &HeaderMap,
    policy: &Policy,
) -> Result<Request<'q>, Rejection> {
    let endpoint = path::classify(path)?;
    check_method(method, endpoint)?;
    check_headers(headers, *policy)?;
    match endpoint {
        Endpoint::Category(rest) => Ok(Request::Category { path: format!("/metadata/{rest}") }),
        Endpoint::Token => token_request(query.unwrap_or_default()).map(Request::Token),
        Endpoint::IdentityInfo => Ok(Request::IdentityInfo),
    }
}

/// Scheduled events are acknowledged by POST; everything else is read.
fn check_method(method: &Method, endpoint: Endpoint<'_>) -> Result<(), Rejection> {
    let is_acknowledgement = method == Method::POST && endpoint == Endpoint::Category("scheduledevents");
    if method == Method::GET || is_acknowledgement { Ok(()) } else { Err(Rejection::MethodNotAllowed) }
}

fn check_headers(headers: &HeaderMap, policy: Policy) -> Result<(), Rejection> {
    if policy.metadata_header == MetadataHeader::Required && !says_metadata(headers) {
        return Err(Rejection::MissingMetadataHeader);
    }
    if headers.contains_key(X_FORWARDED_FOR) {
        return Err(Rejection::Forwarded);
    }
    Ok(())
}

/// Microsoft's own samples send both `true` and `True`.
fn says_metadata(headers: &HeaderMap) -> bool {
    headers.get(METADATA).is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"true"))
}

fn token_request(query: &str) -> Result<TokenRequest<'_>, Rejection> {
    let mut parameters = Parameters::decode(query)?;
    let resource = resource(&mut parameters)?;
    let selector = selector::select(&mut parameters)?;
    let bypass_cache = parameters.take("bypass_cache").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(TokenRequest { resource, selector, bypass_cache })
}

fn resource<'q>(parameters: &mut Parameters<'q>) -> Result<Cow<'q, str>, Rejection> {
    let resource = parameters.take("resource").ok_or(Rejection::MissingResource)?;
    if resource.len() > MAX_RESOURCE_BYTES {
        return Err(Rejection::ResourceTooLong);
    }
    // A space would make several scopes of one. Most resources are of plain letters, which are quicker to see.
    let is_plain = resource.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain && resource.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Rejection::MalformedResource);
    }
    Ok(resource)
}
