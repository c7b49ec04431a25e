//! The headers that every answer carries. Neither `Server` nor anything else is claimed that only
//! the real IMDS could.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// An answer in JSON. JSON on every path: MSAL for Python and for Node fail on text bodies, even of errors.
///
/// Who sends it must give its length, as IMDS does, and never send it in chunks.
pub fn json<B>(status: StatusCode, body: B) -> Response<B> {
    json_in(HeaderMap::new(), status, body)
}

/// As [`json`], with the memory of a map of headers that are not needed any more.
pub fn json_in<B>(mut headers: HeaderMap, status: StatusCode, body: B) -> Response<B> {
    headers.clear();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// As [`json`], of a text, whose length is given here.
pub(crate) fn text(status: StatusCode, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let body = body.into();
    let length = body.len();
    let mut response = json(status, body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}
