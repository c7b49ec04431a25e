//! The load: connections that each send the next request as soon as they have the last answer.
//!
//! One thread on one core, raw sockets, no parsing beyond the first answer's length: it must cost less than the least
//! that a server can cost, or it would measure itself.

mod wire;

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use self::wire::Wire;
pub(crate) use self::wire::{Address, Tls};
use crate::statistics::percentile;

/// Longer than any answer may take; only a hang meets it.
const PATIENCE_MS: u16 = 30_000;
/// Answers that are taken note of at a time.
const EVENTS: usize = 64;
/// More than an answer has bytes.
const BUFFER: usize = 64 * 1024;
const GOOD: &[u8] = b"HTTP/1.1 200 ";

/// What came of some requests.
pub(crate) struct Run {
    /// From the first request to the last answer.
    pub wall: Duration,
    /// From request to whole answer, in nanoseconds, sorted.
    latencies: Vec<u64>,
}

impl Run {
    /// That so many of a thousand did not exceed.
    pub(crate) fn percentile(&self, per_mille: usize) -> Duration {
        Duration::from_nanos(percentile(&self.latencies, per_mille))
    }
}

/// Connections to one server. All answers must have the same length.
pub(crate) struct Load<'a> {
    address: Address<'a>,
    /// Sent in turn, over and over.
    requests: &'a [Vec<u8>],
    next: usize,
    clients: Vec<Client>,
    epoll: Epoll,
    length: Option<usize>,
    buffer: Vec<u8>,
}

impl<'a> Load<'a> {
    /// Nobody yet.
    pub(crate) fn new(address: impl Into<Address<'a>>, requests: &'a [Vec<u8>]) -> anyhow::Result<Self> {
        ensure!(!requests.is_empty(), "no request to send");
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            address: address.into(),
            requests,
            next: 0,
            clients: Vec::new(),
            epoll,
            length: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// One request on each of so many new connections, all at once. Connecting counts.
    pub(crate) fn burst(&mut self, connections: usize) -> anyhow::Result<Run> {
        let started = Instant::now();
        let first = self.clients.len();
        for index in first..first + connections {
            let now = Instant::now();
            let client = Client::open(self.address)?;
            self.epoll.add(client.wire.socket(), EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            self.clients.push(client);
            self.send(index, now)?;
        }
        self.collect(started, connections, connections)
    }

    /// One request at a time on one new connection.
    pub(crate) fn one_after_another(&mut self, requests: usize) -> anyhow::Result<()> {
        self.burst(1)?;
        if requests > 1 {
            self.run(requests - 1)?;
        }
        Ok(())
    }

    /// So many requests over all connections that there are.
    pub(crate) fn run(&mut self, requests: usize) -> anyhow::Result<Run> {
        let started = Instant::now();
        for index in 0..self.clients.len() {
            self.send(index, started)?;
        }
        self.collect(started, self.clients.len(), requests)
    }

    /// Takes answers and replaces each by another request, until `wanted` are there of which `sent` are under way.
    fn collect(&mut self, started: Instant, mut sent: usize, wanted: usize) -> anyhow::Result<Run> {
        let mut latencies = Vec::with_capacity(wanted);
        let mut events = [EpollEvent::empty(); EVENTS];
        while latencies.len() < sent {
            let ready = self.epoll.wait(&mut events, PATIENCE_MS)?;
            ensure!(ready > 0, "{} answers of {wanted} are missing", wanted - latencies.len());
            for event in events.iter().take(ready) {
                let index = usize::try_from(event.data())?;
                let Some(latency) = self.receive(index)? else { continue };
                latencies.push(u64::try_from(latency.as_nanos())?);
                if sent < wanted {
                    self.send(index, Instant::now())?;
                    sent += 1;
                }
            }
        }
        let wall = started.elapsed();
        latencies.sort_unstable();
        Ok(Run { wall, latencies })
    }

    fn send(&mut self, index: usize, now: Instant) -> anyhow::Result<()> {
        let request = self.requests.get(self.next % self.requests.len()).context("no request to send")?;
        self.next += 1;
        let client = self.clients.get_mut(index).context("no such connection")?;
        client.sent = now;
        client.received = 0;
        Ok(client.wire.write_all(request)?)
    }

    /// How long the answer took, once it is whole.
    fn receive(&mut self, index: usize) -> anyhow::Result<Option<Duration>> {
        let client = self.clients.get_mut(index).context("no such connection")?;
        let read = match client.wire.read(&mut self.buffer) {
            Ok(0) => bail!("the server ended a connection"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            read => read?,
        };
        let bytes = self.buffer.get(..read).unwrap_or_default();
        if client.received == 0 {
            ensure!(bytes.starts_with(GOOD), "not what was asked for: {}", String::from_utf8_lossy(bytes));
        }
        client.received += read;
        let length = match self.length {
            Some(length) => length,
            None => *self.length.insert(length(bytes).context("an answer without a length")?),
        };
        ensure!(client.received <= length, "an answer is longer than the first");
        Ok((client.received == length).then(|| client.sent.elapsed()))
    }
}

/// A connection, and the request that is under way on it.
struct Client {
    wire: Wire,
    sent: Instant,
    received: usize,
}

impl Client {
    fn open(address: Address<'_>) -> anyhow::Result<Self> {
        let wire = address.connect()?;
        wire.socket().set_nonblocking(true)?;
        Ok(Self { wire, sent: Instant::now(), received: 0 })
    }
}

/// Of a whole answer, from its head.
fn length(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let named = head.lines().filter_map(|line| line.split_once(": "));
    let (_, body) = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(head.len() + 4 + body.parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_an_answer_is_that_of_its_head_and_its_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1600\r\nX: y\r\n\r\n";
        assert_eq!(length(format!("{head}{{").as_bytes()), Some(head.len() + 1600));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
