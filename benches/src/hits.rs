//! What a cached token costs, beside an answer of the same size from the floor and from hyper.
//!
//! The contestants take turns, so that whatever else the machine does strikes them all. Each round gives its own ratio,
//! and the median of these counts.

use std::time::Duration;

use anyhow::ensure;
use azwi_tests::http::Response;
use azwi_tests::kernel::Schedule;
use azwi_tests::resources::resource;

use crate::load::Load;
use crate::report::{Limit, Quantity, Row};
use crate::stage::{Stage, request};
use crate::statistics::median;
use crate::wrk;

/// Of the cache that is rather full.
const KEYS: usize = 1000;
/// Of the busy clients of a pod, and of far more than a pod has.
const CONNECTIONS: usize = 16;
const MANY_CONNECTIONS: usize = 200;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often each contestant has its turn.
    pub rounds: usize,
    /// Requests in a turn.
    pub requests: usize,
}

/// All figures of hits.
pub(crate) fn measure(stage: &Stage, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let sidecar = stage.sidecar()?;
    let answer = sidecar.token(&format!("resource={}", resource(0)))?;
    ensure!(answer.status == 200, "no token: {}", answer.body);
    let floor = stage.yardstick("bench-floor", raw(&answer).as_bytes())?;
    let hyper = stage.yardstick("bench-hyper", answer.body.as_bytes())?;
    let one = [request(&resource(0))];
    let many: Vec<_> = (0..KEYS).map(|number| request(&resource(number))).collect();
    Load::new(sidecar.port(), &many)?.one_after_another(KEYS)?;

    let floor = Contestant { pid: floor.pid(), port: floor.port, requests: &one };
    let hyper = Contestant { pid: hyper.pid(), port: hyper.port, requests: &one };
    let hit = Contestant { pid: sidecar.pid(), port: sidecar.port(), requests: &one };
    let hit_among_many = Contestant { requests: &many, ..hit };
    let full = compete([floor, hyper, hit, hit_among_many], CONNECTIONS, effort)?;
    let many = compete([floor, hit], MANY_CONNECTIONS, effort)?;
    let latencies = [
        latency("p50, 16 connections", &full, P50),
        latency("p99, 16 connections", &full, P99),
        latency("p99.9, 16 connections", &full, P999).limit(Limit::AtMost(2.0)),
        latency("p99, 200 connections", &many, P99).limit(Limit::AtMost(2.0)),
    ];
    if wrk::is_installed() {
        let by_wrk = compete_by_wrk(stage, [floor, hyper, hit, hit_among_many], effort.rounds)?;
        Ok([work(&by_wrk), work_without_a_pause(&full), latencies.into()].concat())
    } else {
        let own: Vec<[Work; 4]> = full.iter().map(|turns| turns.map(|turn| turn.work)).collect();
        Ok([work(&own), latencies.into()].concat())
    }
}

/// As it was on the wire.
fn raw(answer: &Response) -> String {
    let mut raw = format!("HTTP/1.1 {}\r\n", answer.status_line());
    for (name, value) in &answer.headers {
        raw.extend([name, ": ", value, "\r\n"]);
    }
    raw + "\r\n" + &answer.body
}

/// A server and what it is asked for.
#[derive(Clone, Copy)]
struct Contestant<'a> {
    pid: u32,
    port: u16,
    requests: &'a [Vec<u8>],
}

/// What one turn showed.
#[derive(Debug, Clone, Copy)]
struct Turn {
    work: Work,
    p50: Duration,
    p99: Duration,
    p999: Duration,
}

/// What the server did in a turn.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// For one request.
    cpu: Duration,
    /// Of its core.
    busy: f64,
    /// Requests per second.
    throughput: f64,
}

impl Work {
    fn new(cpu: Duration, wall: Duration, requests: u32) -> Self {
        Self {
            cpu: cpu / requests.max(1),
            busy: cpu.as_secs_f64() / wall.as_secs_f64(),
            throughput: f64::from(requests) / wall.as_secs_f64(),
        }
    }
}

impl Contestant<'_> {
    /// The first request of each connection is not counted: it makes the connection.
    fn turn(self, connections: usize, requests: usize) -> anyhow::Result<Turn> {
        let mut load = Load::new(self.port, self.requests)?;
        load.burst(connections)?;
        let before = Schedule::of(self.pid)?.on_core;
        let run = load.run(requests)?;
        let cpu = Schedule::of(self.pid)?.on_core.saturating_sub(before);
        let work = Work::new(cpu, run.wall, u32::try_from(requests)?);
        Ok(Turn { work, p50: run.percentile(500), p99: run.percentile(990), p999: run.percentile(999) })
    }

    fn turn_by_wrk(self, stage: &Stage) -> anyhow::Result<Work> {
        let before = Schedule::of(self.pid)?.on_core;
        let run = wrk::run(stage, self.port, self.requests, CONNECTIONS)?;
        Ok(Work::new(Schedule::of(self.pid)?.on_core.saturating_sub(before), run.wall, run.requests))
    }
}

/// One turn of each in every round.
fn compete<const N: usize>(
    contestants: [Contestant<'_>; N],
    connections: usize,
    Effort { rounds, requests }: Effort,
) -> anyhow::Result<Vec<[Turn; N]>> {
    eprintln!("  {N} contestants, {connections} connections, {rounds} rounds of {requests} requests …");
    (0..rounds).map(|_| each(contestants, |contestant| contestant.turn(connections, requests))).collect()
}

fn compete_by_wrk<const N: usize>(
    stage: &Stage,
    contestants: [Contestant<'_>; N],
    rounds: usize,
) -> anyhow::Result<Vec<[Work; N]>> {
    eprintln!("  the same by wrk, {rounds} rounds of a second …");
    (0..rounds).map(|_| each(contestants, |contestant| contestant.turn_by_wrk(stage))).collect()
}

fn each<'a, T, const N: usize>(
    contestants: [Contestant<'a>; N],
    turn: impl FnMut(Contestant<'a>) -> anyhow::Result<T>,
) -> anyhow::Result<[T; N]> {
    let turns: Vec<T> = contestants.into_iter().map(turn).collect::<Result<_, _>>()?;
    <[T; N]>::try_from(turns).map_err(|_| anyhow::anyhow!("a turn is missing"))
}

fn work(rounds: &[[Work; 4]]) -> Vec<Row> {
    let hit_to_floor: Vec<_> = rounds.iter().map(|[floor, _, hit, _]| (*hit, *floor)).collect();
    let hyper_to_floor: Vec<_> = rounds.iter().map(|[floor, hyper, _, _]| (*hyper, *floor)).collect();
    let many_to_one: Vec<_> = rounds.iter().map(|[_, _, hit, among_many]| (*among_many, *hit)).collect();
    vec![
        compare("cached hit, CPU per request", &hit_to_floor, "floor", CPU).limit(Limit::AtMost(1.25)),
        compare("the same of bare hyper", &hyper_to_floor, "floor", CPU),
        compare("the same among 1,000 keys", &many_to_one, "one key", CPU).limit(Limit::AtMost(1.1)),
        compare("requests per second, 16 connections", &hit_to_floor, "floor", THROUGHPUT).limit(Limit::AtLeast(0.93)),
        compare("their cores are busy", &hit_to_floor, "floor", BUSY),
    ]
}

/// By our own load, which is faster than the floor: no limit, but this is where hyper and we are slower than the least.
fn work_without_a_pause(rounds: &[[Turn; 4]]) -> Vec<Row> {
    let hit_to_floor: Vec<_> = rounds.iter().map(|[floor, _, hit, _]| (hit.work, floor.work)).collect();
    vec![
        compare("CPU per request under a load without a pause", &hit_to_floor, "floor", CPU),
        compare("requests per second under it", &hit_to_floor, "floor", THROUGHPUT),
        compare("their cores are busy under it", &hit_to_floor, "floor", BUSY),
    ]
}

fn latency<const N: usize>(figure: &str, rounds: &[[Turn; N]], aspect: Aspect<Turn>) -> Row {
    // The sidecar's turn with one key is the second of two and the third of four.
    let hit_to_floor: Vec<_> = rounds.iter().filter_map(|turns| Some((*turns.get(N / 2)?, *turns.first()?))).collect();
    compare(figure, &hit_to_floor, "floor", aspect)
}

/// What is looked at, and its unit.
type Aspect<T> = (fn(T) -> f64, &'static str);
const CPU: Aspect<Work> = (|work| work.cpu.as_secs_f64() * 1e6, "µs");
const BUSY: Aspect<Work> = (|work| work.busy * 100.0, "%");
const THROUGHPUT: Aspect<Work> = (|work| work.throughput / 1e3, "k/s");
const P50: Aspect<Turn> = (|turn| turn.p50.as_secs_f64() * 1e6, "µs");
const P99: Aspect<Turn> = (|turn| turn.p99.as_secs_f64() * 1e6, "µs");
const P999: Aspect<Turn> = (|turn| turn.p999.as_secs_f64() * 1e6, "µs");

fn compare<T: Copy>(figure: &str, rounds: &[(T, T)], with: &'static str, (of, unit): Aspect<T>) -> Row {
    let measured = median(rounds.iter().map(|(one, _)| of(*one)));
    let other = median(rounds.iter().map(|(_, other)| of(*other)));
    let ratio = median(rounds.iter().map(|(one, other)| of(*one) / of(*other)));
    Row::new(figure, Quantity::new(measured, unit)).beside(with, Quantity::new(other, unit), Quantity::times(ratio))
}
