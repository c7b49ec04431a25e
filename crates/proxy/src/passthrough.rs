//! What only the real metadata service can answer: instance, attested, scheduled events…
//!
//! Goes there from the proxy's own uid, which the redirect leaves alone; never through an HTTP proxy, never for anything
//! below `/metadata/identity`, and bounded in time and size.

use std::error::Error as StdError;
use std::net::SocketAddrV4;
use std::time::Duration;

use azwi_imds::{Failure, FailureStatus, RetryAfter};
use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Limited;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the connection to the end of the answer.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request body, in bytes; only acknowledgements of scheduled events have one.
const MAX_REQUEST: usize = 64 * 1024;
/// Largest answer, in bytes; the document of a large machine takes a tenth of it.
const MAX_ANSWER: usize = 1024 * 1024;
/// Headers that concern one connection only (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

type BoxError = Box<dyn StdError + Send + Sync>;

/// An answer of the real metadata service, streamed.
pub(crate) type Streamed = Limited<Incoming>;

/// Asks `upstream` for `path` in its canonical spelling, with the query, headers and body of `request`.
///
/// # Errors
/// What to answer if it cannot be asked.
pub(crate) async fn forward<B>(
    upstream: SocketAddrV4,
    request: Request<B>,
    path: &str,
) -> Result<Response<Streamed>, Failure>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let answer = timeout(TOTAL_TIMEOUT, exchange(upstream, request, path)).await;
    answer.unwrap_or_else(|_| Err("no answer in time".into())).map_err(|error| {
        tracing::warn!(%upstream, path, %error, "the real metadata service cannot be asked");
        unavailable(error.as_ref())
    })
}

/// The answer where the operator has closed this way.
pub(crate) fn blocked() -> Failure {
    Failure {
        status: FailureStatus::Forbidden,
        error: "access_denied".to_owned(),
        description: "The sidecar answers for identities only (--passthrough=off)".to_owned(),
        details: None,
    }
}

fn unavailable(error: &dyn StdError) -> Failure {
    Failure {
        status: FailureStatus::Unavailable { retry_after: RetryAfter::new(2) },
        error: "temporarily_unavailable".to_owned(),
        description: format!("The real metadata service cannot be asked: {error}"),
        details: None,
    }
}

async fn exchange<B>(upstream: SocketAddrV4, request: Request<B>, path: &str) -> Result<Response<Streamed>, BoxError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let request = outgoing(upstream, request, path)?;
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(upstream)).await??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Carries the body after this function has returned the head.
    tokio::spawn(timeout(TOTAL_TIMEOUT, connection));
    let mut response = sender.send_request(request).await?;
    keep_end_to_end(response.headers_mut());
    Ok(response.map(|body| Limited::new(body, MAX_ANSWER)))
}

fn outgoing<B>(upstream: SocketAddrV4, request: Request<B>, path: &str) -> Result<Request<Limited<B>>, BoxError> {
    let (mut head, body) = request.into_parts();
    head.uri = match head.uri.query() {
        Some(query) => format!("{path}?{query}").parse()?,
        None => path.parse()?,
    };
    keep_end_to_end(&mut head.headers);
    head.headers.insert(HOST, HeaderValue::from_str(&upstream.ip().to_string())?);
    Ok(Request::from_parts(head, Limited::new(body, MAX_REQUEST)))
}

/// Removes the headers of the connection, those it names itself included.
fn keep_end_to_end(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_behind_and_the_rest_goes_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("metadata", "true"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        keep_end_to_end(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["metadata"]);
    }
}
