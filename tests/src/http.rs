//! HTTP as it lies on the wire: bytes out, bytes in. No client library smooths over what an app would see.

use std::io::{BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, ToSocketAddrs};
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
    /// Reads one answer, which must have a `Content-Length`.
    ///
    /// # Errors
    /// If `wire` ends before, or what comes is not HTTP.
    pub fn read(wire: &mut impl BufRead) -> anyhow::Result<Self> {
        let (status, reason) = read_status_line(wire)?;
        let mut response = Self { status, reason, headers: read_headers(wire)?, body: String::new() };
        let length = response.header("Content-Length").context("no Content-Length")?.parse()?;
        let mut body = vec![0; length];
        wire.read_exact(&mut body).context("the body is cut short")?;
        response.body = String::from_utf8(body)?;
        Ok(response)
    }

    /// E.g. `400 Bad Request`.
    pub fn status_line(&self) -> String {
        format!("{} {}", self.status, self.reason)
    }

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
        Self::to((Ipv4Addr::LOCALHOST, port))
    }

    /// Connects to anybody.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn to(address: impl ToSocketAddrs) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
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
        Response::read(&mut self.0)
    }

    /// Whether the peer has neither ended the connection nor said anything so far.
    ///
    /// # Errors
    /// If the connection was reset.
    pub fn is_open(&mut self) -> anyhow::Result<bool> {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        match peeked {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the peer ends the connection; whatever it still sends is returned.
    ///
    /// # Errors
    /// If it does not within half a minute.
    pub fn until_closed(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error.into()),
            _ => Ok(rest),
        }
    }
}

fn read_status_line(wire: &mut impl BufRead) -> anyhow::Result<(u16, String)> {
    let line = read_line(wire)?;
    let (_version, rest) = line.split_once(' ').with_context(|| format!("not HTTP: {line:?}"))?;
    let (status, reason) = rest.split_once(' ').context("no reason phrase")?;
    Ok((status.parse()?, reason.to_owned()))
}

pub(crate) fn read_headers(wire: &mut impl BufRead) -> anyhow::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(wire)?;
        match line.split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None if line.is_empty() => return Ok(headers),
            None => bail!("not a header: {line:?}"),
        }
    }
}

pub(crate) fn read_line(wire: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    if wire.read_line(&mut line)? == 0 {
        bail!("the connection ended without an answer");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> anyhow::Result<Response> {
        Response::read(&mut answer.as_bytes())
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 13\r\nretry-after: 5\r\n\r\n{\"error\":\"x\"}next";
        let response = read(answer).unwrap();
        assert_eq!((response.status, response.status_line().as_str()), (400, "400 Bad Request"));
        assert_eq!(response.header("Retry-After"), Some("5"));
        assert_eq!(response.field("error"), "x");
    }

    #[test]
    fn what_is_not_http_or_is_cut_short_is_no_answer() {
        for broken in ["", "hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"] {
            assert!(read(broken).is_err(), "{broken:?}");
        }
    }
}
