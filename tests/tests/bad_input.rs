//! Mistakes and malice, from the command line and from the network.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::http::{Connection, METADATA};
use azwi_tests::process::allow_many_files;
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::stage::{DEMO, RESOURCE, Stage};
use nix::sys::resource::{Resource, getrlimit};
use serde_json::Value;

fn run(env: &[(&str, &str)], args: &[&str]) -> Result<Output> {
    // A sidecar that starts where it should not would run for ever.
    let mut command = Command::new("timeout");
    command.arg("10").arg(binary("azwi-proxy")?).args(args);
    command.env_clear().env("PATH", "/usr/bin:/bin").envs(env.iter().copied());
    Ok(command.output()?)
}

/// Exit code 64, and what was said, in log lines and nothing else.
fn usage_error(env: &[(&str, &str)], args: &[&str]) -> Result<String> {
    let output = run(env, args)?;
    let stderr = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(64), "{args:?}: {stderr}");
    let said = |line: &str| -> Result<String> {
        let event: Value = serde_json::from_str(line).with_context(|| format!("no log line: {line}"))?;
        let text = |name| event.get(name).and_then(Value::as_str);
        assert_eq!((text("level"), text("message")), (Some("ERROR"), Some("bad configuration")));
        Ok(text("error").context("no error")?.to_owned())
    };
    Ok(stderr.lines().map(said).collect::<Result<Vec<_>>>()?.join("\n"))
}

#[test]
fn all_mistakes_are_reported_at_once_each_with_its_name_and_what_would_be_right() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path().to_string_lossy();
    let stderr = usage_error(
        &[
            ("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com"),
            ("AZURE_TENANT_ID", "not a tenant"),
            ("AZURE_CLIENT_ID", "42"),
            ("AZURE_FEDERATED_TOKEN_FILE", &directory),
        ],
        &["--proxy-port=0", "--log-level=loud", "--propagation-grace=soon", "--ca-file", &directory],
    )?;
    for (name, hint) in [
        ("AZURE_AUTHORITY_HOST", "https://"),
        ("AZURE_TENANT_ID", "GUID"),
        ("AZURE_CLIENT_ID", "GUID"),
        ("AZURE_FEDERATED_TOKEN_FILE", "directory"),
        ("--proxy-port", "from 1 to 65535"),
        ("--log-level", "info, debug, trace, all"),
        ("--propagation-grace", "seconds"),
        ("--ca-file", "cannot be read"),
    ] {
        let line = stderr.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.contains(hint)), "{name}: {stderr}");
    }
    assert_eq!(stderr.lines().count(), 8, "{stderr}");
    Ok(())
}

#[test]
fn ports_out_of_range_are_refused() -> Result<()> {
    for port in ["0", "70000", "-1", "http"] {
        assert!(usage_error(&[], &[&format!("--proxy-port={port}")])?.starts_with("--proxy-port: "), "{port}");
    }
    Ok(())
}

#[test]
fn plain_http_to_an_authority_is_refused_unless_it_is_loopback_and_asked_for() -> Result<()> {
    for authority in ["http://127.0.0.1:8443", "http://login.microsoftonline.com", "login.microsoftonline.com"] {
        assert!(usage_error(&[("AZURE_AUTHORITY_HOST", authority)], &[])?.contains(authority));
    }
    let remote = [("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com")];
    assert!(usage_error(&remote, &["--insecure-loopback-authority"])?.contains("https://"));
    Ok(())
}

#[test]
fn an_unknown_flag_is_refused_by_name() -> Result<()> {
    assert!(usage_error(&[], &["--proxy-prot=8000"])?.contains("--proxy-prot"));
    Ok(())
}

#[test]
fn a_ca_file_without_certificates_is_refused() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let name = file.path().to_string_lossy();
    assert!(usage_error(&[], &["--ca-file", &name])?.contains("holds no PEM certificate"));
    Ok(())
}

#[test]
fn help_and_version_are_no_mistakes() -> Result<()> {
    let help = run(&[], &["--help"])?;
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout)?.contains("AZURE_FEDERATED_TOKEN_FILE"));
    for flag in ["--version", "-version"] {
        let version = run(&[], &[flag])?;
        assert_eq!(version.status.code(), Some(0));
        assert!(String::from_utf8(version.stdout)?.starts_with("azwi-proxy "));
    }
    Ok(())
}

#[test]
fn a_head_of_more_than_16_kib_is_refused_and_others_are_served() -> Result<()> {
    let stage = Stage::new()?;
    let mut connection = stage.proxy.connect()?;
    let header = format!("X-Long: {}", "a".repeat(20 * 1024));
    connection.request("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA, &header])?;
    assert_eq!(connection.response()?.status, 431);
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn too_many_headers_are_refused() -> Result<()> {
    let stage = Stage::new()?;
    let mut connection = stage.proxy.connect()?;
    let headers: Vec<_> = (0..500).map(|n| format!("X-{n}: y")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    connection.request("GET", "/readyz", &headers)?;
    assert_eq!(connection.response()?.status, 431);
    Ok(())
}

#[test]
fn binary_garbage_ends_its_connection_only() -> Result<()> {
    let stage = Stage::new()?;
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe\r\n\r\n"]
    {
        let mut connection = stage.proxy.connect()?;
        connection.send(garbage)?;
        let answer = connection.until_closed()?;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn a_head_that_takes_more_than_ten_seconds_ends_its_connection() -> Result<()> {
    let stage = Stage::new()?;
    let mut slow = stage.proxy.connect()?;
    let mut silent = stage.proxy.connect()?;
    slow.send(b"GET /readyz HTTP/1.1\r\nHo")?;
    let started = Instant::now();
    slow.until_closed()?;
    silent.until_closed()?;
    let waited = started.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
    Ok(())
}

/// Idle connections, and room for them in this process too.
fn idle_connections(count: u64, proxy: &Proxy) -> Result<Vec<Connection>> {
    allow_many_files()?;
    (0..count).map(|_| proxy.connect()).collect()
}

#[test]
fn a_thousand_idle_connections_do_not_keep_others_waiting() -> Result<()> {
    let mut stage = Stage::new()?;
    assert_eq!(stage.token()?.status, 200);
    let mut idle = idle_connections(1000, &stage.proxy)?;
    assert_eq!(stage.token()?.status, 200);
    // Nobody had to be sent away for that, as is done after ten seconds.
    for connection in &mut idle {
        assert!(connection.is_open()?);
    }
    drop(idle);
    stage.proxy.terminate()?;
    stage.proxy.wait()?;
    assert!(!stage.proxy.log.whole().contains("ended early"), "idle connections are logged at debug");
    Ok(())
}

#[test]
fn when_connections_are_too_many_the_ones_idle_for_longest_make_way() -> Result<()> {
    let stage = Stage::new()?;
    let mut used = stage.proxy.connect()?;
    let mut idle = idle_connections(1023, &stage.proxy)?;
    used.request("GET", "/readyz", &[])?;
    assert_eq!(used.response()?.status, 200);
    // One more than there is room for.
    assert_eq!(stage.token()?.status, 200);
    idle.first_mut().context("no connections")?.until_closed()?;
    used.request("GET", "/readyz", &[])?;
    assert_eq!(used.response()?.status, 200);
    Ok(())
}

#[test]
fn where_files_are_few_connections_leave_room_for_the_exchange() -> Result<()> {
    let stage = Stage::new()?;
    let token_file = stage.token_file().to_string_lossy().into_owned();
    let ca_file = stage.entra.ca_file().to_string_lossy().into_owned();
    let env = [
        ("AZURE_CLIENT_ID", DEMO),
        ("AZURE_TENANT_ID", stage.entra.tenant()),
        ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
        ("AZURE_AUTHORITY_HOST", stage.entra.authority()),
    ];
    let proxy = Proxy::start_with_few_files(384, &env, &["--ca-file", &ca_file])?;
    // They hold all the files there are for clients.
    let idle = idle_connections(300, &proxy)?;
    let response = proxy.token(RESOURCE)?;
    assert_eq!(response.status, 200, "{}", response.body);
    drop(idle);
    Ok(())
}

#[test]
fn a_failed_accept_is_survived() -> Result<()> {
    let stage = Stage::new()?;
    let pid = stage.proxy.pid().to_string();
    let limit = |files: u64| {
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:")]).status();
        anyhow::ensure!(status?.success(), "prlimit --nofile={files}:");
        Ok(())
    };
    let before = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Fewer than are open already: the next connection cannot be accepted.
    limit(3)?;
    let mut unlucky = stage.proxy.connect()?;
    stage.proxy.log.wait_for(&[("message", "a connection could not be accepted")]).context("no accept failed")?;
    limit(before.0)?;
    unlucky.request("GET", "/readyz", &[])?;
    assert_eq!(unlucky.response()?.status, 200);
    Ok(())
}

#[test]
fn a_pipe_instead_of_the_token_file_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    let stderr = usage_error(&[("AZURE_FEDERATED_TOKEN_FILE", &pipe.to_string_lossy())], &[])?;
    assert!(stderr.contains("is no file"), "{stderr}");
    Ok(())
}

#[test]
fn variables_that_libraries_would_ignore_in_silence_are_checked() -> Result<()> {
    for (name, value) in [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent"), ("HTTPS_PROXY", ":::")] {
        assert!(usage_error(&[(name, value)], &[])?.starts_with(name), "{name}");
    }
    Ok(())
}
