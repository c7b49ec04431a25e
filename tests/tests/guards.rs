//! What keeps the sidecar fast, as far as it can be told without a clock. `cargo xtask bench` looks at the clock.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use azwi_tests::stage::Stage;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// More than a listener queues unless it asks for more.
const CLIENTS: usize = 500;
/// A client that finds the queue full meets it, and no other: nobody accepts meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn five_hundred_clients_can_connect_while_the_sidecar_is_busy_with_something_else() -> Result<()> {
    let stage = Stage::new()?;
    kill(Pid::from_raw(stage.proxy.pid().try_into()?), Signal::SIGSTOP)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, stage.proxy.port()));
    let mut clients = Vec::new();
    for number in 1..=CLIENTS {
        let client = TcpStream::connect_timeout(&address, PATIENCE);
        clients.push(client.with_context(|| format!("client {number} of {CLIENTS}"))?);
    }
    Ok(())
}
