//! Serves reviews over TLS, and ends so that none is lost.
//!
//! API servers learn late that a replica goes, and keep connections for later. So the end has two steps: for a while
//! everything is served as before, but each answer asks for its connection to be closed, which leads the next review
//! elsewhere; then nothing new is accepted, and what is under way is finished.
//!
//! An API server keeps a connection idle for 90 seconds; we keep it longer, since a review that is sent while we close
//! would be lost.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::readiness::Readiness;

/// Connections at once; a further one waits.
const MAX_CONNECTIONS: usize = 512;
/// From the connection to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// From the handshake to the first request.
const FIRST_REQUEST: Duration = Duration::from_secs(30);
/// Between requests.
const IDLE: Duration = Duration::from_mins(2);
/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// What is under way when nothing more is accepted may take so long: API servers wait ten seconds unless told otherwise.
const DRAIN: Duration = Duration::from_secs(15);

/// The server.
pub(crate) struct Server {
    /// How connections are secured.
    pub tls: TlsAcceptor,
    /// How long to go on when told to end.
    pub delay: Duration,
    /// Knows whether it has been told.
    pub readiness: Arc<Readiness>,
}

impl Server {
    /// Answers requests with `respond` until `shutdown` and until all are answered.
    pub(crate) async fn serve<R, F, B>(self, listener: TcpListener, respond: R, shutdown: impl Future<Output = ()>)
    where
        R: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let mut end = pin!(async {
            shutdown.await;
            tracing::info!(seconds = self.delay.as_secs(), "told to end; still serving");
            self.readiness.leave();
            sleep(self.delay).await;
        });
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &room) => accepted,
                () = &mut end => break,
            };
            match accepted {
                Ok((stream, permit)) => self.spawn(stream, permit, respond.clone(), graceful.watcher()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        tracing::info!("finishing what is under way");
        if timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("gave up on connections that did not end");
        }
    }

    fn spawn<R, F, B>(&self, stream: TcpStream, permit: OwnedSemaphorePermit, respond: R, watcher: Watcher)
    where
        R: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let (tls, readiness) = (self.tls.clone(), Arc::clone(&self.readiness));
        tokio::spawn(async move {
            connection(stream, tls, &readiness, respond, watcher).await;
            drop(permit);
        });
    }
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _peer) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection<R, F, B>(stream: TcpStream, tls: TlsAcceptor, readiness: &Readiness, respond: R, watcher: Watcher)
where
    R: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Error: std::error::Error + Send + Sync> + 'static,
{
    // Nagle's algorithm would hold back what follows the handshake.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => TokioIo::new(stream),
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let was_used = AtomicBool::new(false);
    let service = service_fn(async |request| {
        was_used.store(true, Ordering::Relaxed);
        let mut response = respond(request).await?;
        if readiness.is_leaving() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(MAX_HEAD);
    let mut served = pin!(watcher.watch(http.serve_connection(stream, service)));
    let ended = timeout(FIRST_REQUEST, &mut served).await;
    let ended = match ended {
        Err(_) if was_used.load(Ordering::Relaxed) => served.await,
        Err(_) => return tracing::debug!("a connection was not used"),
        Ok(ended) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
