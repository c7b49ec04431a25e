//! A proxy that listens already, because the pod's order is another or its containers were restarted: it vouches for the
//! redirect in this program's place, by its answer to `/readyz`.
//!
//! Whether it is ready is its own probe's question, not asked here.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// Much longer than a proxy takes that lives.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 * 1024;

/// Whether what answers there is an azwi proxy: `ok` if it is ready, else JSON that says why not.
pub(crate) fn is_proxy(address: SocketAddrV4) -> io::Result<bool> {
    Ok(is_readiness(&ask(address)?))
}

fn ask(address: SocketAddrV4) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&SocketAddr::V4(address), PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_readiness(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let is = |status: &str| head.split(' ').nth(1) == Some(status);
    let reasons =
        || serde_json::from_str::<serde_json::Value>(body).is_ok_and(|body| body.get("ready") == Some(&false.into()));
    is("200") && body == "ok" || is("503") && reasons()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_or_not_a_proxy_is_one() {
        assert!(is_readiness("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        assert!(is_readiness("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false,\"reasons\":[\"no token\"]}"));
    }

    #[test]
    fn other_servers_are_none() {
        for answer in ["", "ok", "HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 404 Not Found\r\n\r\nok"] {
            assert!(!is_readiness(answer), "{answer}");
        }
    }
}
