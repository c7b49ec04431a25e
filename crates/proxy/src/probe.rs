//! `--probe`: asks a running sidecar whether it is ready, as a postStart hook or startup probe.
//!
//! Retries until its deadline, since the container may be asked before its listener is bound.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

const REQUEST: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Between tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 * 1024;

/// Asks the sidecar on `port` until it is ready or `patience` ends.
///
/// # Errors
/// The last answer's reasons, or why there was none.
pub(crate) async fn probe(port: u16, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let mut last = format!("nothing answered on 127.0.0.1:{port}");
    loop {
        match timeout_at(deadline, ask(port)).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => return Ok(()),
            Ok(Ok(answer)) => last = reasons(&answer),
            Ok(Err(error)) => last = format!("127.0.0.1:{port}: {error}"),
            Err(_) => return Err(last),
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}

async fn ask(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn reasons(answer: &str) -> String {
    answer.split_once("\r\n\r\n").map_or(answer, |(_head, body)| body).trim().to_owned()
}
