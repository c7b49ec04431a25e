//! HTTP as it lies on the wire: bytes out, bytes in. No client library smooths over what an app would see.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Longer than any answer may take; only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an app sends to IMDS.
pub const METADATA: &str = "Metadata: true";

/// An answer, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// E.g. 400.
    pub status: u16,
    /// E.g. `Bad Request`.
    pub reason: String,
    /// In the order in which they came.
    pub headers: Vec<(String, String)>,
    /// As long as `Content-Length` said.
    pub body: String,
}

impl Response {
    /// The value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A string field of a JSON body; empty if absent.
    pub fn field(&self, name: &str) -> String {
        self.json().get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects to a port on loopback.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the peer is gone.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.get_mut().write_all(bytes)?)
    }

    /// Sends a request with `headers` (`Name: value`).
    ///
    /// # Errors
    /// If the peer is gone.
    pub fn request(&mut self, method: &str, target: &str, headers: &[&str]) -> anyhow::Result<()> {
        let request_line = format!("{method} {target} HTTP/1.1");
        let head = [request_line.as_str(), "Host: 169.254.169.254"];
        let lines: Vec<_> = head.iter().chain(headers).chain(&["\r\n"]).copied().collect();
        self.send(lines.join("\r\n").as_bytes())
    }

    /// Reads one answer, which must have a `Content-Length`.
    ///
    /// # Errors
    /// If the connection ends before, or what comes is not HTTP.
    pub fn response(&mut self) -> anyhow::Result<Response> {
        let status_line = self.line()?;
        let (_version, rest) = status_line.split_once(' ').with_context(|| format!("not HTTP: {status_line:?}"))?;
        let (status, reason) = rest.split_once(' ').context("no reason phrase")?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None if line.is_empty() => break,
                None => bail!("not a header: {line:?}"),
            }
        }
        let mut response =
            Response { status: status.parse()?, reason: reason.to_owned(), headers, body: String::new() };
        let length: usize = response.header("Content-Length").context("no Content-Length")?.parse()?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        response.body = String::from_utf8(body)?;
        Ok(response)
    }

    /// Waits until the peer ends the connection; whatever it still sends is returned.
    ///
    /// # Errors
    /// If it does not within half a minute.
    pub fn until_closed(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
            _ => Ok(rest),
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the connection ended without an answer");
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// If there is no answer.
pub fn ask(port: u16, method: &str, target: &str, headers: &[&str]) -> anyhow::Result<Response> {
    let mut connection = Connection::open(port)?;
    connection.request(method, target, headers)?;
    connection.response()
}
