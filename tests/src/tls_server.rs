//! A TLS server of a test's own, and the authority that vouches for it: tells who asked it for what, under which name.
//!
//! Speaks HTTP/1.1 only, and answers every request alike.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context as _;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::Acceptor;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::{read_headers, read_line};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// One that nobody knows yet, called `name`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// What clients must trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `names`, ready to serve with.
    ///
    /// # Errors
    /// If one of them is no name.
    pub fn certify(&self, names: &[&str]) -> anyhow::Result<Arc<ServerConfig>> {
        let (certificate, key) = self.issue(names)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?))
    }

    /// A certificate for `names` and its key, as PEM text.
    ///
    /// # Errors
    /// If one of them is no name.
    pub fn certificate(&self, names: &[&str]) -> anyhow::Result<(String, String)> {
        let (certificate, key) = self.issue(names)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn issue(&self, names: &[&str]) -> anyhow::Result<(Certificate, KeyPair)> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate()?;
        Ok((CertificateParams::new(names)?.signed_by(&key, &self.issuer)?, key))
    }
}

/// An answer of Entra: an opaque token for an hour.
pub fn token_answer() -> String {
    let body = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"opaque"}"#;
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// What a proxy was asked to connect to, as `host:port`; empty if this is none.
    pub connect: String,
    /// The server name that the client asked for in TLS; empty for an address.
    pub server_name: String,
    /// The protocols that the client offered in TLS, separated by spaces.
    pub protocols: String,
    /// E.g. `POST / HTTP/1.1`.
    pub request_line: String,
    /// In the order in which they came.
    pub headers: Vec<(String, String)>,
    /// As long as `Content-Length` said.
    pub body: String,
}

impl Visit {
    /// The value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The form that was posted, decoded.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

/// A running server.
pub struct TlsServer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    answer: Box<dyn Fn(&Visit) -> String + Send + Sync>,
    is_proxy: bool,
    visits: Mutex<Vec<Visit>>,
}

impl TlsServer {
    /// Answers requests on a port of loopback with the bytes of `answer`.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start(config: Arc<ServerConfig>, answer: &str) -> anyhow::Result<Self> {
        Self::serve(config, always(answer), false)
    }

    /// Answers each request with what `answer` makes of it.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start_with(
        config: Arc<ServerConfig>,
        answer: impl Fn(&Visit) -> String + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Self::serve(config, Box::new(answer), false)
    }

    /// An HTTP proxy that pretends to be whatever host it is to connect to, and then answers itself.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start_behind_connect(config: Arc<ServerConfig>, answer: &str) -> anyhow::Result<Self> {
        Self::serve(config, always(answer), true)
    }

    fn serve(
        config: Arc<ServerConfig>,
        answer: Box<dyn Fn(&Visit) -> String + Send + Sync>,
        is_proxy: bool,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (config, visits) = (Mutex::new(config), Mutex::default());
        let shared = Arc::new(Shared { config, answer, is_proxy, visits });
        let server = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // Ends with an error when the client goes away, or does not trust us.
                thread::spawn(move || shared.connection(stream));
            }
        });
        Ok(server)
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has been asked.
    pub fn visits(&self) -> Vec<Visit> {
        lock(&self.shared.visits).clone()
    }

    /// Serves new connections with another certificate.
    pub fn replace_certificate(&self, config: Arc<ServerConfig>) {
        *lock(&self.shared.config) = config;
    }
}

impl Shared {
    fn connection(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        let mut visit = Visit::default();
        if self.is_proxy {
            visit.connect = accept_connect(&mut stream)?;
        }
        let stream = self.accept_tls(stream, &mut visit)?;
        let mut wire = BufReader::new(stream);
        loop {
            visit.request_line = read_line(&mut wire)?;
            visit.headers = read_headers(&mut wire)?;
            let length = visit.header("Content-Length").unwrap_or("0").parse()?;
            let mut body = vec![0; length];
            wire.read_exact(&mut body)?;
            visit.body = String::from_utf8(body)?;
            lock(&self.visits).push(visit.clone());
            wire.get_mut().write_all((self.answer)(&visit).as_bytes())?;
        }
    }

    fn accept_tls(
        &self,
        mut stream: TcpStream,
        visit: &mut Visit,
    ) -> anyhow::Result<StreamOwned<ServerConnection, TcpStream>> {
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            acceptor.read_tls(&mut stream)?;
            if let Some(accepted) = acceptor.accept().map_err(|(error, _alert)| error)? {
                break accepted;
            }
        };
        let hello = accepted.client_hello();
        hello.server_name().unwrap_or_default().clone_into(&mut visit.server_name);
        let protocols = hello.alpn().into_iter().flatten().map(|name| String::from_utf8_lossy(name).into_owned());
        visit.protocols = protocols.collect::<Vec<_>>().join(" ");
        let config = Arc::clone(&lock(&self.config));
        let connection = accepted.into_connection(config).map_err(|(error, _alert)| error)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

fn always(answer: &str) -> Box<dyn Fn(&Visit) -> String + Send + Sync> {
    let answer = answer.to_owned();
    Box::new(move |_| answer.clone())
}

/// Reads a CONNECT request and agrees; returns its target.
fn accept_connect(stream: &mut TcpStream) -> anyhow::Result<String> {
    // Nothing is lost with this buffer: the client waits for the answer.
    let mut wire = BufReader::new(&mut *stream);
    let line = read_line(&mut wire)?;
    read_headers(&mut wire)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let target = line.strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    Ok(target.context("not a CONNECT request")?.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
