//! What a cached token costs, beside an answer of the same size from the floor and from hyper.
//!
//! The contestants take turns, so that whatever else the machine does strikes them all. Each round gives its own ratio,
//! and the median of these counts.

use std::time::Duration;

use anyhow::ensure;
use azwi_tests::http::Response;

use crate::load::Load;
use crate::proc::cpu_time;
use crate::report::{Limit, Quantity, Row};
use crate::stage::{Stage, request, resource};
use crate::statistics::median;

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
    let few = compete([floor, hyper, hit, hit_among_many], CONNECTIONS, effort)?;
    let many = compete([floor, hit], MANY_CONNECTIONS, effort)?;
    Ok(few_connections(&few).into_iter().chain([many_connections(&many)]).collect())
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
    /// Of the server, for one request.
    cpu: Duration,
    /// Of the server's core.
    busy: f64,
    /// Requests per second.
    throughput: f64,
    p99: Duration,
    p999: Duration,
}

impl Contestant<'_> {
    /// The first request of each connection is not counted: it makes the connection.
    fn turn(self, connections: usize, requests: usize) -> anyhow::Result<Turn> {
        let mut load = Load::new(self.port, self.requests)?;
        load.burst(connections)?;
        let before = cpu_time(self.pid)?;
        let run = load.run(requests)?;
        let cpu = cpu_time(self.pid)?.saturating_sub(before);
        Ok(Turn {
            cpu: cpu.div_f64(f64::from(u32::try_from(requests)?)),
            busy: cpu.as_secs_f64() / run.wall.as_secs_f64(),
            throughput: run.throughput(),
            p99: run.percentile(990),
            p999: run.percentile(999),
        })
    }
}

/// One turn of each in every round.
fn compete<const N: usize>(
    contestants: [Contestant<'_>; N],
    connections: usize,
    Effort { rounds, requests }: Effort,
) -> anyhow::Result<Vec<[Turn; N]>> {
    eprintln!("  {N} contestants, {connections} connections, {rounds} rounds of {requests} requests …");
    let round = |_| {
        let turns: Vec<Turn> =
            contestants.iter().map(|contestant| contestant.turn(connections, requests)).collect::<Result<_, _>>()?;
        <[Turn; N]>::try_from(turns).map_err(|_| anyhow::anyhow!("a turn is missing"))
    };
    (0..rounds).map(round).collect()
}

fn few_connections(rounds: &[[Turn; 4]]) -> Vec<Row> {
    let hit_to_floor: Vec<_> = rounds.iter().map(|[floor, _, hit, _]| (*hit, *floor)).collect();
    let hyper_to_floor: Vec<_> = rounds.iter().map(|[floor, hyper, _, _]| (*hyper, *floor)).collect();
    let many_to_one: Vec<_> = rounds.iter().map(|[_, _, hit, among_many]| (*among_many, *hit)).collect();
    let busy = median(rounds.iter().map(|[floor, ..]| floor.busy * 100.0));
    vec![
        compare("cached hit, CPU per request", &hit_to_floor, "floor", CPU).limit(Limit::AtMost(1.25)),
        compare("the same of bare hyper", &hyper_to_floor, "floor", CPU),
        compare("the same among 1,000 keys", &many_to_one, "one key", CPU).limit(Limit::AtMost(1.1)),
        compare("requests per second, 16 connections", &hit_to_floor, "floor", THROUGHPUT).limit(Limit::AtLeast(0.93)),
        Row::new("the floor keeps its core busy at that", Quantity::new(busy, "%")),
        compare("p99.9, 16 connections", &hit_to_floor, "floor", P999).limit(Limit::AtMost(2.0)),
    ]
}

fn many_connections(rounds: &[[Turn; 2]]) -> Row {
    let hit_to_floor: Vec<_> = rounds.iter().map(|[floor, hit]| (*hit, *floor)).collect();
    compare("p99, 200 connections", &hit_to_floor, "floor", P99).limit(Limit::AtMost(2.0))
}

/// What is looked at of a turn, and its unit.
type Aspect = (fn(Turn) -> f64, &'static str);
const CPU: Aspect = (|turn| turn.cpu.as_secs_f64() * 1e6, "µs");
const THROUGHPUT: Aspect = (|turn| turn.throughput / 1e3, "k/s");
const P99: Aspect = (|turn| turn.p99.as_secs_f64() * 1e6, "µs");
const P999: Aspect = (|turn| turn.p999.as_secs_f64() * 1e6, "µs");

fn compare(figure: &str, rounds: &[(Turn, Turn)], with: &'static str, (of, unit): Aspect) -> Row {
    let measured = median(rounds.iter().map(|(one, _)| of(*one)));
    let other = median(rounds.iter().map(|(_, other)| of(*other)));
    let ratio = median(rounds.iter().map(|(one, other)| of(*one) / of(*other)));
    Row::new(figure, Quantity::new(measured, unit)).beside(with, Quantity::new(other, unit), Quantity::times(ratio))
}
