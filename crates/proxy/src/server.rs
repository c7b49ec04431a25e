//! Listens, accepts, drains. Knows HTTP's limits and nothing of tokens.
//!
//! Loopback only: a redirected connection shows the pod's own address as its peer, so the listener's address, not the
//! peer's, is the protection.

use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::connections::{Connections, Guest, InTheWorks};
use crate::service::{Answer, Answering, App, draining};

/// Connections at once; a further one takes the place of an idle one.
const MAX_CONNECTIONS: usize = 1024;
/// Connections that wait to be accepted: one too many, and its client tries again only after a second.
const BACKLOG: u32 = 1024;
/// File descriptors kept for what the sidecar opens itself, however many clients connect: the token file, and sockets to
/// Entra, to name servers and to the real metadata service.
const RESERVED_FILES: usize = 256;
/// Longest request head, in bytes; a longer one is answered with 431.
const MAX_HEAD: usize = 16 * 1024;
/// Connections even where files are fewer than that.
const MIN_CONNECTIONS: usize = 32;
/// How long a connection may go without a request: idle, with half a head, or without reading its answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept (out of file descriptors): spinning would not free any.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long answers under way may take once the sidecar was told to end; then they become 503.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(4500);
/// How long writing those may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);

/// Takes the port on loopback.
///
/// # Errors
/// Whatever the operating system says, e.g. that the port is in use.
pub(crate) fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)
}

/// How far the end has come, as connections see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Answers under way are finished, no new ones begun.
    Draining,
    /// Whoever still waits is told to ask elsewhere.
    Farewell,
}

/// Serves until `shutdown` completes, then finishes the answers under way for at most five seconds.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    let (phase, watcher) = watch::channel(Phase::Serving);
    let connections = Connections::new(max_connections());
    tokio::spawn(Arc::clone(&connections).clear_out(IDLE_TIMEOUT));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        if let Some((stream, guest)) = accepted {
            let seat = guest.seat();
            seat.taken_by(&tokio::spawn(connection(stream, Arc::clone(&app), watcher.clone(), guest)));
        }
    }
    drop(listener);
    drop(watcher);
    tracing::info!("draining");
    phase.send_replace(Phase::Draining);
    if timeout(DRAIN_TIMEOUT, phase.closed()).await.is_ok() {
        return;
    }
    phase.send_replace(Phase::Farewell);
    if timeout(FAREWELL_TIMEOUT, phase.closed()).await.is_err() {
        tracing::warn!("some connections were not finished in time");
    }
}

/// As many as the limit on open files leaves room for, after raising it as far as that is allowed.
fn max_connections() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return MAX_CONNECTIONS };
    let wanted = ((MAX_CONNECTIONS + RESERVED_FILES) as u64).min(hard).max(soft);
    let files = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_or(soft, |()| wanted);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    files.saturating_sub(RESERVED_FILES).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

/// The next connection; `None` after a failure that was waited out.
async fn accept(listener: &TcpListener, connections: &Arc<Connections>) -> Option<(TcpStream, Guest)> {
    match listener.accept().await {
        Ok((stream, _peer)) => Some((stream, connections.admit().await)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One connection until it ends, fails, is drained or loses its place. The watcher marks it as alive.
async fn connection(stream: TcpStream, app: Arc<App>, mut phase: watch::Receiver<Phase>, guest: Guest) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let farewell = phase.clone();
    let service = service_fn(|request| match app.answer(request) {
        Answering::Now(answer) => {
            guest.was_active();
            Answering::Now(answer)
        }
        Answering::Later(later) => Answering::Later(Box::pin(finish(later, farewell.clone(), guest.request()))),
    });
    let mut http = http1::Builder::new();
    // Time is kept by `Connections`: a timer of hyper's would be set anew for every request.
    // For answers as short as ours one more copy costs less than a second buffer does in the kernel.
    http.max_buf_size(MAX_HEAD).title_case_headers(true).writev(false);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = reached(Phase::Draining, &mut phase) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended early");
    }
}

/// The answer, or a farewell if that comes first.
async fn finish(
    answer: impl Future<Output = Answer>,
    mut phase: watch::Receiver<Phase>,
    _in_the_works: InTheWorks,
) -> Answer {
    tokio::select! {
        answer = answer => answer,
        () = reached(Phase::Farewell, &mut phase) => draining(),
    }
}

/// Completes when the end has come that far.
async fn reached(wanted: Phase, phase: &mut watch::Receiver<Phase>) {
    // An error means that the server itself is gone, which is the end too.
    drop(phase.wait_for(|phase| *phase >= wanted).await);
}
