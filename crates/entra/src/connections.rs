//! Connections to one place, kept for the next exchange: a single one over HTTP/2, as many as needed over HTTP/1.1.
//!
//! This is less than reqwest can, and we would rather use that. But its pool learns that a server speaks HTTP/2 only from
//! the connection itself: twenty exchanges at a cold start opened twenty connections, with a TLS handshake each, and the
//! sidecar with a token took more than the 5 MiB it may.
//!
//! What the server speaks shows in its first answer to a connection. Until then there is one attempt to connect at a
//! time, and all exchanges wait for it, so that a cold start with twenty resources does not open twenty connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::dial::{BoxError, Dialed, Dialer, HTTP2};
use crate::form_post::FormPost;
use crate::tls::Tls;

/// Connections without an exchange are kept this long for the next one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Most HTTP/1.1 connections that are kept.
const MAX_IDLE: usize = 8;
/// Largest answer that is read, in bytes; tokens with many groups stay under 32 KiB.
const MAX_ANSWER: usize = 256 * 1024;
/// What the server may send unasked on an HTTP/2 connection, in bytes: answers to a burst.
const WINDOW: u32 = 1024 * 1024;

type Body = Full<Bytes>;
type Settings = Option<Arc<ClientConfig>>;

/// What the server said.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Connections to the one place that all posts go to.
pub(crate) struct Connections {
    dialer: Dialer,
    tls: Tls,
    /// Held while connecting, unless the server is known to speak HTTP/1.1.
    dialing: AsyncMutex<()>,
    kept: Arc<Mutex<Kept>>,
}

/// What there is to be used again, all made under the same settings.
#[derive(Default)]
struct Kept {
    settings: Settings,
    http2: Option<Arc<http2::SendRequest<Body>>>,
    http1: Vec<http1::SendRequest<Body>>,
    speaks_http1: bool,
    alarm: Option<AbortHandle>,
}

enum Sender {
    Http2(Arc<http2::SendRequest<Body>>),
    Http1(http1::SendRequest<Body>),
}

impl Connections {
    /// Opened by `dialer` and secured by `tls`, as they are needed.
    pub(crate) fn new(dialer: Dialer, tls: Tls) -> Self {
        let kept = Kept { speaks_http1: !tls.offers(HTTP2), ..Kept::default() };
        Self { dialer, tls, dialing: AsyncMutex::default(), kept: Arc::new(Mutex::new(kept)) }
    }

    /// Posts and reads the whole answer. Whoever stops waiting for it has found a connection to avoid.
    pub(crate) async fn post(&self, post: &FormPost) -> Result<Answer, BoxError> {
        let settings = post.is_https().then(|| self.tls.config()).transpose()?;
        if let Some(lease) = self.reuse(&settings) {
            // The server may have ended a kept connection just now, which says nothing about the server.
            if let Ok(answer) = lease.ask(post).await {
                return Ok(answer);
            }
        }
        self.lease(post, settings).await?.ask(post).await
    }

    fn reuse(&self, settings: &Settings) -> Option<Lease<'_>> {
        let sender = self.kept().under(settings).take()?;
        Some(Lease { connections: self, settings: settings.clone(), sender: Some(sender) })
    }

    /// A connection that another exchange has opened meanwhile, else a new one.
    async fn lease(&self, post: &FormPost, settings: Settings) -> Result<Lease<'_>, BoxError> {
        let turn = self.dialing.lock().await;
        if let Some(lease) = self.reuse(&settings) {
            return Ok(lease);
        }
        // Where no connection can be shared there is nothing to wait for, and the turn ends here.
        let may_be_shared = settings.is_some() && !self.kept().speaks_http1;
        let _turn = may_be_shared.then_some(turn);
        let dialed = self.dialer.dial(post.uri(), settings.as_ref()).await?;
        let is_http2 = dialed.is_http2;
        let sender = speak(dialed).await?;
        let mut kept = self.kept();
        kept.under(&settings).speaks_http1 = !is_http2;
        if let Sender::Http2(sender) = &sender {
            kept.http2 = Some(Arc::clone(sender));
        }
        drop(kept);
        Ok(Lease { connections: self, settings, sender: Some(sender) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// Ends all connections once nobody has used one for long.
    fn close_when_idle(&self, kept: &mut Kept) {
        let all = Arc::downgrade(&self.kept);
        let alarm = tokio::spawn(async move {
            sleep(IDLE_TIMEOUT).await;
            if let Some(all) = all.upgrade() {
                lock(&all).clear();
            }
        });
        if let Some(previous) = kept.alarm.replace(alarm.abort_handle()) {
            previous.abort();
        }
    }
}

impl Kept {
    /// This, without what was made under other settings than `settings`: perhaps with somebody no longer trusted.
    fn under(&mut self, settings: &Settings) -> &mut Self {
        if !is_same(&self.settings, settings) {
            self.clear();
            self.settings.clone_from(settings);
        }
        self
    }

    fn take(&mut self) -> Option<Sender> {
        if let Some(sender) = self.http2.as_ref().filter(|sender| !sender.is_closed()) {
            return Some(Sender::Http2(Arc::clone(sender)));
        }
        self.http1.retain(|sender| !sender.is_closed());
        self.http1.pop().map(Sender::Http1)
    }

    fn clear(&mut self) {
        self.http2 = None;
        self.http1.clear();
    }
}

fn is_same(one: &Settings, other: &Settings) -> bool {
    one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts HTTP on a connection; it ends when all its senders are gone.
async fn speak(Dialed { stream, is_http2 }: Dialed) -> Result<Sender, BoxError> {
    let io = TokioIo::new(stream);
    if is_http2 {
        let mut settings = http2::Builder::new(TokioExecutor::new());
        settings.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (sender, connection) = settings.handshake(io).await?;
        tokio::spawn(connection);
        Ok(Sender::Http2(Arc::new(sender)))
    } else {
        let (sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        Ok(Sender::Http1(sender))
    }
}

/// The use of a connection for one exchange. If that does not end with an answer, the connection is not used again, and
/// those that lie idle are not either: what struck one may have struck all.
struct Lease<'a> {
    connections: &'a Connections,
    settings: Settings,
    sender: Option<Sender>,
}

impl Lease<'_> {
    async fn ask(mut self, post: &FormPost) -> Result<Answer, BoxError> {
        let response = match self.sender.as_mut() {
            Some(Sender::Http2(sender)) => http2::SendRequest::clone(sender).send_request(post.for_http2()?).await?,
            Some(Sender::Http1(sender)) => sender.send_request(post.for_http1()?).await?,
            None => return Err("no connection".into()),
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        self.give_back();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn give_back(mut self) {
        let mut kept = self.connections.kept();
        if let Some(Sender::Http1(sender)) = self.sender.take()
            && is_same(&kept.settings, &self.settings)
            && kept.http1.len() < MAX_IDLE
        {
            kept.http1.push(sender);
        }
        self.connections.close_when_idle(&mut kept);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(suspect) = &self.sender else { return };
        let mut kept = self.connections.kept();
        kept.http1.clear();
        if let Sender::Http2(suspect) = suspect {
            kept.http2.take_if(|sender| Arc::ptr_eq(sender, suspect));
        }
    }
}
