//! One connection: TCP, through an HTTP proxy where there is one on the way, then TLS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::Scheme;
use http::{Request, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use crate::https_proxy::HttpsProxy;

/// TCP, proxy and TLS together; a healthy Entra needs a tenth of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long what was sent may go unacknowledged: a firewall that has forgotten a kept connection says nothing. Short
/// enough that the attempt which finds out has time for a new connection.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 as ALPN names it (RFC 9113 §3.2).
pub(crate) const HTTP2: &[u8] = b"h2";
/// HTTP/1.1, likewise.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Bytes both ways, through however many layers.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection over which nothing has been asked yet.
pub(crate) struct Dialed {
    pub stream: Box<dyn Stream>,
    /// The server has chosen HTTP/2; one that ignores ALPN speaks HTTP/1.1.
    pub is_http2: bool,
}

/// Opens connections.
pub(crate) struct Dialer {
    server_name: Option<String>,
    tcp: HttpConnector,
    proxy: HttpsProxy,
}

impl Dialer {
    /// Servers must prove to be `server_name`, or else the host that is dialed.
    pub(crate) fn new(server_name: Option<String>, proxy: HttpsProxy) -> Self {
        Self { server_name, tcp: connector(), proxy }
    }

    /// Connects to the host and port of `to`; `tls` is `None` for plain HTTP.
    pub(crate) async fn dial(&self, to: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Dialed, BoxError> {
        timeout(CONNECT_TIMEOUT, self.connect(to, tls)).await.map_err(|_| "timed out while connecting")?
    }

    async fn connect(&self, to: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Dialed, BoxError> {
        let Some(tls) = tls else {
            return Ok(Dialed { stream: self.tcp(to).await?, is_http2: false });
        };
        let stream = match self.proxy.on_the_way(to) {
            Some(proxy) => self.tunnel(&proxy, to, tls).await?,
            None => self.tcp(to).await?,
        };
        handshake(stream, self.server_name.as_deref().unwrap_or(host(to)), Arc::clone(tls)).await
    }

    async fn tcp(&self, to: &Uri) -> Result<Box<dyn Stream>, BoxError> {
        Ok(Box::new(self.tcp.clone().call(to.clone()).await?.into_inner()))
    }

    /// Has `proxy` connect to `to` (RFC 9110 §9.3.6).
    async fn tunnel(&self, proxy: &Intercept, to: &Uri, tls: &Arc<ClientConfig>) -> Result<Box<dyn Stream>, BoxError> {
        let mut stream = self.tcp(proxy.uri()).await?;
        if proxy.uri().scheme() == Some(&Scheme::HTTPS) {
            let mut tls = ClientConfig::clone(tls);
            tls.alpn_protocols = vec![HTTP1.to_vec()];
            stream = handshake(stream, host(proxy.uri()), Arc::new(tls)).await?.stream;
        }
        let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let authority = format!("{}:{}", to.host().unwrap_or_default(), to.port_u16().unwrap_or(443));
        let mut request = Request::connect(&authority).header(HOST, &authority).body(Empty::new())?;
        if let Some(credentials) = proxy.basic_auth() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("the proxy at {} answers HTTP {}", proxy.uri(), response.status()).into());
        }
        Ok(Box::new(TokioIo::new(hyper::upgrade::on(response).await?)))
    }
}

fn connector() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // Elsewhere a peer that is gone is noticed by the caller's own limit.
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    tcp
}

async fn handshake(stream: Box<dyn Stream>, server_name: &str, tls: Arc<ClientConfig>) -> Result<Dialed, BoxError> {
    let name = ServerName::try_from(server_name.to_owned())?;
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok(Dialed { stream: Box::new(stream), is_http2 })
}

/// The host of a URI as a certificate names it: IPv6 without brackets.
fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_nobody_acknowledges_ends_in_time_for_another_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to: Uri = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let stream = connector().call(to).await.unwrap().into_inner();
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}
