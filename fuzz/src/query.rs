//! A query of the token path: what is understood must be what everybody else decodes from it.

use azwi_imds::{Policy, Request, Selector, TokenRequest, parse};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::answer::assert_refusal;
use crate::request::assert_token_request;

const SELECTORS: [&str; 5] = ["client_id", "object_id", "msi_res_id", "mi_res_id", "msi-res-id"];

/// Any text is a query.
pub fn check(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    let metadata = (HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
    let headers = HeaderMap::from_iter([metadata]);
    match parse(&Method::GET, "/metadata/identity/oauth2/token", Some(query), &headers, &Policy::default()) {
        Ok(Request::Token(request)) => {
            assert_token_request(&request);
            assert_understood(query, &request);
        }
        Ok(other) => unreachable!("{other:?}"),
        Err(rejection) => assert_refusal(&rejection.response()),
    }
}

/// One resource, and one selector at most, as the URL standard decodes them.
fn assert_understood(query: &str, request: &TokenRequest<'_>) {
    assert_eq!(values(query, "resource"), [request.resource.as_ref()], "{query:?}");
    let mut given: Vec<_> = SELECTORS.iter().flat_map(|name| values(query, name)).collect();
    given.retain(|id| !id.is_empty());
    let taken = request.selector.as_ref().map(id);
    assert_eq!(given.first().map(|id| id.to_ascii_lowercase()), taken.map(str::to_ascii_lowercase), "{query:?}");
    assert!(given.len() <= 1, "{query:?}");
}

fn values(query: &str, name: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

fn id(selector: &Selector) -> &str {
    let (Selector::ClientId(id) | Selector::ObjectId(id) | Selector::ResourceId(id)) = selector;
    id
}
