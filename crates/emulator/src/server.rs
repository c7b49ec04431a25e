//! Serves a router on a listener, over TLS or plainly, until told to stop.
//!
//! Bounded in connections, handshake time, header size and header time; a stop drains for
//! [`DRAIN`] and then drops what is left.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::connection::{ConnectionHandle, ResettableStream};
use crate::counters::Counters;

const MAX_CONNECTIONS: usize = 1024;
const MAX_HEADERS: u32 = 32 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) router: Router,
    /// Plain HTTP when absent.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Where accepted connections are counted, if anywhere.
    pub(crate) counters: Option<Arc<Counters>>,
}

impl Server {
    /// Returns after `stop` has become true and the connections are gone.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &slots) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, slot)) = accepted else { continue };
            let (server, watcher) = (self.clone(), graceful.watcher());
            tokio::spawn(async move {
                server.connection(stream, watcher).await;
                drop(slot);
            });
        }
        drop(listener);
        // Injected hangs never end by themselves.
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }

    async fn connection(self, stream: TcpStream, watcher: Watcher) {
        // Nagle's algorithm would hold an answer back until the session tickets before it are acknowledged: 40 ms.
        let _ = stream.set_nodelay(true);
        let handle = ConnectionHandle::default();
        let stream = ResettableStream::new(stream, handle.clone());
        let Some(tls) = &self.tls else {
            return self.exchange(stream, handle, watcher).await;
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.exchange(stream, handle, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
    }

    async fn exchange<S>(&self, stream: S, handle: ConnectionHandle, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(counters) = &self.counters {
            counters.connection();
        }
        let router = self.router.clone().layer(Extension(handle.clone()));
        let builder = http();
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned();
        tokio::select! {
            outcome = watcher.watch(connection) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "connection ended");
                }
            }
            () = handle.ended() => tracing::debug!("connection reset on request"),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _peer)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            // Out of file descriptors does not get better by asking at once again.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADERS as usize);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(MAX_HEADERS);
    builder
}
