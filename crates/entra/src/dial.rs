//! One connection: TCP, through an HTTP proxy where the environment names one, then TLS.
//!
//! `HTTPS_PROXY` and `NO_PROXY` count for `https` only: `http` is an emulator on loopback.

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
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

/// TCP, proxy and TLS together; a healthy Entra needs a tenth of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
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
    proxies: Matcher,
}

impl Dialer {
    /// Servers must prove to be `server_name`, or else the host that is dialed.
    pub(crate) fn new(server_name: Option<String>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self { server_name, tcp, proxies: Matcher::from_env() }
    }

    /// Connects to the host and port of `to`; `tls` is `None` for plain HTTP.
    pub(crate) async fn dial(&self, to: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Dialed, BoxError> {
        timeout(CONNECT_TIMEOUT, self.connect(to, tls)).await.map_err(|_| "timed out while connecting")?
    }

    async fn connect(&self, to: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Dialed, BoxError> {
        let Some(tls) = tls else {
            return Ok(Dialed { stream: self.tcp(to).await?, is_http2: false });
        };
        let stream = match self.proxies.intercept(to) {
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

/// Whether `HTTPS_PROXY` may hold this: what is no URL of a proxy would be ignored without a word.
pub fn is_proxy_url(value: &str) -> bool {
    let proxies = Matcher::builder().https(value).build();
    let proxy = proxies.intercept(&Uri::from_static("https://login.microsoftonline.com"));
    proxy.is_some_and(|proxy| [Some("http"), Some("https")].contains(&proxy.uri().scheme_str()))
}

#[cfg(test)]
mod tests {
    use super::is_proxy_url;

    #[test]
    fn a_proxy_is_an_http_url_and_nothing_else() {
        for good in ["http://proxy.example:3128", "https://user:secret@proxy.example", "proxy.example:3128"] {
            assert!(is_proxy_url(good), "{good}");
        }
        for bad in ["", "http://user:hunter2@:::", "socks5://proxy.example", "ftp://proxy.example"] {
            assert!(!is_proxy_url(bad), "{bad}");
        }
    }
}
