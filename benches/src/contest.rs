//! Servers that take turns under the same load, so that whatever else the machine does strikes them all. Each round gives
//! its own ratio, and the median of these counts.

use std::time::Duration;

use azwi_tests::kernel::Schedule;

use crate::load::{Address, Load};
use crate::report::{Quantity, Row};
use crate::statistics::median;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often each contestant has its turn.
    pub rounds: usize,
    /// Requests in a turn.
    pub requests: usize,
}

/// A server and what it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Contestant<'a> {
    pub pid: u32,
    pub address: Address<'a>,
    pub requests: &'a [Vec<u8>],
}

/// What one turn showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub work: Work,
    p50: Duration,
    p99: Duration,
    p999: Duration,
}

/// What the server did in a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// For one request.
    cpu: Duration,
    /// Of its core.
    busy: f64,
    /// Requests per second.
    throughput: f64,
}

impl Work {
    pub(crate) fn new(cpu: Duration, wall: Duration, requests: u32) -> Self {
        Self {
            cpu: cpu / requests.max(1),
            busy: cpu.as_secs_f64() / wall.as_secs_f64(),
            throughput: f64::from(requests) / wall.as_secs_f64(),
        }
    }
}

impl Contestant<'_> {
    /// The first request of each connection is not counted: it makes the connection.
    pub(crate) fn turn(self, connections: usize, requests: usize) -> anyhow::Result<Turn> {
        let mut load = Load::new(self.address, self.requests)?;
        load.burst(connections)?;
        let before = Schedule::of(self.pid)?.on_core;
        let run = load.run(requests)?;
        let cpu = Schedule::of(self.pid)?.on_core.saturating_sub(before);
        let work = Work::new(cpu, run.wall, u32::try_from(requests)?);
        Ok(Turn { work, p50: run.percentile(500), p99: run.percentile(990), p999: run.percentile(999) })
    }
}

/// One turn of each in every round.
pub(crate) fn compete<const N: usize>(
    contestants: [Contestant<'_>; N],
    connections: usize,
    Effort { rounds, requests }: Effort,
) -> anyhow::Result<Vec<[Turn; N]>> {
    eprintln!("  {N} contestants, {connections} connections, {rounds} rounds of {requests} requests …");
    (0..rounds).map(|_| each(contestants, |contestant| contestant.turn(connections, requests))).collect()
}

pub(crate) fn each<'a, T, const N: usize>(
    contestants: [Contestant<'a>; N],
    turn: impl FnMut(Contestant<'a>) -> anyhow::Result<T>,
) -> anyhow::Result<[T; N]> {
    let turns: Vec<T> = contestants.into_iter().map(turn).collect::<Result<_, _>>()?;
    <[T; N]>::try_from(turns).map_err(|_| anyhow::anyhow!("a turn is missing"))
}

/// What is looked at, and its unit.
pub(crate) type Aspect<T> = (fn(T) -> f64, &'static str);
pub(crate) const CPU: Aspect<Work> = (|work| work.cpu.as_secs_f64() * 1e6, "µs");
pub(crate) const BUSY: Aspect<Work> = (|work| work.busy * 100.0, "%");
pub(crate) const THROUGHPUT: Aspect<Work> = (|work| work.throughput / 1e3, "k/s");
pub(crate) const P50: Aspect<Turn> = (|turn| turn.p50.as_secs_f64() * 1e6, "µs");
pub(crate) const P99: Aspect<Turn> = (|turn| turn.p99.as_secs_f64() * 1e6, "µs");
pub(crate) const P999: Aspect<Turn> = (|turn| turn.p999.as_secs_f64() * 1e6, "µs");

pub(crate) fn compare<T: Copy>(figure: &str, rounds: &[(T, T)], with: &'static str, (of, unit): Aspect<T>) -> Row {
    let measured = median(rounds.iter().map(|(one, _)| of(*one)));
    let other = median(rounds.iter().map(|(_, other)| of(*other)));
    let ratio = median(rounds.iter().map(|(one, other)| of(*one) / of(*other)));
    Row::new(figure, Quantity::new(measured, unit)).beside(with, Quantity::new(other, unit), Quantity::times(ratio))
}
