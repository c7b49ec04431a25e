//! The headers that every answer carries. Neither `Server` nor anything else is claimed that only
//! the real IMDS could.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// JSON on every path: MSAL for Python and for Node fail on text bodies, even of errors. The length
/// is explicit, as IMDS sends it, so that no body is chunked.
pub(crate) fn json(status: StatusCode, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, length);
    response
}
