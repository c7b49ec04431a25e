//! What goes on to the real metadata service, and what never does.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use azwi_tests::http::{Connection, METADATA};
use azwi_tests::process::allow_many_files;
use azwi_tests::proxy::Proxy;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::net::TcpSocket;
use tokio::runtime::Builder;

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
                let Ok(request) = read(&stream) else { continue };
                // Before the answer: who has that may look at once.
                recorded.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                // Who does not wait for it needs none.
                drop(answer(&stream));
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

fn read(stream: &TcpStream) -> std::io::Result<String> {
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
    Ok(request)
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: IMDS/150\r\nKeep-Alive: timeout=5\r\nContent-Length: {}\r\n\r\n{DOCUMENT}",
        DOCUMENT.len()
    )
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

#[test]
fn all_other_categories_are_asked_for_at_the_real_service() -> Result<()> {
    let imds = Imds::start()?;
    let proxy = imds.sidecar(&[])?;
    let categories = ["instance", "versions", "attested/document", "loadbalancer", "scheduledevents"];
    for category in categories {
        let response = proxy.ask("GET", &format!("/metadata/{category}"), &[METADATA])?;
        assert_eq!((response.status, response.body.as_str()), (200, DOCUMENT), "{category}");
    }
    let asked = imds.requests();
    let asked: Vec<_> = asked.iter().filter_map(|request| request.split(' ').nth(1)).collect();
    assert_eq!(asked, categories.map(|category| format!("/metadata/{category}")));
    Ok(())
}

#[test]
fn what_is_no_category_is_404_and_reaches_nobody() -> Result<()> {
    let imds = Imds::start()?;
    let proxy = imds.sidecar(&[])?;
    for target in ["/", "/metadata", "/metadata/", "/metadata/unknown", "/metadata/identity", "/latest/meta-data"] {
        assert_eq!(proxy.ask("GET", target, &[METADATA])?.status, 404, "{target}");
    }
    assert_eq!(imds.requests(), Vec::<String>::new());
    Ok(())
}

#[test]
fn the_tenant_is_told_without_asking_the_real_service() -> Result<()> {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = silent.local_addr()?.port().to_string();
    let tenant = "11111111-1111-4111-8111-111111111111";
    let proxy =
        Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port), ("AZURE_TENANT_ID", tenant)], &[])?;
    let response = proxy.ask("GET", "/metadata/identity/info?api-version=2018-02-01", &[METADATA])?;
    assert_eq!((response.status, response.field("tenantId").as_str()), (200, tenant));
    silent.set_nonblocking(true)?;
    assert_eq!(silent.accept().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock));
    Ok(())
}

/// The real metadata service, answering by hand, and a request that has reached it.
struct ByHand {
    proxy: Proxy,
    /// At the app's end.
    app: TcpStream,
    /// At the service's end.
    service: TcpStream,
    _listener: TcpListener,
}

impl ByHand {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port().to_string();
        let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port)], &[])?;
        let mut app = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))?;
        app.set_read_timeout(Some(Duration::from_secs(30)))?;
        app.write_all(b"GET /metadata/instance HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n")?;
        let service = listener.accept()?.0;
        // An answer before the question would be none.
        let head = BufReader::new(&service).lines().map_while(Result::ok);
        head.take_while(|line| !line.is_empty()).for_each(drop);
        Ok(Self { proxy, app, service, _listener: listener })
    }

    /// The service sends something.
    fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.service.write_all(text.as_bytes())?)
    }

    /// Whether the app's answer comes to end like that; otherwise its connection does.
    fn is_heard(&mut self, text: &str) -> Result<bool> {
        let mut heard = Vec::new();
        while !heard.ends_with(text.as_bytes()) {
            let mut byte = [0];
            if self.app.read(&mut byte)? == 0 {
                return Ok(false);
            }
            heard.extend(byte);
        }
        Ok(true)
    }

    /// The first half of an answer, at both ends.
    fn half(&mut self) -> Result<()> {
        self.say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nfirst half")?;
        ensure!(self.is_heard("first half")?);
        Ok(())
    }

    /// The rest of it.
    fn rest(&mut self) -> Result<()> {
        self.say("other half")?;
        ensure!(self.is_heard("other half")?);
        Ok(())
    }
}

#[test]
fn an_answer_is_handed_on_as_it_comes() -> Result<()> {
    let mut streamed = ByHand::start()?;
    streamed.half()?;
    streamed.rest()
}

#[test]
fn an_answer_that_still_comes_keeps_its_place_however_many_others_want_one() -> Result<()> {
    allow_many_files()?;
    let mut streamed = ByHand::start()?;
    streamed.half()?;
    let mut others: Vec<_> = (0..1024).map(|_| streamed.proxy.connect()).collect::<Result<_>>()?;
    // Instead, though it came later.
    others.first_mut().context("no connection")?.until_closed()?;
    streamed.rest()
}

#[test]
fn an_answer_that_still_comes_is_finished_after_sigterm() -> Result<()> {
    let mut streamed = ByHand::start()?;
    streamed.half()?;
    streamed.proxy.terminate()?;
    streamed.proxy.log.wait_for(&[("message", "draining")]).context("it does not drain")?;
    streamed.rest()?;
    assert_eq!(streamed.proxy.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn an_answer_that_never_ends_holds_up_the_end_for_five_seconds_only() -> Result<()> {
    let mut streamed = ByHand::start()?;
    streamed.half()?;
    let started = Instant::now();
    streamed.proxy.terminate()?;
    assert_eq!(streamed.proxy.wait()?.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn an_answer_that_does_not_end_within_ten_seconds_is_cut_off() -> Result<()> {
    let mut streamed = ByHand::start()?;
    let started = Instant::now();
    streamed.half()?;
    assert!(!streamed.is_heard("other half")?);
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&started.elapsed()), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn an_answer_that_announces_more_than_a_mebibyte_is_503() -> Result<()> {
    let mut streamed = ByHand::start()?;
    streamed.say("HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n")?;
    assert!(streamed.is_heard("HTTP/1.1 503 Service Unavailable\r\n")?);
    Ok(())
}

#[test]
fn an_answer_that_grows_beyond_a_mebibyte_is_cut_off() -> Result<()> {
    let mut streamed = ByHand::start()?;
    streamed.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let mut service = streamed.service.try_clone()?;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    // For as long as somebody takes it.
    let sending = thread::spawn(move || while service.write_all(chunk.as_bytes()).is_ok() {});
    let mut heard = Vec::new();
    // A reset is an end, too.
    drop(streamed.app.read_to_end(&mut heard));
    assert!((1024 * 1024 - 0x4000..1024 * 1024 + 0x4000).contains(&heard.len()), "{}", heard.len());
    assert!(!heard.ends_with(b"0\r\n\r\n"));
    drop(streamed);
    assert!(sending.join().is_ok());
    Ok(())
}

#[test]
fn a_request_that_announces_more_than_64_kib_is_400_and_reaches_nobody() -> Result<()> {
    let imds = Imds::start()?;
    let proxy = imds.sidecar(&[])?;
    let mut connection = proxy.connect()?;
    connection.request("POST", "/metadata/scheduledevents", &[METADATA, "Content-Length: 65537"])?;
    let response = connection.response()?;
    assert_eq!((response.status, response.field("error").as_str()), (400, "invalid_request"));
    assert_eq!(imds.requests().len(), 0);
    Ok(())
}

#[test]
fn a_request_that_grows_beyond_64_kib_does_not_get_there_whole() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port().to_string();
    let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &port)], &[])?;
    let mut connection = proxy.connect()?;
    connection.request("POST", "/metadata/scheduledevents", &[METADATA, "Transfer-Encoding: chunked"])?;
    let mut service = listener.accept()?.0;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..3 {
        connection.send(chunk.as_bytes())?;
    }
    let mut request = Vec::new();
    drop(service.read_to_end(&mut request));
    assert!(request.len() < 0x1_8000 && !request.ends_with(b"0\r\n\r\n"), "{}", request.len());
    assert_eq!(connection.response()?.status, 503);
    Ok(())
}

#[test]
fn a_metadata_service_that_does_not_take_connections_is_503_after_two_seconds() -> Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(0)?;
    let address = listener.local_addr()?;
    // Nobody accepts them, so there is no room soon.
    let waiting: Vec<_> =
        (0..8).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()).collect();
    ensure!(waiting.len() < 8, "there is room for all");
    let proxy = Proxy::start(&[("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", &address.port().to_string())], &[])?;
    let started = Instant::now();
    assert_eq!(proxy.ask("GET", "/metadata/instance", &[METADATA])?.status, 503);
    assert!((Duration::from_secs(1)..Duration::from_secs(6)).contains(&started.elapsed()), "{:?}", started.elapsed());
    Ok(())
}

/// Spellings that somebody has thought of, beside those that [`target`] makes up.
const SPELLINGS: [&str; 11] = [
    "/metadata/identity",
    "//metadata//identity/oauth2/token?resource=x",
    "/Metadata/IDENTITY/oauth2/token",
    "/metadata/instance/../identity/oauth2/token",
    "/metadata/versions/..//identity/info/x",
    "/metadata/./identity;x/oauth2/token",
    "/%6detadata/%69dentity",
    "/metadata%2fidentity%2foauth2%2ftoken",
    "/metadata/%2e%2e/metadata/identit%79",
    "/metadata\\identity\\oauth2\\token",
    "/metadata/instance/%252e%252e/identity",
];

/// A word as an attacker or a careless client may write it: each letter as it is, in the other case, or escaped.
fn spelling(word: &'static str) -> impl Strategy<Value = String> {
    let written = |letter: char| -> [String; 5] {
        let code = u32::from(letter);
        let other = if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        [letter.into(), other.into(), format!("%{code:02x}"), format!("%{code:02X}"), format!("%25{code:02x}")]
    };
    // Mostly as it is: where all is strange nothing is ever passed on.
    let letters =
        word.chars().map(|letter| prop_oneof![60 => Just(letter.into()), 1 => select(written(letter).to_vec())]);
    letters.collect::<Vec<_>>().prop_map(|letters| letters.concat())
}

/// One step of a path.
fn segment() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => Just("identity"), 2 => Just("metadata"), 2 => Just("instance"), 1 => Just("versions"), 1 => Just("oauth2"),
        1 => Just("token"), 1 => Just("info"), 2 => Just(".."), 1 => Just("."), 1 => Just(""),
    ];
    let word = word.prop_flat_map(spelling);
    let suffix = prop_oneof![12 => Just(""), 1 => Just(";x"), 1 => Just("."), 1 => Just("%00"), 1 => Just("%20")];
    (word, suffix).prop_map(|(word, suffix)| word + suffix)
}

/// What comes before a segment.
fn separator() -> impl Strategy<Value = &'static str> {
    prop_oneof![16 => Just("/"), 1 => Just("//"), 1 => Just("\\"), 1 => Just("%2f"), 1 => Just("%5C"), 1 => Just("/./")]
}

/// What a client asks for: usually below `/metadata`, usually not as anybody should spell it.
fn target() -> impl Strategy<Value = String> {
    let root = prop_oneof![8 => Just("metadata").prop_flat_map(spelling), 1 => segment()];
    let steps = proptest::collection::vec((separator(), segment()), 0..5);
    let end = prop_oneof![4 => Just(""), 1 => Just("/"), 1 => Just("?resource=x"), 1 => Just("?/../identity"), 1 => Just("#x")];
    (prop_oneof![6 => Just("/"), 1 => Just("//")], root, steps, end).prop_map(|(start, root, steps, end)| {
        let steps: String = steps.into_iter().map(|(separator, segment)| separator.to_owned() + &segment).collect();
        format!("{start}{root}{steps}{end}")
    })
}

/// As a server might read it that forgives everything: escapes undone over and over, and whatever looks like a slash one.
fn read_generously(target: &str) -> Vec<String> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut path = path.to_owned();
    while let Ok(decoded) = percent_decoded(&path)
        && decoded != path
    {
        path = decoded;
    }
    let mut segments = Vec::new();
    for segment in path.to_ascii_lowercase().split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default().trim_end_matches(['\0', ' ']) {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

fn percent_decoded(text: &str) -> Result<String> {
    // A plus sign is only a space in a query.
    let pair = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let decoded = form_urlencoded::parse(pair.as_bytes()).next().context("nothing")?;
    Ok(decoded.0.into_owned())
}

fn means_an_identity(target: &str) -> bool {
    matches!(read_generously(target).as_slice(), [root, identity, ..] if root == "metadata" && identity == "identity")
}

/// Asks on a connection that is kept where the sidecar keeps it.
struct Asker {
    proxy: Proxy,
    connection: Connection,
}

impl Asker {
    fn new(proxy: Proxy) -> Result<Self> {
        Ok(Self { connection: proxy.connect()?, proxy })
    }

    fn status(&mut self, target: &str) -> Result<u16> {
        self.connection.request("GET", target, &[METADATA])?;
        let response = self.connection.response()?;
        if response.header("Connection") == Some("close") {
            self.connection = self.proxy.connect()?;
        }
        Ok(response.status)
    }
}

#[test]
fn spellings_of_identity_paths_are_recognised_by_this_test() {
    for target in SPELLINGS {
        assert!(means_an_identity(target), "{target}");
    }
    for target in ["/metadata/instance/identity", "/metadata/identity/../instance", "/metadata/identities"] {
        assert!(!means_an_identity(target), "{target}");
    }
}

#[test]
fn no_known_spelling_of_an_identity_path_reaches_the_real_metadata_service() -> Result<()> {
    let imds = Imds::start()?;
    let mut asker = Asker::new(imds.sidecar(&[])?)?;
    for target in SPELLINGS {
        assert!(asker.status(target)? >= 400, "{target}");
    }
    assert_eq!(imds.requests(), Vec::<String>::new());
    Ok(())
}

#[test]
fn no_spelling_of_an_identity_path_reaches_the_real_metadata_service() -> Result<()> {
    let imds = Imds::start()?;
    let app = RefCell::new(Asker::new(imds.sidecar(&[])?)?);
    let config = Config { cases: 5000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&target(), |target| {
        let before = imds.requests().len();
        let status = app.borrow_mut().status(&target).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let passed_on = imds.requests().split_off(before);
        let asked: Vec<_> = passed_on.iter().filter_map(|request| request.split(' ').nth(1)).collect();
        prop_assert!(!asked.iter().any(|asked| means_an_identity(asked)), "{asked:?}");
        prop_assert!(asked.is_empty() || !means_an_identity(&target), "{asked:?}");
        prop_assert_eq!(status == 200, asked.len() == 1, "{} for {:?}", status, asked);
        Ok(())
    })?;
    // Or it would say nothing.
    let passed_on = imds.requests().len();
    ensure!(passed_on > 100, "only {passed_on} requests were passed on");
    Ok(())
}
