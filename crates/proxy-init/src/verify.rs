//! Proof that the redirect works: a connection to the metadata address arrives here, with a number that only this
//! process knows.
//!
//! Sends the number to whoever answers at the metadata address, and nothing else.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Loopback takes microseconds. Much less than the kubelet's patience, much more than a busy node's delays.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why the redirect is not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "port {0} of this pod is in use already, so the proxy could not listen there: give the proxy another port \
         (--proxy-port or PROXY_PORT here, --proxy-port at azwi-proxy) or free this one"
    )]
    PortInUse(u16),
    #[error("cannot listen on 127.0.0.1:{0}, where the proxy is to listen: {1}")]
    Bind(u16, io::Error),
    #[error("the rules were accepted, but a connection to {metadata} is not redirected to port {port}: {reason}")]
    NotRedirected { metadata: SocketAddrV4, port: u16, reason: String },
}

/// Stands where the proxy will listen, before the rules are there.
#[derive(Debug)]
pub(crate) struct Witness {
    listener: TcpListener,
    port: u16,
}

impl Witness {
    /// Takes the proxy's port.
    pub(crate) fn bind(port: u16) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
            // Between poll and accept a connection may go away again.
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self { listener, port }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Error::PortInUse(port)),
            Err(error) => Err(Error::Bind(port, error)),
        }
    }

    /// Connects to the metadata address and exchanges random numbers with itself.
    pub(crate) fn verify(self, metadata: SocketAddrV4) -> Result<(), Error> {
        let port = self.port;
        self.exchange(metadata).map_err(|reason| Error::NotRedirected { metadata, port, reason: reason.to_string() })
    }

    fn exchange(&self, metadata: SocketAddrV4) -> io::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        let (question, answer) = (nonce(), nonce());
        // The kernel completes the handshake for a listener that has not accepted yet, so one thread is enough.
        let mut client = TcpStream::connect_timeout(&SocketAddr::V4(metadata), DEADLINE)?;
        client.write_all(&question)?;
        self.accept_until(deadline, &question)?.write_all(&answer)?;
        if receive(&mut client, deadline)? == answer {
            return Ok(());
        }
        Err(io::Error::other("somebody else answered"))
    }

    /// The connection that brings `question`; others may come, since the port is open to the whole pod.
    fn accept_until(&self, deadline: Instant, question: &Nonce) -> io::Result<TcpStream> {
        loop {
            self.wait_until(deadline)?;
            let Ok((mut connection, _)) = self.listener.accept() else { continue };
            connection.set_nonblocking(false)?;
            if receive(&mut connection, deadline).is_ok_and(|received| received == *question) {
                return Ok(connection);
            }
        }
    }

    fn wait_until(&self, deadline: Instant) -> io::Result<()> {
        let left = PollTimeout::try_from(remaining(deadline)?).map_err(io::Error::other)?;
        poll(&mut [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)], left)?;
        Ok(())
    }
}

type Nonce = [u8; 16];

fn nonce() -> Nonce {
    fastrand::u128(..).to_be_bytes()
}

fn receive(connection: &mut TcpStream, deadline: Instant) -> io::Result<Nonce> {
    let mut received = Nonce::default();
    connection.set_read_timeout(Some(remaining(deadline)?))?;
    connection.read_exact(&mut received)?;
    Ok(received)
}

/// At least a millisecond, which is as finely as poll(2) counts.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < Duration::from_millis(1) {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "somebody else was reached, or nobody"));
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_arrives_is_proof() {
        let witness = Witness::bind(0).unwrap();
        let SocketAddr::V4(address) = witness.listener.local_addr().unwrap() else { panic!("IPv4 was asked for") };
        witness.verify(address).unwrap();
    }

    #[test]
    fn other_connections_to_the_port_do_not_disturb_the_proof() {
        let witness = Witness::bind(0).unwrap();
        let address = witness.listener.local_addr().unwrap();
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let SocketAddr::V4(address) = address else { panic!("IPv4 was asked for") };
        witness.verify(address).unwrap();
    }

    #[test]
    fn a_connection_that_reaches_somebody_else_is_no_proof() {
        let somebody_else = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = somebody_else.local_addr().unwrap() else { panic!("IPv4 was asked for") };
        let error = Witness::bind(0).unwrap().verify(address).unwrap_err();
        assert!(matches!(error, Error::NotRedirected { .. }), "{error}");
    }

    #[test]
    fn a_port_in_use_is_told_apart() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(matches!(Witness::bind(port), Err(Error::PortInUse(named)) if named == port));
    }
}
