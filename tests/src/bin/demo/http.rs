//! One plain HTTP request, as an app without any library makes it.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Longer than a sidecar may take; only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a GET with `headers` (`Name: value`) and copies the whole answer to stdout.
pub(crate) fn get(url: &str, headers: &[&str]) -> anyhow::Result<()> {
    let (host, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("not an http:// URL")?;
    let mut connection = TcpStream::connect((host, 80)).with_context(|| format!("cannot connect to {host}:80"))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let (request, host) = (format!("GET /{path} HTTP/1.1"), format!("Host: {host}"));
    let lines = [&[request.as_str(), host.as_str(), "Connection: close"], headers, &["\r\n"]].concat().join("\r\n");
    connection.write_all(lines.as_bytes())?;
    io::copy(&mut connection, &mut io::stdout())?;
    Ok(())
}

/// An answer as it was read off the wire.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// Understands what [`get`] has copied; the body must be JSON.
    pub(crate) fn parse(answer: &str) -> anyhow::Result<Self> {
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("no HTTP answer: {answer:?}") };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP status")?;
        let body = serde_json::from_str(body).with_context(|| format!("the body is not JSON: {body:?}"))?;
        Ok(Self { status, head: head.to_owned(), body })
    }

    /// E.g. `200 OK`.
    pub(crate) fn status_line(&self) -> &str {
        self.head.lines().next().and_then(|line| line.split_once(' ')).map_or("", |(_, status)| status)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = Answer::parse("HTTP/1.1 400 Bad Request\r\nretry-after: 5\r\n\r\n{\"error\":\"x\"}").unwrap();
        assert_eq!((answer.status, answer.status_line()), (400, "400 Bad Request"));
        assert_eq!(answer.header("Retry-After"), Some("5"));
        assert_eq!(answer.body["error"], "x");
    }

    #[test]
    fn what_is_not_http_is_no_answer() {
        assert!(Answer::parse("hello").is_err());
    }
}
