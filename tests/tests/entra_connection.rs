//! How the sidecar reaches Entra: trust, proxies, protocol versions, redirects.

use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use anyhow::Result;
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::{DEMO, RESOURCE, Stage};

/// A server that answers one connection with `answer` and tells the first line it was sent.
fn one_answer(answer: impl Into<String>) -> Result<(u16, thread::JoinHandle<io::Result<String>>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let answer = answer.into();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut line = String::new();
        let mut request = BufReader::new(&stream);
        request.read_line(&mut line)?;
        read_rest(&mut request)?;
        stream.write_all(answer.as_bytes())?;
        Ok(line)
    });
    Ok((port, served))
}

/// Headers and body, so that closing does not reset the connection under the answer.
fn read_rest(request: &mut impl BufRead) -> io::Result<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            return request.read_exact(&mut vec![0; length]);
        }
    }
}

/// An answer of an authority, over plain HTTP.
fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
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
    // A gateway's answer, not a refusal; the retries find nobody.
    assert_eq!(proxy.token(RESOURCE)?.status, 503);
    let tenant = stage.entra.tenant();
    assert_eq!(served.join().expect("a thread")?.trim(), format!("POST /{tenant}/oauth2/v2.0/token HTTP/1.1"));
    Ok(())
}

#[test]
fn entra_over_http_1_1_is_fine_too() -> Result<()> {
    let stage = Stage::new()?;
    let body = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"opaque"}"#;
    let (port, served) = one_answer(http("200 OK", body))?;
    let authority = format!("http://127.0.0.1:{port}");
    let proxy = sidecar(&stage, &authority, &[], &["--insecure-loopback-authority"])?;
    let response = proxy.token(RESOURCE)?;
    assert_eq!((response.status, response.field("access_token").as_str()), (200, "opaque"), "{}", response.body);
    served.join().expect("a thread")?;
    Ok(())
}

#[test]
fn lifetimes_beyond_belief_are_cut_and_break_nothing() -> Result<()> {
    let stage = Stage::new()?;
    let body = r#"{"expires_in":18446744073709551615,"refresh_in":18446744073709551615,"access_token":"opaque"}"#;
    let (port, served) = one_answer(http("200 OK", body))?;
    let authority = format!("http://127.0.0.1:{port}");
    let proxy = sidecar(&stage, &authority, &[], &["--insecure-loopback-authority"])?;
    let response = proxy.token(RESOURCE)?;
    assert_eq!((response.status, response.field("ext_expires_in").as_str()), (200, "604800"), "{}", response.body);
    assert_eq!(response.field("expires_on").len(), 10);
    served.join().expect("a thread")?;
    Ok(())
}

#[test]
fn an_authority_that_echoes_the_assertion_gets_it_neither_into_the_answer_nor_into_the_log() -> Result<()> {
    let stage = Stage::new()?;
    let assertion = std::fs::read_to_string(stage.token_file())?;
    let body = format!(r#"{{"error":"invalid_request","error_description":"client_assertion={}"}}"#, assertion.trim());
    let (port, served) = one_answer(http("400 Bad Request", &body))?;
    let authority = format!("http://127.0.0.1:{port}");
    let proxy = sidecar(&stage, &authority, &[], &["--insecure-loopback-authority"])?;
    let response = proxy.token(RESOURCE)?;
    assert_eq!(response.status, 403, "{}", response.body);
    assert!(response.field("error_description").contains("[redacted]"), "{}", response.body);
    proxy.terminate()?;
    let log = proxy.log.whole();
    assert!(log.contains("[redacted]"), "{log}");
    for part in assertion.trim().split('.') {
        assert!(!response.body.contains(part) && !log.contains(part), "{log}");
    }
    served.join().expect("a thread")?;
    Ok(())
}
