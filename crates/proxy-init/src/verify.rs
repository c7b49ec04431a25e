//! Proof that the redirect works: a connection to the metadata address arrives where the proxy listens, or will.
//!
//! Usually nobody listens there yet; then this process does, and what arrives is a number that only it knows. A proxy
//! that listens already is asked whether it is one. Sends the numbers to whoever answers at the metadata address, and
//! nothing else.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Uid, setfsuid};

use crate::plan::Plan;
use crate::running::is_proxy;

/// Loopback takes microseconds. Much less than the kubelet's patience, much more than a busy node's delays.
const DEADLINE: Duration = Duration::from_secs(2);
/// For the real metadata service, which need not be there, and for strangers that connect and say nothing.
const SHORT: Duration = Duration::from_millis(100);

/// Why the redirect is not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "port {0} of this pod is in use already, and not by an azwi proxy, which could not listen there: give the proxy \
         another port (--proxy-port or PROXY_PORT here, --proxy-port at azwi-proxy) or free this one"
    )]
    PortInUse(u16),
    #[error("cannot listen on 127.0.0.1:{0}, where the proxy is to listen: {1}")]
    Bind(u16, io::Error),
    #[error("the rules were accepted, but a connection to {metadata} is not redirected to port {port}: {reason}")]
    NotRedirected { metadata: SocketAddrV4, port: u16, reason: io::Error },
    #[error(
        "the packet filter of this pod stops connections to 127.0.0.1:{0}, where the redirect leads, or somebody else's \
         rules lead them elsewhere: allow them in the table filter, whose chain OUTPUT may have the policy DROP, by their \
         destination, since `-o lo` does not match what is redirected, or see who else redirects"
    )]
    Filtered(u16),
    #[error("the rules were accepted, but connections of user {0}, the proxy's own, are redirected too")]
    NotExempt(u32),
}

/// What was shown beside the redirect itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exemption {
    /// The rule is there; nobody here may act as the proxy's user.
    ByRule,
    /// A connection of the proxy's user did not arrive at the proxy.
    ByConnection,
}

/// Who sees what arrives at the proxy's port.
#[derive(Debug)]
pub(crate) enum Witness {
    /// This process, in the place of a proxy that comes later.
    Listener(TcpListener),
    /// A proxy that listens already.
    Proxy,
}

impl Witness {
    /// Takes the proxy's port, or finds the proxy there.
    pub(crate) fn find(port: u16) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
            // Between poll and accept a connection may go away again.
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self::Listener(listener)),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(Error::Bind(port, error)),
            Err(_) if is_proxy(loopback(port)).unwrap_or(false) => Ok(Self::Proxy),
            Err(_) => Err(Error::PortInUse(port)),
        }
    }

    /// Connects to the metadata address and sees who is there.
    pub(crate) fn verify(self, plan: Plan) -> Result<Exemption, Error> {
        let verified = match &self {
            Self::Listener(listener) => exchange(listener, plan),
            Self::Proxy => recognise(plan.metadata),
        };
        verified.map_err(|failure| match failure {
            Failure::Dropped => Error::Filtered(plan.proxy_port),
            Failure::Exchange(_) if is_filtered(plan.proxy_port) => Error::Filtered(plan.proxy_port),
            Failure::Exchange(reason) => {
                Error::NotRedirected { metadata: plan.metadata, port: plan.proxy_port, reason }
            }
            Failure::NotExempt => Error::NotExempt(plan.proxy_uid),
        })
    }
}

enum Failure {
    /// Nobody has taken the connection and nobody has refused it, while somebody listens where it is led to.
    Dropped,
    Exchange(io::Error),
    NotExempt,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Exchange(error)
    }
}

fn dropped(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::TimedOut { Failure::Dropped } else { Failure::Exchange(error) }
}

fn loopback(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// Whether not even a connection without any redirect gets through, while somebody listens.
fn is_filtered(port: u16) -> bool {
    TcpStream::connect_timeout(&loopback(port).into(), DEADLINE).is_err()
}

fn recognise(metadata: SocketAddrV4) -> Result<Exemption, Failure> {
    if is_proxy(metadata).map_err(dropped)? {
        return Ok(Exemption::ByRule);
    }
    Err(io::Error::other("somebody else answered, not the proxy that listens there").into())
}

/// Exchanges random numbers with itself. As the proxy's user it connects first: what has arrived has done so before the
/// other does.
fn exchange(listener: &TcpListener, plan: Plan) -> Result<Exemption, Failure> {
    let deadline = Instant::now() + DEADLINE;
    let (question, answer, exempt) = (nonce(), nonce(), nonce());
    let exemption = connect_as(plan.proxy_uid, plan.metadata, &exempt);
    // The kernel completes the handshake for a listener that has not accepted yet, so one thread is enough.
    let mut client = TcpStream::connect_timeout(&SocketAddr::V4(plan.metadata), DEADLINE).map_err(dropped)?;
    client.write_all(&question)?;
    accept_until(listener, deadline, &question, &exempt)?.write_all(&answer)?;
    if receive(&mut client, deadline)? == answer {
        return Ok(exemption);
    }
    Err(io::Error::other("somebody else answered").into())
}

/// Says `number` to whoever answers `uid`, if this process may act as that user, which takes `CAP_SETUID`.
///
/// setfsuid(2) is about files, and a socket is one: its owner, whom the packet filter asks for, is this user. It holds
/// for the calling thread only, and so does not touch what else a process is.
fn connect_as(uid: u32, address: SocketAddrV4, number: &Nonce) -> Exemption {
    let proxy = Uid::from_raw(uid);
    let own = setfsuid(proxy);
    // Whether it worked is told by who it was at the next call.
    let exemption = if setfsuid(proxy) == proxy {
        let connection = TcpStream::connect_timeout(&SocketAddr::V4(address), SHORT);
        // Nobody may be there, or somebody who does not listen: neither is the proxy.
        drop(connection.and_then(|mut connection| connection.write_all(number)));
        Exemption::ByConnection
    } else {
        Exemption::ByRule
    };
    setfsuid(own);
    exemption
}

/// The connection that brings `question`, unless one that brings `exempt` comes before it. Others may come too, since
/// the port is open to the whole pod.
fn accept_until(
    listener: &TcpListener,
    deadline: Instant,
    question: &Nonce,
    exempt: &Nonce,
) -> Result<TcpStream, Failure> {
    loop {
        wait_until(listener, deadline)?;
        let Ok((mut connection, _)) = listener.accept() else { continue };
        connection.set_nonblocking(false)?;
        // Ours have spoken before they are accepted.
        match receive(&mut connection, deadline.min(Instant::now() + SHORT)) {
            Ok(received) if received == *question => return Ok(connection),
            Ok(received) if received == *exempt => return Err(Failure::NotExempt),
            _ => {}
        }
    }
}

fn wait_until(listener: &TcpListener, deadline: Instant) -> io::Result<()> {
    let left = PollTimeout::try_from(remaining(deadline)?).map_err(io::Error::other)?;
    poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], left)?;
    Ok(())
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

    /// A listener on a port of its own and a plan that leads there without any redirect.
    fn scene() -> (TcpListener, Plan) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let proxy_port = listener.local_addr().unwrap().port();
        // A user that nobody can become, so that there is one connection only.
        (listener, Plan { metadata: loopback(proxy_port), proxy_port, proxy_uid: u32::MAX })
    }

    #[test]
    fn a_connection_that_arrives_is_proof() {
        let (listener, plan) = scene();
        assert_eq!(Witness::Listener(listener).verify(plan).unwrap(), Exemption::ByRule);
    }

    #[test]
    fn other_connections_to_the_port_do_not_disturb_the_proof() {
        let (listener, plan) = scene();
        let mut talker = TcpStream::connect(plan.metadata).unwrap();
        talker.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _silent = TcpStream::connect(plan.metadata).unwrap();
        Witness::Listener(listener).verify(plan).unwrap();
    }

    #[test]
    fn a_connection_that_reaches_somebody_else_is_no_proof() {
        let (_somebody_else, elsewhere) = scene();
        let (listener, plan) = scene();
        let error = Witness::Listener(listener).verify(Plan { metadata: elsewhere.metadata, ..plan }).unwrap_err();
        assert!(matches!(error, Error::NotRedirected { .. }), "{error}");
    }

    #[test]
    fn a_connection_of_the_proxys_user_that_arrives_is_told_apart() {
        let (listener, plan) = scene();
        // Nothing is redirected here, so whoever connects arrives; everybody may act as who they are.
        let own = nix::unistd::geteuid().as_raw();
        let error = Witness::Listener(listener).verify(Plan { proxy_uid: own, ..plan }).unwrap_err();
        assert!(matches!(error, Error::NotExempt(uid) if uid == own), "{error}");
    }

    #[test]
    fn a_port_that_no_proxy_holds_is_told_apart() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let refuser = std::thread::spawn(move || taken.accept().map(drop));
        assert!(matches!(Witness::find(port), Err(Error::PortInUse(named)) if named == port));
        refuser.join().unwrap().unwrap();
    }
}
