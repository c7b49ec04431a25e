//! What a review costs the webhook, beside a server of the same TLS and HTTP that allows everything; and how much memory
//! service accounts take.

mod pods;
mod stage;

use anyhow::ensure;
use azwi_tests::api_server::Accounts;
use azwi_tests::binaries::binary;
use azwi_tests::kernel::Memory;

use self::pods::Kind;
use self::stage::{Webhook, Yardstick};
use crate::allocated;
use crate::contest::{BUSY, CPU, Contestant, Effort, P50, P99, THROUGHPUT, Turn, compare, compete};
use crate::cores::Cores;
use crate::memory::forget;
use crate::report::{Limit, Quantity, Row};
use crate::statistics::median;

/// As a busy API server has them.
const CONNECTIONS: usize = 8;
const FEW: Accounts = Accounts { all: 10, annotated: 10 };
/// More annotated ones than there are kinds of pods.
const ANNOTATED: Accounts = Accounts { all: 10_000, annotated: 10_000 };
const MOST: Accounts = Accounts { all: 100_000, annotated: 1000 };

const PLAIN: Kind = Kind { containers: 1, variables: 4, with_sidecar: false };
const SIDECAR: Kind = Kind { with_sidecar: true, ..PLAIN };
const LARGE: Kind = Kind { containers: 3, variables: 20, with_sidecar: true };

/// All figures. `starts` is how often it is started to see how soon it answers.
pub(crate) fn measure(effort: Effort, starts: usize, counted: Option<[u32; 2]>) -> anyhow::Result<Vec<Row>> {
    let cores = Cores::take()?;
    forget(&binary("azwi-webhook")?)?;
    eprintln!("memory, with up to {} service accounts …", MOST.all);
    let memory = vec![
        memory("memory when ready, 10 service accounts (RSS)", cores, FEW)?,
        memory("the same, 10,000 annotated ones", cores, ANNOTATED)?.limit(Limit::AtMost(10.0)),
        memory("the same, 100,000, of which 1,000 annotated", cores, MOST)?.limit(Limit::AtMost(30.0)),
    ];
    eprintln!("{starts} starts …");
    let first = first(cores, starts)?;
    eprintln!("reviews:");
    let webhook = Webhook::start(cores, ANNOTATED)?;
    let work = reviews(cores, &webhook, effort)?;
    let peak = Row::new("the most memory under that load, 10,000 annotated ones (RSS)", megabytes(webhook.peak()?));
    let allocated = allocated("a review", counted, LIMITS);
    Ok([work, allocated, vec![first], memory, vec![peak.limit(Limit::AtMost(16.0))]].concat())
}

/// Of allocations and their bytes.
const LIMITS: [f64; 2] = [50.0, 24_575.0];

fn memory(figure: &str, cores: Cores, accounts: Accounts) -> anyhow::Result<Row> {
    let webhook = Webhook::start(cores, accounts)?;
    Ok(Row::new(figure, megabytes(Memory::of(webhook.pid())?.rss)))
}

#[expect(clippy::cast_precision_loss, reason = "a process is smaller than 2^52 bytes")]
fn megabytes(bytes: u64) -> Quantity {
    Quantity::new(bytes as f64 / 1e6, "MB")
}

/// Of a fresh process, with the connection and its handshake.
fn first(cores: Cores, starts: usize) -> anyhow::Result<Row> {
    let requests = SIDECAR.requests();
    let once = || Ok(Webhook::start(cores, FEW)?.first(&requests)?.as_secs_f64() * 1e3);
    let times: Vec<f64> = (0..starts).map(|_| once()).collect::<anyhow::Result<_>>()?;
    Ok(Row::new("first review after ready", Quantity::new(median(times), "ms")).limit(Limit::AtMost(10.0)))
}

fn reviews(cores: Cores, webhook: &Webhook, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let yardstick = Yardstick::start(cores)?;
    let contest = |kind: Kind| -> anyhow::Result<(usize, Vec<(Turn, Turn)>)> {
        let requests = kind.requests();
        let webhook = Contestant { pid: webhook.pid(), address: webhook.address(), requests: &requests };
        let yardstick = Contestant { pid: yardstick.pid(), address: yardstick.address(), requests: &requests };
        let turns = compete([webhook, yardstick], CONNECTIONS, effort)?;
        Ok((requests.iter().map(Vec::len).sum::<usize>() / requests.len(), turns.into_iter().map(Into::into).collect()))
    };
    let ((small, plain), (_, sidecar), (size, large)) = (contest(PLAIN)?, contest(SIDECAR)?, contest(LARGE)?);
    ensure!(size > 10_000, "a large review is larger than {size} bytes");
    let kib = |bytes: usize| bytes.div_ceil(1024);
    let cpu = |figure: &str, turns: &[(Turn, Turn)]| compare(figure, &work(turns), WITH, CPU);
    Ok(vec![
        cpu(&format!("CPU per review, {} KiB", kib(small)), &plain).limit(Limit::AtMost(2.0)),
        cpu("the same, with the sidecar", &sidecar),
        cpu(&format!("CPU per review, {} KiB, with the sidecar", kib(size)), &large),
        compare("such reviews per second on one core, 8 connections", &work(&large), WITH, THROUGHPUT),
        compare("their cores are busy", &work(&large), WITH, BUSY),
        compare("p50", &large, WITH, P50),
        compare("p99", &large, WITH, P99),
    ])
}

const WITH: &str = "no-op";

fn work(turns: &[(Turn, Turn)]) -> Vec<(crate::contest::Work, crate::contest::Work)> {
    turns.iter().map(|(webhook, yardstick)| (webhook.work, yardstick.work)).collect()
}
