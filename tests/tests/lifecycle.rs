//! Start, readiness, probe, end.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::http::METADATA;
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::stage::{RESOURCE, SUBJECT, Stage};

fn probe(port: u16, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary("azwi-proxy")?);
    Ok(command.env_clear().arg(format!("--proxy-port={port}")).arg("--probe").args(args).output()?)
}

/// Answers one request on a connection of its own, whatever it asks for.
fn answer(listener: &TcpListener, status: &str) -> Result<()> {
    let (mut connection, _) = listener.accept()?;
    let head = BufReader::new(connection.try_clone()?).lines();
    head.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    Ok(write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?)
}

/// The reasons that `/readyz` gives.
fn reasons(proxy: &Proxy) -> Result<String> {
    let response = proxy.ask("GET", "/readyz", &[])?;
    assert_eq!(response.status, 503);
    let json = response.json();
    assert_eq!(json.get("ready"), Some(&false.into()), "{json}");
    Ok(json.get("reasons").context("no reasons")?.to_string())
}

#[test]
fn a_configured_sidecar_is_ready() -> Result<()> {
    let response = Stage::new()?.proxy.ask("GET", "/readyz", &[])?;
    assert_eq!((response.status, response.body.as_str()), (200, "ok"));
    Ok(())
}

#[test]
fn a_sidecar_that_is_not_ready_is_alive_all_the_same() -> Result<()> {
    let response = Proxy::start(&[], &[])?.ask("GET", "/livez", &[])?;
    assert_eq!((response.status, response.body.as_str()), (200, "ok"));
    Ok(())
}

#[test]
fn an_outage_of_entra_does_not_make_the_sidecar_unready() -> Result<()> {
    let stage = Stage::with(&[("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1")], &[])?;
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 200);
    Ok(())
}

#[test]
fn a_sidecar_without_configuration_says_what_is_missing() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    let reasons = reasons(&proxy)?;
    assert!(reasons.contains("AZURE_TENANT_ID") && reasons.contains("AZURE_FEDERATED_TOKEN_FILE"), "{reasons}");
    Ok(())
}

#[test]
fn a_token_file_that_is_missing_empty_expired_or_garbage_makes_the_sidecar_unready_until_it_is_repaired() -> Result<()>
{
    let stage = Stage::new()?;
    let file = stage.token_file();
    fs::write(&file, "")?;
    assert!(reasons(&stage.proxy)?.contains("is empty"));
    fs::write(&file, "garbage")?;
    assert!(reasons(&stage.proxy)?.contains("no JWT"));
    stage.entra.write_token_with(&file, SUBJECT, &["--expires-in", "-60", "--not-before", "-120"])?;
    assert!(reasons(&stage.proxy)?.contains("expired"));
    fs::remove_file(&file)?;
    assert!(reasons(&stage.proxy)?.contains("cannot be read"));
    stage.entra.write_token(&file, SUBJECT)?;
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.body, "ok");
    Ok(())
}

#[test]
fn a_probe_of_a_ready_sidecar_exits_0() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(probe(stage.proxy.port(), &[])?.status.code(), Some(0));
    Ok(())
}

#[test]
fn a_probe_keeps_asking_until_the_sidecar_is_ready() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let sidecar = thread::spawn(move || {
        ["503 Service Unavailable", "200 OK"].into_iter().try_for_each(|status| answer(&listener, status))
    });
    // A probe that does not ask again has ended with 1 by now, and the listener still waits.
    assert_eq!(probe(port, &[])?.status.code(), Some(0));
    sidecar.join().expect("a thread")
}

#[test]
fn a_probe_gives_up_at_its_deadline_with_the_reason() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    let started = Instant::now();
    let output = probe(proxy.port(), &["--probe-timeout=1"])?;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr)?;
    assert!(stderr.contains("AZURE_TENANT_ID is not set"), "{stderr}");
    Ok(())
}

#[test]
fn a_probe_of_nobody_says_so() -> Result<()> {
    let output = probe(1, &["--probe-timeout=1"])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("127.0.0.1:1"));
    Ok(())
}

#[test]
fn sigterm_ends_an_idle_sidecar_at_once_with_0_though_connections_are_open() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut idle = stage.proxy.connect()?;
    idle.request("GET", "/readyz", &[])?;
    assert_eq!(idle.response()?.status, 200);
    let started = Instant::now();
    stage.proxy.terminate()?;
    assert_eq!(stage.proxy.wait()?.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn an_answer_under_way_is_finished_after_sigterm() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.entra.faults(r#"{"latency_ms":1500}"#)?;
    let mut connection = stage.proxy.connect()?;
    connection.request("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA])?;
    stage.entra.wait_for_exchanges(1)?;
    stage.proxy.terminate()?;
    stage.proxy.log.wait_for(&[("message", "draining")]).context("it does not drain")?;
    assert_eq!(connection.response()?.status, 200);
    assert_eq!(stage.proxy.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_a_reason() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    let mut command = Command::new(binary("azwi-proxy")?);
    let output = command.env_clear().arg(format!("--proxy-port={}", proxy.port())).output()?;
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr)?;
    assert!(stderr.contains("--proxy-port") && stderr.contains("cannot listen"), "{stderr}");
    Ok(())
}

#[test]
fn the_sidecar_listens_on_loopback_only() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    let listeners = fs::read_to_string(format!("/proc/{}/net/tcp", proxy.pid()))?;
    let port = format!(":{:04X}", proxy.port());
    let addresses: Vec<_> = listeners
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter_map(|address| address.strip_suffix(&port))
        .collect();
    // 127.0.0.1 as the kernel writes it.
    assert_eq!(addresses, ["0100007F"]);
    let listeners = fs::read_to_string(format!("/proc/{}/net/tcp6", proxy.pid())).unwrap_or_default();
    assert!(!listeners.contains(&port));
    Ok(())
}
