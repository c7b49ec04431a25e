//! One POST of a form, as either version of HTTP wants it.

use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::request::Builder;
use http::uri::{InvalidUri, Scheme};
use http::{Request, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use url::Url;

const AGENT: &str = concat!("azwi-rs/", env!("CARGO_PKG_VERSION"));

/// Where to and what; cheap to send again.
pub(crate) struct FormPost {
    uri: Uri,
    form: Bytes,
}

impl FormPost {
    /// `form` is URL-encoded already.
    ///
    /// # Errors
    /// If `url` holds what no request may.
    pub(crate) fn new(url: &Url, form: String) -> Result<Self, InvalidUri> {
        Ok(Self { uri: url.as_str().parse()?, form: form.into() })
    }

    /// Where to.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether it must not travel in the clear.
    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// With the host in a header (RFC 9112 §3.2).
    pub(crate) fn for_http1(&self) -> http::Result<Request<Full<Bytes>>> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        self.fill(Request::post(path).header(HOST, host))
    }

    /// With the host in the URI, of which it becomes `:authority` (RFC 9113 §8.3.1).
    pub(crate) fn for_http2(&self) -> http::Result<Request<Full<Bytes>>> {
        self.fill(Request::post(self.uri.clone()))
    }

    fn fill(&self, request: Builder) -> http::Result<Request<Full<Bytes>>> {
        request
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, HeaderValue::from_static(AGENT))
            .body(Full::new(self.form.clone()))
    }
}
