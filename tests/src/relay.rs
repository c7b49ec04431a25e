//! A stretch of network between two processes, for tests of what happens when it fails.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes connections on to a port on loopback, or to several in turn, as a Service does.
pub struct Relay {
    port: u16,
    upstreams: Arc<Mutex<VecDeque<u16>>>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

struct Connection {
    ends: [TcpStream; 2],
    is_dead: Arc<AtomicBool>,
}

impl Relay {
    /// To `upstream`.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start(upstream: u16) -> anyhow::Result<Self> {
        let relay = Self::start_without()?;
        relay.lead_to(&[upstream]);
        Ok(relay)
    }

    /// To nowhere yet: connections end at once.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start_without() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let connections: Arc<Mutex<Vec<Connection>>> = Arc::default();
        let all = Arc::clone(&connections);
        let upstreams: Arc<Mutex<VecDeque<u16>>> = Arc::default();
        let next = Arc::clone(&upstreams);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Some(upstream) = in_turn(&next) else { continue };
                if let Ok(connection) = connect(client, upstream) {
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                }
            }
        });
        Ok(Self { port, upstreams, connections })
    }

    /// Leads new connections there. Those there are stay.
    pub fn lead_to(&self, upstreams: &[u16]) {
        *self.upstreams.lock().unwrap_or_else(PoisonError::into_inner) = upstreams.iter().copied().collect();
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.lock().len()
    }

    /// Loses all that is still sent over the connections there are, without a word to either end. New ones are fine.
    pub fn black_hole(&self) {
        for connection in self.lock().iter() {
            connection.is_dead.store(true, Ordering::SeqCst);
        }
    }

    /// Ends the connections there are. New ones are fine.
    pub fn cut(&self) {
        for end in self.lock().iter().flat_map(|connection| &connection.ends) {
            // Fails only if it has ended by itself.
            drop(end.shutdown(Shutdown::Both));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_turn(upstreams: &Mutex<VecDeque<u16>>) -> Option<u16> {
    let mut upstreams = upstreams.lock().unwrap_or_else(PoisonError::into_inner);
    let next = upstreams.pop_front()?;
    upstreams.push_back(next);
    Some(next)
}

fn connect(client: TcpStream, upstream: u16) -> std::io::Result<Connection> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
    let is_dead = Arc::new(AtomicBool::new(false));
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (from, to, is_dead) = (from.try_clone()?, to.try_clone()?, Arc::clone(&is_dead));
        thread::spawn(move || pass_on(from, to, &is_dead));
    }
    Ok(Connection { ends: [client, server], is_dead })
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, is_dead: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let chunk = buffer.get(..length).unwrap_or_default();
        if !is_dead.load(Ordering::SeqCst) && to.write_all(chunk).is_err() {
            return;
        }
    }
    if !is_dead.load(Ordering::SeqCst) {
        drop(to.shutdown(Shutdown::Write));
    }
}
