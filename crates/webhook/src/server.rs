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
use std::time::Duration;

use azwi_program::connections::{Connections, Guest};
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::readiness::Readiness;

/// Connections at once; a further one takes the place of an idle one, so that whoever hoards them keeps no review out.
const MAX_CONNECTIONS: usize = 512;
/// From the connection to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may go without a request: idle, with half a head, or without reading its answer.
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
        let connections = Connections::new(MAX_CONNECTIONS);
        tokio::spawn(Arc::clone(&connections).clear_out(IDLE, IDLE));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &connections) => accepted,
                () = &mut end => break,
            };
            match accepted {
                Ok((stream, guest)) => {
                    let seat = guest.seat();
                    seat.taken_by(&self.spawn(stream, guest, respond.clone(), graceful.watcher()));
                }
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

    fn spawn<R, F, B>(&self, stream: TcpStream, guest: Guest, respond: R, watcher: Watcher) -> JoinHandle<()>
    where
        R: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let (tls, readiness) = (self.tls.clone(), Arc::clone(&self.readiness));
        tokio::spawn(async move { connection(stream, tls, &readiness, respond, &guest, watcher).await })
    }
}

/// The next connection, and room for it.
async fn accept(listener: &TcpListener, connections: &Arc<Connections>) -> io::Result<(TcpStream, Guest)> {
    let (stream, _peer) = listener.accept().await?;
    Ok((stream, connections.admit().await))
}

async fn connection<R, F, B>(
    stream: TcpStream,
    tls: TlsAcceptor,
    readiness: &Readiness,
    respond: R,
    guest: &Guest,
    watcher: Watcher,
) where
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
    let service = service_fn(async |request| {
        let _in_the_works = guest.request();
        let mut response = respond(request).await?;
        if readiness.is_leaving() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    });
    let mut http = http1::Builder::new();
    // Time is kept by `Connections`: a timer of hyper's would be set anew for every request.
    http.max_buf_size(MAX_HEAD);
    if let Err(error) = watcher.watch(http.serve_connection(stream, service)).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;
    use http_body_util::Full;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;

    const NEVER: Duration = Duration::from_hours(1);
    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    /// A server that says `done` to each request, but to one for `/slow` only when told so.
    struct Running {
        address: SocketAddr,
        connector: TlsConnector,
        /// Somebody has come for `/slow`.
        has_come: Arc<Notify>,
        /// Lets them go.
        go_on: Arc<Notify>,
        shutdown: Option<oneshot::Sender<()>>,
        readiness: Arc<Readiness>,
        task: JoinHandle<()>,
    }

    async fn run(delay: Duration) -> Running {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let tls =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (has_come, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let readiness = Arc::new(Readiness::default());
        let server = Server { tls: TlsAcceptor::from(Arc::new(tls)), delay, readiness: Arc::clone(&readiness) };
        let (shutdown, told) = oneshot::channel();
        let (come, go) = (Arc::clone(&has_come), Arc::clone(&go_on));
        let respond = move |request: Request<Incoming>| {
            let (come, go) = (Arc::clone(&come), Arc::clone(&go));
            async move {
                if request.uri().path() == "/slow" {
                    come.notify_one();
                    go.notified().await;
                }
                Ok(Response::new(Full::new(Bytes::from("done"))))
            }
        };
        let task = tokio::spawn(async move { server.serve(listener, respond, async { drop(told.await) }).await });
        let connector = TlsConnector::from(Arc::new(client));
        Running { address, connector, has_come, go_on, shutdown: Some(shutdown), readiness, task }
    }

    impl Running {
        /// Tells it to end.
        fn tell(&mut self) {
            drop(self.shutdown.take());
        }

        async fn connect(&self) -> TlsStream<TcpStream> {
            let stream = TcpStream::connect(self.address).await.unwrap();
            self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
        }
    }

    async fn send(stream: &mut TlsStream<TcpStream>, path: &str) {
        stream
            .write_all(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .await
            .unwrap();
    }

    /// An answer, to the end of its body.
    async fn receive(stream: &mut TlsStream<TcpStream>) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"done") {
            assert_ne!(timeout(LONG, stream.read_buf(&mut answer)).await.unwrap().unwrap(), 0, "cut off");
        }
        String::from_utf8(answer).unwrap().to_ascii_lowercase()
    }

    async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
        send(stream, "/").await;
        receive(stream).await
    }

    async fn has_begun_to_leave(readiness: &Readiness) {
        while !readiness.is_leaving() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_connection_is_good_for_several_requests() {
        let running = run(NEVER).await;
        let mut stream = running.connect().await;
        for _ in 0..3 {
            assert!(!ask(&mut stream).await.contains("connection: close"));
        }
    }

    #[tokio::test]
    async fn who_is_told_to_end_still_answers_and_asks_to_be_left() {
        let mut running = run(NEVER).await;
        let mut old = running.connect().await;
        ask(&mut old).await;
        running.tell();
        has_begun_to_leave(&running.readiness).await;
        assert!(ask(&mut old).await.contains("connection: close"));
        assert!(ask(&mut running.connect().await).await.contains("connection: close"));
    }

    #[tokio::test]
    async fn after_the_delay_nothing_new_is_accepted_but_what_is_under_way_is_finished() {
        let mut running = run(Duration::ZERO).await;
        let mut stream = running.connect().await;
        send(&mut stream, "/slow").await;
        running.has_come.notified().await;
        running.tell();
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(timeout(SHORT, &mut running.task).await.is_err());
        running.go_on.notify_one();
        receive(&mut stream).await;
        timeout(LONG, running.task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_end() {
        let mut running = run(Duration::ZERO).await;
        let mut stream = running.connect().await;
        ask(&mut stream).await;
        running.tell();
        timeout(DRAIN / 2, running.task).await.unwrap().unwrap();
    }
}
