//! Listens, accepts, drains. Knows HTTP's limits and nothing of tokens.
//!
//! Loopback only: a redirected connection shows the pod's own address as its peer, so the listener's address, not the
//! peer's, is the protection.

use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azwi_program::connections::{Connections, Guest, InTheWorks};
use http_body_util::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::service::{Answer, Answering, App, draining};

/// Connections at once; a further one takes the place of an idle one.
const MAX_CONNECTIONS: usize = 1024;
/// Connections that wait to be accepted: one too many, and its client tries again only after a second.
const BACKLOG: u32 = 1024;
/// File descriptors kept for what the sidecar opens itself, however many clients connect: the token file, and sockets to
/// Entra, to name servers and to the real metadata service.
const RESERVED_FILES: usize = 320;
/// Longest request head, in bytes; a longer one is answered with 431.
const MAX_HEAD: usize = 16 * 1024;
/// Connections even where files are fewer than that.
const MIN_CONNECTIONS: usize = 32;
/// How long a connection may go without a request: idle, with half a head, or without reading its answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one answer may take, to the last byte that the client reads; ours are ready, or have failed, in half of it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// What the kernel keeps of a connection in each direction, in bytes, for a client that sends and does not read; by
/// itself it goes up to some megabytes, of the memory that the pod is granted. It holds several answers.
const SOCKET_BUFFER: u32 = 64 * 1024;
/// After a failed accept: spinning would not mend it.
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
    // Connections inherit both.
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
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
    tokio::spawn(Arc::clone(&connections).clear_out(IDLE_TIMEOUT, ANSWER_TIMEOUT));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        if let Some((stream, guest)) = accepted {
            let seat = guest.seat();
            seat.taken_by(&tokio::spawn(connection(stream, Arc::clone(&app), watcher.clone(), guest)));
            // Whoever has come is heard before more are let in: of a burst, the first one starts the exchange for all.
            yield_now().await;
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
            if is_out_of_files(&error) {
                connections.evict();
            }
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Whether there is no file descriptor left, in this process or on the whole machine.
fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| [Errno::EMFILE, Errno::ENFILE].contains(&Errno::from_raw(code)))
}

/// One connection until it ends, fails, is drained or loses its place. The watcher marks it as alive.
async fn connection(stream: TcpStream, app: Arc<App>, mut phase: watch::Receiver<Phase>, guest: Guest) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let farewell = phase.clone();
    let turn = Turn { guest, is_taken: AtomicBool::new(false) };
    let service = service_fn(|request| match app.answer(request, turn.guest.is_crowded()) {
        Answering::Now(answer) => turn.answer(answer),
        Answering::Later(later) => Answering::Later(Box::pin(finish(later, farewell.clone(), turn.guest.request()))),
    });
    let mut http = http1::Builder::new();
    // Time is kept by `Connections`: a timer of hyper's would be set anew for every request.
    // For answers as short as ours one more copy costs less than a second buffer does in the kernel.
    http.max_buf_size(MAX_HEAD).title_case_headers(true).writev(false);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        biased;
        result = turn.by_turns(connection.as_mut()) => result,
        () = reached(Phase::Draining, &mut phase) => {
            connection.as_mut().graceful_shutdown();
            turn.by_turns(connection).await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended early");
    }
}

/// A connection's turn among all of them, in which it is answered at once. Who sends more requests without waiting for the
/// answers is answered when nobody else wants anything, or two hundred such would hold up everybody.
struct Turn {
    guest: Guest,
    is_taken: AtomicBool,
}

impl Turn {
    /// `connection` as it goes on, turn after turn.
    async fn by_turns<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|context| {
            self.is_taken.store(false, Ordering::Relaxed);
            connection.as_mut().poll(context)
        })
        .await
    }

    /// An answer that is there.
    fn answer(&self, answer: Option<Answer>) -> Answering {
        self.guest.was_active();
        match answer {
            Some(answer) if self.is_taken.swap(true, Ordering::Relaxed) => {
                let patience = self.guest.patience();
                Answering::Later(Box::pin(async {
                    patience.await;
                    answer
                }))
            }
            answer => Answering::Now(answer),
        }
    }
}

/// The answer, or a farewell if that comes first. A streamed one stays in the works until it is sent.
async fn finish(
    answer: impl Future<Output = Answer>,
    mut phase: watch::Receiver<Phase>,
    in_the_works: InTheWorks,
) -> Answer {
    let answer = tokio::select! {
        answer = answer => answer,
        () = reached(Phase::Farewell, &mut phase) => draining(),
    };
    answer.map(|body| match body {
        Either::Right(streamed) => Either::Right(streamed.with(in_the_works)),
        whole @ Either::Left(_) => whole,
    })
}

/// Completes when the end has come that far.
async fn reached(wanted: Phase, phase: &mut watch::Receiver<Phase>) {
    // An error means that the server itself is gone, which is the end too.
    drop(phase.wait_for(|phase| *phase >= wanted).await);
}
