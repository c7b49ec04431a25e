//! How the sidecar reaches Entra: trust, proxies, protocol versions, redirects.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use anyhow::Result;
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::{DEMO, RESOURCE, Stage};

/// A server that answers one connection with `answer` and tells the first line it was sent.
fn one_answer(answer: &'static str) -> Result<(u16, thread::JoinHandle<io::Result<String>>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        stream.write_all(answer.as_bytes())?;
        Ok(line)
    });
    Ok((port, served))
}

/// A sidecar with a token file, whose authority is `authority`.
fn sidecar(stage: &Stage, authority: &str, env: &[(&str, &str)], args: &[&str]) -> Result<Proxy> {
    let token_file = stage.token_file().to_string_lossy().into_owned();
    let usual = [
        ("AZURE_CLIENT_ID", DEMO),
        ("AZURE_TENANT_ID", stage.entra.tenant()),
        ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
        ("AZURE_AUTHORITY_HOST", authority),
    ];
    Proxy::start(&usual.iter().chain(env).copied().collect::<Vec<_>>(), args)
}

#[test]
fn an_authority_that_nobody_vouches_for_is_not_trusted() -> Result<()> {
    let stage = Stage::new()?;
    let proxy = sidecar(&stage, stage.entra.authority(), &[], &[])?;
    let response = proxy.token(RESOURCE)?;
    assert_eq!(response.status, 503);
    assert!(response.field("error_description").contains("certificate"), "{}", response.body);
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn ssl_cert_file_names_the_trusted_authorities() -> Result<()> {
    let stage = Stage::new()?;
    let ca_file = stage.entra.ca_file().to_string_lossy().into_owned();
    let proxy = sidecar(&stage, stage.entra.authority(), &[("SSL_CERT_FILE", &ca_file)], &[])?;
    assert_eq!(proxy.token(RESOURCE)?.status, 200);
    Ok(())
}

#[test]
fn ssl_cert_dir_names_the_trusted_authorities() -> Result<()> {
    let stage = Stage::new()?;
    let directory = tempfile::tempdir()?;
    // OpenSSL's naming, which c_rehash makes; the name's value does not matter to rustls.
    std::fs::copy(stage.entra.ca_file(), directory.path().join("01234567.0"))?;
    let proxy =
        sidecar(&stage, stage.entra.authority(), &[("SSL_CERT_DIR", &directory.path().to_string_lossy())], &[])?;
    assert_eq!(proxy.token(RESOURCE)?.status, 200);
    Ok(())
}

#[test]
fn http_2_is_used_where_it_is_offered_and_one_connection_serves_many_exchanges() -> Result<()> {
    let stage = Stage::new()?;
    for resource in ["https://vault.azure.net", "https://graph.microsoft.com", "https://storage.azure.com"] {
        assert_eq!(stage.proxy.token(&format!("resource={resource}"))?.status, 200);
    }
    let counters = stage.entra.counters()?;
    assert_eq!((counters.requests_http2, counters.connections), (3, 1));
    Ok(())
}

#[test]
fn https_proxy_is_honoured() -> Result<()> {
    let stage = Stage::new()?;
    let (port, served) = one_answer("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")?;
    let proxy =
        sidecar(&stage, "https://login.example/", &[("HTTPS_PROXY", &format!("http://127.0.0.1:{port}"))], &[])?;
    // The retries find nobody: the answer is 503 whatever the proxy said.
    assert_eq!(proxy.token(RESOURCE)?.status, 503);
    assert_eq!(served.join().expect("a thread")?.trim(), "CONNECT login.example:443 HTTP/1.1");
    Ok(())
}

#[test]
fn no_proxy_exempts_the_authority() -> Result<()> {
    let stage = Stage::new()?;
    let ca_file = stage.entra.ca_file().to_string_lossy().into_owned();
    let env = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "localhost")];
    let proxy = sidecar(&stage, stage.entra.authority(), &env, &["--ca-file", &ca_file])?;
    assert_eq!(proxy.token(RESOURCE)?.status, 200);
    Ok(())
}

#[test]
fn redirects_are_not_followed() -> Result<()> {
    let stage = Stage::new()?;
    let answer = "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n";
    let (port, served) = one_answer(answer)?;
    let authority = format!("http://127.0.0.1:{port}");
    let proxy = sidecar(&stage, &authority, &[], &["--insecure-loopback-authority"])?;
    let response = proxy.token(RESOURCE)?;
    assert_eq!((response.status, response.header("Retry-After")), (403, None), "{}", response.body);
    assert!(response.field("error_description").contains("307"), "{}", response.body);
    let tenant = stage.entra.tenant();
    assert_eq!(served.join().expect("a thread")?.trim(), format!("POST /{tenant}/oauth2/v2.0/token HTTP/1.1"));
    Ok(())
}
