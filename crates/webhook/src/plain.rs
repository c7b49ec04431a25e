//! Serves short answers over plain HTTP: health to kubelet, metrics to Prometheus. One request a connection, few at once,
//! briefly: whoever comes here cannot hold up a review.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Connections at once; a further one waits.
const MAX_CONNECTIONS: usize = 16;
/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A status, what the text is, and the text.
pub(crate) type Page = (StatusCode, &'static str, String);

/// What plain text is.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// Answers with the page that a path has, for as long as it is polled.
pub(crate) async fn serve<P>(listener: TcpListener, page: P)
where
    P: Fn(&str) -> Option<Page> + Send + Sync + 'static,
{
    let (page, room) = (Arc::new(page), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _peer)) => drop(tokio::spawn(connection(stream, Arc::clone(&page), permit))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, page: Arc<impl Fn(&str) -> Option<Page>>, _permit: OwnedSemaphorePermit) {
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(&request, &*page))));
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(TIMEOUT).max_buf_size(MAX_HEAD);
    if !matches!(timeout(TIMEOUT, http.serve_connection(TokioIo::new(stream), service)).await, Ok(Ok(()))) {
        tracing::debug!("a connection ended early");
    }
}

fn answer<B>(request: &Request<B>, page: impl Fn(&str) -> Option<Page>) -> Response<Full<Bytes>> {
    let (status, kind, text) = match page(request.uri().path()) {
        Some(page) if matches!(*request.method(), Method::GET | Method::HEAD) => page,
        Some(_) => (StatusCode::METHOD_NOT_ALLOWED, TEXT, String::new()),
        None => (StatusCode::NOT_FOUND, TEXT, String::new()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, path: &str) -> u16 {
        let page = |path: &str| (path == "/here").then(|| (StatusCode::OK, TEXT, "ok".to_owned()));
        answer(&Request::builder().method(method).uri(path).body(()).unwrap(), page).status().as_u16()
    }

    #[test]
    fn pages_can_be_read_and_nothing_else() {
        assert_eq!(status(Method::GET, "/here?verbose"), 200);
        assert_eq!(status(Method::POST, "/here"), 405);
        assert_eq!(status(Method::GET, "/elsewhere"), 404);
    }
}
