//! `probe listen ADDRESS NAME` answers every TCP connection with NAME; `probe connect ADDRESS` prints what it is told:
//! the two ends by which a test sees where a connection really lands. `probe silence ADDRESS` takes datagrams and answers
//! none, as a name server that is out of order.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Far longer than loopback ever takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than any resolver waits before it asks again.
const SILENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["listen", address, name] => listen(address.parse()?, name),
        ["connect", address] => connect(address.parse()?),
        ["silence", address] => silence(address.parse()?),
        _ => bail!("usage: probe listen ADDRESS:PORT NAME | probe connect ADDRESS:PORT | probe silence ADDRESS:PORT"),
    }
}

/// Says `listening` when connections can come. Never returns by itself.
fn listen(address: SocketAddr, name: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening")?;
    stdout.flush()?;
    for connection in listener.incoming() {
        connection?.write_all(name.as_bytes())?;
    }
    Ok(())
}

/// Says `listening`, then `asked` for every datagram. Gives up when none comes for a while.
fn silence(address: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    socket.set_read_timeout(Some(SILENCE))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening")?;
    loop {
        stdout.flush()?;
        socket.recv(&mut [0; 512]).context("was asked nothing")?;
        writeln!(stdout, "asked")?;
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut told = String::new();
    connection.read_to_string(&mut told).context("was told nothing")?;
    io::stdout().write_all(told.as_bytes())?;
    Ok(())
}
