//! Whoever hoards connections to the webhook keeps no API server out.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use azwi_tests::api_server::{Accounts, ApiServer};
use azwi_tests::lone_webhook::{LoneWebhook, server_name};
use azwi_tests::process::allow_many_files;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// As many as the webhook has at once.
const MOST: usize = 512;
/// Longer than anything here takes; only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(30);

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn connect(port: u16, tls: &Arc<ClientConfig>) -> Result<Connection> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::clone(tls), server_name()?)?, stream))
}

/// Sends a request and returns the status of the answer, and leaves the connection open.
fn ask(connection: &mut Connection) -> Result<String> {
    connection.write_all(b"GET /nothing HTTP/1.1\r\nHost: webhook\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    let head = String::from_utf8(answer)?;
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// Whether the webhook has closed it.
fn is_closed(connection: &mut Connection) -> bool {
    match connection.sock.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_further_connection_takes_the_place_of_the_one_that_was_idle_for_longest() -> Result<()> {
    allow_many_files()?;
    let webhook = LoneWebhook::spawn(ApiServer::start(Accounts { all: 1, annotated: 1 })?)?.until_ready()?;
    let tls = webhook.tls()?;
    let mut hoard = Vec::new();
    for _ in 0..MOST {
        let mut connection = connect(webhook.port(), &tls)?;
        assert_eq!(ask(&mut connection)?, "404");
        hoard.push(connection);
    }
    // The first has been used since, so the second was idle for longest.
    let [first, second, third, ..] = hoard.as_mut_slice() else { anyhow::bail!("too few connections") };
    assert_eq!(ask(first)?, "404");
    assert_eq!(ask(&mut connect(webhook.port(), &tls)?)?, "404");
    assert!(is_closed(second));
    assert_eq!((ask(first)?, ask(third)?), ("404".to_owned(), "404".to_owned()));
    Ok(())
}
