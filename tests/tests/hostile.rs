//! Clients that mean harm. What a good one notices of a thousand of them is shown by `release/hostile.rs`.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use azwi_tests::http::Connection;
use azwi_tests::process::allow_many_files;
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::Stage;

const REQUEST: &str = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/ \
     HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n";

fn resident_kib(proxy: &Proxy) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", proxy.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Sends requests, reads nothing, and returns once no more can be sent.
fn stuff(proxy: &Proxy) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    loop {
        match stream.write_all(REQUEST.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(stream),
            Err(error) => return Err(error.into()),
        }
    }
}

#[test]
fn a_client_that_never_reads_is_left_after_ten_seconds_and_holds_little_memory_till_then() -> Result<()> {
    const CLIENTS: usize = 50;
    let stage = Stage::new()?;
    assert_eq!(stage.token()?.status, 200);
    let before = resident_kib(&stage.proxy)?;
    let started = Instant::now();
    let stuffed: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| stuff(&stage.proxy))).collect();
        clients.into_iter().map(|client| client.join().expect("a thread")).collect::<Result<_>>()
    })?;
    let each = resident_kib(&stage.proxy)?.saturating_sub(before) / CLIENTS as u64;
    assert!(each < 100, "{each} KiB");
    for mut stream in stuffed {
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        let left = (0..).find_map(|_| stream.write_all(REQUEST.as_bytes()).err()).context("for ever")?;
        assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&left.kind()), "{left}");
    }
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn where_clients_take_the_last_file_the_idle_ones_make_way() -> Result<()> {
    // Fewer than the connections there is room for.
    let proxy = Proxy::start_with_few_files(24, &[], &[])?;
    let mut idle: Vec<_> = (0..40).map(|_| proxy.connect()).collect::<Result<_>>()?;
    proxy.log.wait_for(&[("message", "a connection could not be accepted")]).context("no accept failed")?;
    assert_eq!(proxy.ask("GET", "/livez", &[])?.body, "ok");
    idle.first_mut().context("no connection")?.until_closed()?;
    Ok(())
}

#[test]
fn more_connections_than_there_is_room_for_are_all_answered_in_turn() -> Result<()> {
    allow_many_files()?;
    let proxy = Proxy::start(&[], &[])?;
    let ask = |connection: &mut Connection| -> Result<()> {
        connection.request("GET", "/livez", &[])?;
        ensure!(connection.response()?.body == "ok");
        Ok(())
    };
    let mut kept = Vec::new();
    for _ in 0..1500 {
        let mut connection = proxy.connect()?;
        ask(&mut connection)?;
        kept.push(connection);
    }
    // The latest have their places still, the first have made way.
    ask(kept.last_mut().context("no connection")?)?;
    kept.first_mut().context("no connection")?.until_closed()?;
    Ok(())
}
