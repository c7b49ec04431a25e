//! What goes on to the real metadata service, and what never does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use azwi_tests::http::METADATA;
use azwi_tests::proxy::Proxy;

/// The real metadata service: records what it is asked, answers with a document.
struct Imds {
    port: u16,
    /// Head and body of each request.
    requests: Arc<Mutex<Vec<String>>>,
}

const DOCUMENT: &str = r#"{"compute":{"location":"westeurope"}}"#;

impl Imds {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&requests);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Ok(request) = answer(&stream) {
                    recorded.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                }
            }
        });
        Ok(Self { port, requests })
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A sidecar that knows it.
    fn sidecar(&self, args: &[&str]) -> Result<Proxy> {
        let port = self.port.to_string();
        Proxy::start(
            &[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port), ("HTTP_PROXY", "http://127.0.0.1:1")],
            args,
        )
    }
}

fn answer(mut stream: &TcpStream) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        request.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.push_str(&String::from_utf8_lossy(&body));
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: IMDS/150\r\nKeep-Alive: timeout=5\r\nContent-Length: {}\r\n\r\n{DOCUMENT}",
        DOCUMENT.len()
    )?;
    Ok(request)
}

#[test]
fn other_metadata_comes_from_the_real_service_through_no_proxy() -> Result<()> {
    let imds = Imds::start()?;
    let proxy = imds.sidecar(&[])?;
    let target = "//Metadata/instance/compute?api-version=2021-02-01&format=json";
    let response = proxy.ask("GET", target, &[METADATA, "Connection: X-Hop", "X-Hop: 1", "X-End: 2"])?;
    assert_eq!((response.status, response.body.as_str()), (200, DOCUMENT));
    assert_eq!((response.header("Server"), response.header("Keep-Alive")), (Some("IMDS/150"), None));
    let request = imds.requests().concat().to_ascii_lowercase();
    assert!(
        request.starts_with("get /metadata/instance/compute?api-version=2021-02-01&format=json http/1.1"),
        "{request}"
    );
    assert!(request.contains("metadata: true") && request.contains("x-end: 2"), "{request}");
    assert!(!request.contains("x-hop"), "{request}");
    Ok(())
}

#[test]
fn scheduled_events_are_acknowledged_with_their_body() -> Result<()> {
    let imds = Imds::start()?;
    let proxy = imds.sidecar(&[])?;
    let mut connection = proxy.connect()?;
    let body = r#"{"StartRequests":[]}"#;
    let length = format!("Content-Length: {}", body.len());
    connection.request("POST", "/metadata/scheduledevents?api-version=2020-07-01", &[METADATA, &length])?;
    connection.send(body.as_bytes())?;
    assert_eq!(connection.response()?.status, 200);
    assert!(imds.requests().concat().ends_with(body));
    Ok(())
}

#[test]
fn without_the_metadata_header_nothing_is_passed_on() -> Result<()> {
    let imds = Imds::start()?;
    assert_eq!(imds.sidecar(&[])?.ask("GET", "/metadata/instance", &[])?.status, 400);
    assert_eq!(imds.requests().len(), 0);
    Ok(())
}

#[test]
fn where_it_is_closed_nothing_is_passed_on() -> Result<()> {
    let imds = Imds::start()?;
    imds.sidecar(&["--passthrough=off"])?.ask("GET", "/metadata/instance", &[METADATA])?;
    assert_eq!(imds.requests().len(), 0);
    Ok(())
}

#[test]
fn a_metadata_service_that_is_not_there_is_503() -> Result<()> {
    let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", "1")], &[])?;
    let response = proxy.ask("GET", "/metadata/instance", &[METADATA])?;
    assert_eq!((response.status, response.field("error").as_str()), (503, "temporarily_unavailable"));
    Ok(())
}

#[test]
fn a_metadata_service_that_hangs_is_503_after_ten_seconds() -> Result<()> {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = silent.local_addr()?.port().to_string();
    let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port)], &[])?;
    let started = Instant::now();
    assert_eq!(proxy.ask("GET", "/metadata/instance", &[METADATA])?.status, 503);
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&started.elapsed()), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn a_flood_towards_the_metadata_service_is_bounded_and_leaves_the_rest_alone() -> Result<()> {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = silent.local_addr()?.port().to_string();
    let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port)], &[])?;
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let mut connection = proxy.connect()?;
        connection.request("GET", "/metadata/instance", &[METADATA])?;
        // Taken up, since it has reached the other side.
        waiting.push((connection, silent.accept()?));
    }
    let response = proxy.ask("GET", "/metadata/instance", &[METADATA])?;
    assert_eq!((response.status, response.header("Retry-After")), (429, Some("1")), "{}", response.body);
    assert_eq!(proxy.ask("GET", "/livez", &[])?.status, 200);
    Ok(())
}

/// Spellings of the identity paths, by every combination of these parts: an attacker's, and a careless client's.
fn spellings() -> Vec<String> {
    let roots = [
        "/metadata",
        "//metadata",
        "/Metadata",
        "/metadata/instance/..",
        "/metadata/.",
        "/%6detadata",
        "/metadata/versions/../",
    ];
    let separators = ["/", "//", "\\", "%2f", "%5c", ";/", "/./", "/%2e/", "/x/../", "?/", "#/"];
    let identities =
        ["identity", "Identity", "IDENTITY", "%69dentity", "identit%79", "identity;x", "instance/../identity"];
    let tails = [
        "",
        "/",
        "/oauth2/token",
        "/oauth2/token/",
        "\\oauth2\\token",
        "%2foauth2%2ftoken",
        "/info",
        "/oauth2/token?resource=x",
    ];
    let mut all = Vec::new();
    for root in roots {
        for separator in separators {
            for identity in identities {
                all.extend(tails.iter().map(|tail| format!("{root}{separator}{identity}{tail}")));
            }
        }
    }
    all
}

#[test]
fn no_spelling_of_an_identity_path_reaches_the_real_metadata_service() -> Result<()> {
    let imds = Imds::start()?;
    let proxy = imds.sidecar(&[])?;
    let spellings = spellings();
    assert!(spellings.len() > 4000);
    let mut connection = proxy.connect()?;
    for target in &spellings {
        connection.request("GET", target, &[METADATA])?;
        let response = connection.response()?;
        assert!(response.status >= 400, "{target}: {}", response.status);
        if response.header("Connection") == Some("close") {
            connection = proxy.connect()?;
        }
    }
    assert_eq!(imds.requests(), Vec::<String>::new());
    Ok(())
}
