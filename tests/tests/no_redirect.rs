//! Apps that find the sidecar by `AZURE_POD_IDENTITY_AUTHORITY_HOST`, for want of a redirect (docs/no-redirect.md).
//!
//! The requests are those that SDKs make then: its address in `Host`, and in one SDK a path with two slashes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use anyhow::Result;
use azwi_tests::http::{Connection, Response};
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::stage::{DEMO, RESOURCE, Stage};

/// As an SDK asks that was given the sidecar as its authority.
fn ask(proxy: &Proxy, path: &str, headers: &str) -> Result<Response> {
    let mut connection = Connection::open(proxy.port())?;
    let authority = format!("127.0.0.1:{}", proxy.port());
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{headers}\r\n").as_bytes())?;
    connection.response()
}

const METADATA: &str = "Metadata: true\r\n";

#[test]
fn a_token_is_had_from_the_sidecars_own_address() -> Result<()> {
    let stage = Stage::new()?;
    let response = ask(&stage.proxy, &format!("{TOKEN}?api-version=2018-02-01&{RESOURCE}"), METADATA)?;
    assert_eq!((response.status, response.field("client_id").as_str()), (200, DEMO));
    Ok(())
}

/// msal4j puts `/metadata/…` behind an authority that ends with a slash.
#[test]
fn a_path_with_two_slashes_means_the_same() -> Result<()> {
    let stage = Stage::new()?;
    let response = ask(&stage.proxy, &format!("/{TOKEN}?api-version=2018-02-01&{RESOURCE}"), METADATA)?;
    assert_eq!((response.status, response.field("client_id").as_str()), (200, DEMO), "{}", response.body);
    assert_eq!(response.header("Location"), None);
    Ok(())
}

#[test]
fn a_request_that_could_be_forged_by_a_page_or_a_server_is_refused_here_too() -> Result<()> {
    let stage = Stage::new()?;
    let target = format!("{TOKEN}?api-version=2018-02-01&{RESOURCE}");
    for headers in ["", "Metadata: false\r\n", "Metadata: true\r\nX-Forwarded-For: 10.0.0.1\r\n"] {
        assert_eq!(ask(&stage.proxy, &target, headers)?.status, 400, "{headers:?}");
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn other_metadata_is_had_from_the_sidecars_own_address_too() -> Result<()> {
    let imds = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = imds.local_addr()?.port().to_string();
    let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port)], &[])?;
    let served = thread::spawn(move || -> Result<Vec<String>> {
        let (mut stream, _) = imds.accept()?;
        let head = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
        let head = head.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
        Ok(head)
    });
    let response = ask(&proxy, "//metadata/instance?api-version=2021-02-01", METADATA)?;
    assert_eq!((response.status, response.body.as_str()), (200, "{}"));
    let Ok(head) = served.join() else { anyhow::bail!("the thread panicked") };
    let head = head?;
    assert_eq!(head.first().map(String::as_str), Some("GET /metadata/instance?api-version=2021-02-01 HTTP/1.1"));
    // The service's own name, not the sidecar's.
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("host: 127.0.0.1")), "{head:?}");
    Ok(())
}
