//! Short pages over plain HTTP for whoever watches a program: its health, its metrics. One request a connection, few at
//! once, briefly: whoever comes here cannot hold up what the program is for.

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
use tokio::time::{sleep, timeout};

use crate::connections::{Connections, Guest};

/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// After an accept that failed: spinning would not mend it.
const PAUSE: Duration = Duration::from_millis(100);

/// What plain text is.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// What metrics are in the text format of `OpenMetrics` 1.0, for who asks with these headers. The same text is Prometheus'
/// older format too: what `OpenMetrics` adds is a comment there.
pub fn metrics_type(headers: &HeaderMap) -> &'static str {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    }
}

/// A status, what the text is, and the text.
pub type Page = (StatusCode, &'static str, String);

/// What may be had of the program.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; a further one takes the place of the one that has said nothing for longest.
    pub connections: usize,
    /// From the connection to the end of the request's head.
    pub head: Duration,
    /// From the connection to the end of the answer.
    pub answer: Duration,
    /// Between one connection and the next.
    pub pace: Duration,
}

/// Answers with the page that a path has, given a request's headers, for as long as it is polled.
pub async fn serve<P>(listener: TcpListener, bounds: Bounds, page: P)
where
    P: Fn(&str, &HeaderMap) -> Option<Page> + Send + Sync + 'static,
{
    let (page, connections) = (Arc::new(page), Connections::new(bounds.connections));
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let guest = connections.admit().await;
                let seat = guest.seat();
                seat.taken_by(&tokio::spawn(connection(stream, bounds, Arc::clone(&page), guest)));
                sleep(bounds.pace).await;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for health or metrics could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection<P>(stream: TcpStream, bounds: Bounds, page: Arc<P>, guest: Guest)
where
    P: Fn(&str, &HeaderMap) -> Option<Page>,
{
    let service = service_fn(|request| {
        guest.was_active();
        ready(Ok::<_, Infallible>(answer(&request, &*page)))
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(MAX_HEAD);
    if !matches!(timeout(bounds.answer, http.serve_connection(TokioIo::new(stream), service)).await, Ok(Ok(()))) {
        tracing::debug!("a connection for health or metrics ended early");
    }
}

fn answer<B>(request: &Request<B>, page: impl Fn(&str, &HeaderMap) -> Option<Page>) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, text) = match page(request.uri().path(), request.headers()) {
        Some(page) if is_read => page,
        Some(_) => (StatusCode::METHOD_NOT_ALLOWED, TEXT, String::new()),
        None => (StatusCode::NOT_FOUND, TEXT, String::new()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(method: Method, path: &str) -> Response<Full<Bytes>> {
        let page = |path: &str, _: &HeaderMap| (path == "/here").then(|| (StatusCode::OK, TEXT, "ok".to_owned()));
        answer(&Request::builder().method(method).uri(path).body(()).unwrap(), page)
    }

    #[test]
    fn pages_can_be_read_and_nothing_else() {
        assert_eq!(response(Method::GET, "/here?verbose").status(), 200);
        assert_eq!(response(Method::POST, "/here").status(), 405);
        assert_eq!(response(Method::GET, "/elsewhere").status(), 404);
    }

    #[test]
    fn metrics_are_what_the_scraper_accepts() {
        let mut headers = HeaderMap::new();
        assert!(metrics_type(&headers).starts_with("text/plain; version=0.0.4;"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));
        assert!(metrics_type(&headers).starts_with("application/openmetrics-text; version=1.0.0;"));
    }

    #[test]
    fn who_does_anything_else_is_told_what_can_be_done() {
        assert_eq!(response(Method::DELETE, "/here").headers()[ALLOW], "GET, HEAD");
    }
}
