//! The headers that every answer carries. Neither `Server` nor anything else is claimed that only
//! the real IMDS could.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// An answer in JSON, `length` bytes long. JSON on every path: MSAL for Python and for Node fail on
/// text bodies, even of errors. The length is explicit, as IMDS sends it, so that no body is chunked.
pub fn json<B>(status: StatusCode, length: usize, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// As [`json`], of a text.
pub(crate) fn text(status: StatusCode, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let body = body.into();
    json(status, body.len(), body)
}
