//! What the first request for a token costs beyond Entra's own time, and what many first requests at once do.

use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use azwi_tests::emulator::clients::DEMO;
use azwi_tests::http::Response;
use azwi_tests::resources::resource;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::load::Load;
use crate::report::{Limit, Quantity, Row};
use crate::stage::{Stage, request};
use crate::statistics::median;

/// Clients that want the same token at the same time.
const BURST: usize = 200;
/// Tokens that are wanted at the same time.
const RESOURCES: usize = 20;
/// What Entra takes to answer, where it says so.
const LATENCY: &str = r#"{"latency_ms":100}"#;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn measure(stage: &Stage, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![overhead(stage, rounds)?];
    stage.entra.faults(LATENCY)?;
    let bursts: Vec<Burst> = (0..rounds).map(|_| Burst::new(stage)).collect::<Result<_, _>>()?;
    let crowds: Vec<Crowd> = (0..rounds).map(|_| Crowd::new(stage)).collect::<Result<_, _>>()?;
    stage.entra.clear_faults()?;
    let exchanges = bursts.iter().map(|burst| burst.exchanges).max().unwrap_or_default();
    let connections = crowds.iter().map(|crowd| crowd.connections).max().unwrap_or_default();
    rows.extend([
        count("200 cold requests at once for one token: exchanges", exchanges),
        time("their p99, Entra takes 100 ms, fresh process", bursts.iter().map(|burst| burst.fresh), 125.0),
        time("the same in a process that has asked before", bursts.iter().map(|burst| burst.warm), 110.0),
        time(
            "20 tokens at once, Entra takes 100 ms: the last of a round",
            crowds.iter().map(|crowd| crowd.last),
            130.0,
        ),
        count("their connections to Entra", connections),
    ]);
    Ok(rows)
}

fn count(figure: &str, number: u64) -> Row {
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    Row::new(figure, Quantity::new(number as f64, "")).limit(Limit::Exactly(1.0))
}

fn time(figure: &str, times: impl Iterator<Item = Duration>, limit: f64) -> Row {
    Row::new(figure, milliseconds(times)).limit(Limit::AtMost(limit))
}

fn milliseconds(times: impl Iterator<Item = Duration>) -> Quantity {
    Quantity::new(median(times.map(|time| time.as_secs_f64() * 1e3)), "ms")
}

/// The first token of a fresh process against the same exchange by hand, in turns.
fn overhead(stage: &Stage, rounds: usize) -> anyhow::Result<Row> {
    let exchange = Exchange::new(stage)?;
    // Entra knows the cluster's keys from now on.
    exchange.by_hand()?;
    let wanted = [request(&resource(0))];
    let mut turns = Vec::new();
    for _ in 0..rounds {
        let by_hand = stage.cores.on_the_servers(|| exchange.by_hand())?;
        let sidecar = stage.sidecar()?;
        turns.push((Load::new(sidecar.port(), &wanted)?.burst(1)?.wall, by_hand));
    }
    let cold = milliseconds(turns.iter().map(|(cold, _)| *cold));
    let by_hand = milliseconds(turns.iter().map(|(_, by_hand)| *by_hand));
    let more = median(turns.iter().map(|(cold, by_hand)| (cold.as_secs_f64() - by_hand.as_secs_f64()) * 1e3));
    let row = Row::new("first token of a fresh process", cold);
    Ok(row.beside("exchange by hand", by_hand, Quantity::new(more, "ms more")).limit(Limit::AtMost(2.0)))
}

/// Many clients, one token.
struct Burst {
    exchanges: u64,
    /// 99th percentiles: of the first burst that a process sees, and of the second, for another resource.
    fresh: Duration,
    warm: Duration,
}

impl Burst {
    fn new(stage: &Stage) -> anyhow::Result<Self> {
        let sidecar = stage.sidecar()?;
        let p99 = |number| {
            anyhow::Ok(Load::new(sidecar.port(), &[request(&resource(number))])?.burst(BURST)?.percentile(990))
        };
        stage.entra.reset_counters()?;
        let fresh = p99(0)?;
        let exchanges = stage.entra.counters()?.exchanges;
        Ok(Self { exchanges, fresh, warm: p99(1)? })
    }
}

/// Many tokens, each wanted once.
struct Crowd {
    connections: u64,
    last: Duration,
}

impl Crowd {
    fn new(stage: &Stage) -> anyhow::Result<Self> {
        let sidecar = stage.sidecar()?;
        let requests: Vec<_> = (0..RESOURCES).map(|number| request(&resource(number))).collect();
        stage.entra.reset_counters()?;
        let last = Load::new(sidecar.port(), &requests)?.burst(RESOURCES)?.percentile(1000);
        Ok(Self { connections: stage.entra.counters()?.connections, last })
    }
}

/// What the sidecar does for a token, with nothing around it: one connection, one handshake, one request.
struct Exchange {
    tls: Arc<ClientConfig>,
    port: u16,
    request: Vec<u8>,
}

impl Exchange {
    fn new(stage: &Stage) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(stage.entra.ca_file())?)?;
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.resumption = Resumption::disabled();
        let port = stage.entra.authority().trim_end_matches('/').rsplit(':').next().context("no port")?.parse()?;
        Ok(Self { tls: Arc::new(tls), port, request: token_request(stage)? })
    }

    fn by_hand(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        let session = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from("localhost")?)?;
        let mut connection = StreamOwned::new(session, stream);
        connection.write_all(&self.request)?;
        let response = Response::read(&mut BufReader::new(connection))?;
        let took = begun.elapsed();
        ensure!(response.status == 200, "no token: {}", response.body);
        Ok(took)
    }
}

fn token_request(stage: &Stage) -> anyhow::Result<Vec<u8>> {
    let assertion = std::fs::read_to_string(stage.assertion())?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", DEMO)
        .append_pair("scope", &format!("{}/.default", resource(0)))
        .append_pair("client_assertion_type", ASSERTION_TYPE)
        .append_pair("client_assertion", &assertion)
        .finish();
    let head = format!(
        "POST /{}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
        stage.entra.tenant(),
        form.len()
    );
    Ok((head + &form).into_bytes())
}
