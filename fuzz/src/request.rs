//! A request as it comes over the wire: no spelling of a path may get a token that is not plainly the token path, and
//! nothing below `/metadata/identity` may be passed on.

use azwi_imds::{MetadataHeader, Policy, Request, TokenRequest, parse};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::answer::assert_refusal;

/// The first line is `METHOD TARGET`, each other one a header, `Name: value`.
pub fn check(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let Some((method, target)) = lines.next().and_then(request_line) else { return };
    let headers: HeaderMap = lines.filter_map(header).collect();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    for metadata_header in [MetadataHeader::Required, MetadataHeader::Ignored] {
        match parse(&method, path, query, &headers, &Policy { metadata_header }) {
            Ok(Request::Token(request)) => {
                assert!(method == Method::GET && names(path, "metadata/identity/oauth2/token"), "{path:?}");
                assert_token_request(&request);
                assert!(metadata_header == MetadataHeader::Ignored || headers.contains_key("metadata"));
            }
            Ok(Request::IdentityInfo) => assert!(names(path, "metadata/identity/info"), "{path:?}"),
            Ok(Request::Category { path }) => assert_passable(&path),
            Err(rejection) => assert_refusal(&rejection.response()),
        }
    }
}

fn request_line(line: &[u8]) -> Option<(Method, &str)> {
    let (method, target) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some((method.parse().ok()?, target))
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(": ")?;
    Some((name.parse().ok()?, value.parse().ok()?))
}

/// Whether `path` is `endpoint`, but for slashes around it and the case of its first segment; and so is whatever else
/// decodes percent signs.
fn names(path: &str, endpoint: &str) -> bool {
    let trimmed = path.trim_start_matches('/');
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let same = trimmed.eq_ignore_ascii_case(endpoint)
        && trimmed.split_once('/').map(|(_, rest)| rest) == endpoint.split_once('/').map(|(_, rest)| rest);
    path.starts_with('/') && same && !path.contains('%')
}

/// One resource that makes one scope.
pub(crate) fn assert_token_request(request: &TokenRequest) {
    let resource = &request.resource;
    assert!((1..=2048).contains(&resource.len()), "{} bytes", resource.len());
    assert!(!resource.contains(|c: char| c.is_whitespace() || c.is_control()), "{resource:?}");
}

/// What the real metadata service is asked must mean the same to it.
fn assert_passable(path: &str) {
    assert!(path.starts_with("/metadata/"), "{path:?}");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !b"%\\;?#".contains(&byte)), "{path:?}");
    let segments: Vec<_> = path.split('/').skip(2).collect();
    assert!(!segments.iter().any(|segment| ["", ".", ".."].contains(segment)), "{path:?}");
    assert!(!segments.first().is_some_and(|first| first.eq_ignore_ascii_case("identity")), "{path:?}");
}
