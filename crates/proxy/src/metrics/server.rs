//! `GET /metrics`: the one listener that may be reached from beyond loopback.
//!
//! Whoever comes here cannot hold up an app: few connections, one request each, at a pace, and briefly.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::{Metrics, exposition};
use crate::service::App;

/// Connections at once; a further one waits.
const MAX_CONNECTIONS: usize = 8;
/// From the connection to the end of the answer. Prometheus itself gives up after ten seconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// From the connection to the end of the head: whoever says nothing shall not keep others away.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);
/// Between connections: twenty answers a second take next to nothing from the apps.
const PACE: Duration = Duration::from_millis(50);
/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

const OPENMETRICS: &str = "application/openmetrics-text";

/// Serves `metrics` of `app` for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, app: Arc<App>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                tokio::spawn(connection(stream, Arc::clone(&metrics), Arc::clone(&app), permit));
            }
            Err(error) => tracing::warn!(%error, "a connection for metrics could not be accepted"),
        }
        sleep(PACE).await;
    }
}

async fn connection(stream: TcpStream, metrics: Arc<Metrics>, app: Arc<App>, _permit: OwnedSemaphorePermit) {
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(&request, &metrics, &app))));
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let result = timeout(TIMEOUT, http.serve_connection(TokioIo::new(stream), service)).await;
    if !matches!(result, Ok(Ok(()))) {
        tracing::debug!("a connection for metrics ended early");
    }
}

fn answer<B>(request: &Request<B>, metrics: &Metrics, app: &App) -> Response<Full<Bytes>> {
    match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => scraped(request.headers(), metrics, app),
        ("/metrics", _) => {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn scraped(headers: &HeaderMap, metrics: &Metrics, app: &App) -> Response<Full<Bytes>> {
    let Ok(text) = exposition::render(metrics, app) else { return status(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, content_type(headers));
    response
}

/// The same text is both: what `OpenMetrics` adds is a comment to the older format.
fn content_type(headers: &HeaderMap) -> HeaderValue {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.into_iter().any(|value| value.contains(OPENMETRICS)) {
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8")
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
