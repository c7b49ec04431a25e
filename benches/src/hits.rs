//! What a cached token costs, beside an answer of the same size from the floor and from hyper.

use anyhow::ensure;
use azwi_tests::http::Response;
use azwi_tests::kernel::Schedule;
use azwi_tests::resources::resource;

use crate::contest::{
    Aspect, BUSY, CPU, Contestant, Effort, P50, P99, P999, THROUGHPUT, Turn, Work, compare, compete, each,
};
use crate::load::Load;
use crate::report::{Limit, Row};
use crate::stage::{Stage, request};
use crate::wrk;

/// Of the cache that is rather full.
const KEYS: usize = 1000;
/// Of the busy clients of a pod, and of far more than a pod has.
const CONNECTIONS: usize = 16;
const MANY_CONNECTIONS: usize = 200;

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

    let floor = Contestant { pid: floor.pid(), address: floor.port.into(), requests: &one };
    let hyper = Contestant { pid: hyper.pid(), address: hyper.port.into(), requests: &one };
    let hit = Contestant { pid: sidecar.pid(), address: sidecar.port().into(), requests: &one };
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

fn compete_by_wrk<const N: usize>(
    stage: &Stage,
    contestants: [Contestant<'_>; N],
    rounds: usize,
) -> anyhow::Result<Vec<[Work; N]>> {
    eprintln!("  the same by wrk, {rounds} rounds of a second …");
    (0..rounds).map(|_| each(contestants, |contestant| turn_by_wrk(contestant, stage))).collect()
}

fn turn_by_wrk(contestant: Contestant<'_>, stage: &Stage) -> anyhow::Result<Work> {
    let before = Schedule::of(contestant.pid)?.on_core;
    let run = wrk::run(stage, contestant.address.port, contestant.requests, CONNECTIONS)?;
    Ok(Work::new(Schedule::of(contestant.pid)?.on_core.saturating_sub(before), run.wall, run.requests))
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
