//! What only the real metadata service can answer: instance, attested, scheduled events…
//!
//! Goes there from the proxy's own uid, which the redirect leaves alone; never through an HTTP proxy, never for anything
//! below `/metadata/identity`, and bounded in time and size.

use std::error::Error as StdError;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use azwi_imds::{Failure, FailureStatus, RetryAfter};
use azwi_program::connections::InTheWorks;
use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Limited;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::pace::Pace;

/// Requests on their way at once. Bounds what a flood can open, and a loop if the redirect sends us back to ourselves.
const MAX_REQUESTS: usize = 32;
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
pub(crate) struct Streamed {
    body: Limited<Incoming>,
    _in_the_works: Option<InTheWorks>,
}

impl Streamed {
    /// Keeps its request in the works until it is sent.
    pub(crate) fn with(self, in_the_works: InTheWorks) -> Self {
        Self { _in_the_works: Some(in_the_works), ..self }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The way to the real metadata service.
#[derive(Clone)]
pub(crate) struct Passthrough {
    upstream: SocketAddrV4,
    room: Arc<Semaphore>,
    failures: Arc<Pace>,
}

impl Passthrough {
    /// To the service at `upstream`.
    pub(crate) fn new(upstream: SocketAddrV4) -> Self {
        Self { upstream, room: Arc::new(Semaphore::new(MAX_REQUESTS)), failures: Arc::default() }
    }

    /// Asks for `path` in its canonical spelling, with the query, headers and body of `request`.
    ///
    /// # Errors
    /// What to answer if that cannot be done.
    pub(crate) async fn forward<B>(self, request: Request<B>, path: &str) -> Result<Response<Streamed>, Failure>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { upstream, room, failures } = self;
        let permit = room.try_acquire_owned().map_err(|_| crowded())?;
        if request.body().size_hint().lower() > MAX_REQUEST as u64 {
            return Err(too_large());
        }
        let answer = timeout(TOTAL_TIMEOUT, exchange(upstream, request, path, permit)).await;
        answer.unwrap_or_else(|_| Err("no answer in time".into())).map_err(|error| {
            if failures.admits() {
                tracing::warn!(%upstream, %error, "the real metadata service cannot be asked");
            }
            tracing::debug!(%upstream, path, %error, "request not passed through");
            unavailable(error.as_ref())
        })
    }
}

fn crowded() -> Failure {
    Failure {
        status: FailureStatus::TooManyRequests { retry_after: RetryAfter::new(1) },
        error: "temporarily_unavailable".to_owned(),
        description: "Too many requests are on their way to the real metadata service.".to_owned(),
        details: None,
    }
}

fn too_large() -> Failure {
    Failure {
        status: FailureStatus::BadRequest,
        error: "invalid_request".to_owned(),
        description: format!("The request body is larger than {MAX_REQUEST} bytes"),
        details: None,
    }
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

async fn exchange<B>(
    upstream: SocketAddrV4,
    request: Request<B>,
    path: &str,
    permit: OwnedSemaphorePermit,
) -> Result<Response<Streamed>, BoxError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let request = outgoing(upstream, request, path)?;
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(upstream)).await??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Carries the body after this function has returned the head.
    tokio::spawn(async move {
        drop(timeout(TOTAL_TIMEOUT, connection).await);
        drop(permit);
    });
    let mut response = sender.send_request(request).await?;
    if response.body().size_hint().lower() > MAX_ANSWER as u64 {
        return Err("the answer is too large".into());
    }
    keep_end_to_end(response.headers_mut());
    Ok(response.map(|body| Streamed { body: Limited::new(body, MAX_ANSWER), _in_the_works: None }))
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
