//! What an app feels of the exchanges behind its tokens, measured at its end of a connection that is kept alive.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::http::{Connection, METADATA, Response};
use azwi_tests::kernel::Schedule;
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::stage::{RESOURCE, SECOND, Stage};
use serde_json::Value;

/// Two hundred requests a second.
const PACE: Duration = Duration::from_millis(5);
/// Longest that a request for a token that is there may take.
const BOUND: Duration = Duration::from_millis(20);

/// An app on a connection of its own.
struct App {
    connection: Connection,
    /// The sidecar's process.
    pid: u32,
    next: Instant,
}

/// One answer, and how long the app waited for it.
struct Answered {
    response: Response,
    took: Duration,
}

impl App {
    fn of(proxy: &Proxy) -> Result<Self> {
        Ok(Self { connection: proxy.connect()?, pid: proxy.pid(), next: Instant::now() })
    }

    fn ask(&mut self) -> Result<Answered> {
        let (waited, started) = (self.kept_waiting()?, Instant::now());
        self.connection.request("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA])?;
        let response = self.connection.response()?;
        let took = started.elapsed();
        // Whoever else is busy on this machine is none of the sidecar's fault.
        let not_let = self.kept_waiting()?.saturating_sub(waited);
        Ok(Answered { response, took: took.saturating_sub(not_let) })
    }

    /// Asks when its time has come.
    #[expect(clippy::disallowed_methods, reason = "requests at a steady rate are what is measured")]
    fn ask_at_its_pace(&mut self) -> Result<Answered> {
        self.next += PACE;
        sleep(self.next.saturating_duration_since(Instant::now()));
        self.ask()
    }

    /// How long the sidecar and the test have been ready to run but were not let, in all.
    fn kept_waiting(&self) -> Result<Duration> {
        Ok(Schedule::of(self.pid)?.kept_waiting + Schedule::of_this_thread()?.kept_waiting)
    }
}

#[track_caller]
fn assert_granted(answered: &Answered) {
    assert_eq!(answered.response.status, 200, "{}", answered.response.body);
}

#[track_caller]
fn assert_at_once(answered: &Answered) {
    assert_granted(answered);
    assert!(answered.took < BOUND, "took {:?}", answered.took);
}

/// The longest that an exchange took after the first, which has to connect.
fn slowest_refresh(mut stage: Stage) -> Result<Duration> {
    stage.proxy.terminate()?;
    stage.proxy.wait()?;
    let took = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("took_ms")?.as_u64();
    let slowest = stage.proxy.log.whole().lines().filter_map(took).skip(1).max().context("no refresh")?;
    Ok(Duration::from_millis(slowest))
}

/// Twelve seconds of an app with tokens of ten seconds, which are refreshed after eight and good for nine.
fn twelve_seconds() -> Result<(Stage, Vec<Answered>)> {
    let stage = Stage::new()?;
    // Entra's `expires_in` is a second short.
    stage.entra.faults(r#"{"token_lifetime":11,"latency_ms":300}"#)?;
    let mut app = App::of(&stage.proxy)?;
    assert_eq!(app.ask()?.response.status, 200);
    app.next = Instant::now();
    let answers: Result<Vec<_>> = (0..2400).map(|_| app.ask_at_its_pace()).collect();
    let answers = answers?;
    assert!(stage.exchanges()? >= 2);
    Ok((stage, answers))
}

#[test]
fn with_tokens_of_ten_seconds_and_200_requests_a_second_none_fails_or_takes_20_ms_after_the_first() -> Result<()> {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (stage, answers) = twelve_seconds()?;
        let slowest = answers.iter().map(|answered| answered.took).max().context("no answer")?;
        // Refreshed half a second before it is too late: a machine so busy that Entra takes longer shows nothing. Nor does
        // one whose disk or host has the sidecar wait; what the sidecar itself waits for would show each time.
        let refresh = slowest_refresh(stage)?;
        if refresh < Duration::from_millis(450) {
            answers.iter().for_each(assert_granted);
            if slowest < BOUND {
                return Ok(());
            }
        }
        seen.push((refresh, slowest));
    }
    anyhow::bail!("the slowest refresh and the slowest answer of each of three tries: {seen:?}")
}

#[test]
fn an_outage_that_ends_a_minute_before_the_token_does_is_felt_by_nobody() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"token_lifetime":65,"refresh_in":1,"remaining":1}"#)?;
    let mut app = App::of(&stage.proxy)?;
    let first = app.ask()?.response.field("access_token");
    let minute_left = Instant::now() + Duration::from_secs(4);
    stage.entra.faults(r#"{"status":503}"#)?;
    app.next = Instant::now();
    while Instant::now() < minute_left {
        assert_at_once(&app.ask_at_its_pace()?);
    }
    assert!(stage.exchanges()? >= 2, "no refresh fell into the outage");
    stage.entra.clear_faults()?;
    loop {
        let answered = app.ask_at_its_pace()?;
        assert_at_once(&answered);
        if answered.response.field("access_token") != first {
            return Ok(());
        }
        assert!(minute_left.elapsed() < Duration::from_secs(50), "it has never been refreshed");
    }
}

#[test]
fn three_thousand_requests_in_an_outage_of_15_seconds_get_the_token_that_is_there() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"refresh_in":1,"remaining":1}"#)?;
    let mut app = App::of(&stage.proxy)?;
    let token = app.ask()?.response.field("access_token");
    stage.entra.faults(r#"{"reset":true}"#)?;
    stage.proxy.log.wait_for(&[("message", "token exchange failed")]).context("no refresh has failed")?;
    let started = Instant::now();
    app.next = started;
    for _ in 0..3000 {
        let answered = app.ask_at_its_pace()?;
        assert_at_once(&answered);
        assert_eq!(answered.response.field("access_token"), token);
    }
    assert!(started.elapsed() > 2999 * PACE);
    // It has not ended meanwhile.
    assert_eq!(stage.entra.counters()?.succeeded, 1);
    Ok(())
}

#[test]
fn exchanges_that_hang_hold_up_no_token_that_is_there() -> Result<()> {
    let stage = Stage::new()?;
    let mut app = App::of(&stage.proxy)?;
    assert_eq!(app.ask()?.response.status, 200);
    stage.entra.faults(&format!(r#"{{"hang":true,"client_id":"{SECOND}"}}"#))?;
    let mut stuck = Vec::new();
    for number in 0..20 {
        let mut connection = stage.proxy.connect()?;
        let target = format!("{TOKEN}?resource=https://{number}.example&client_id={SECOND}");
        connection.request("GET", &target, &[METADATA])?;
        stuck.push(connection);
    }
    stage.entra.wait_for_exchanges(21)?;
    for _ in 0..500 {
        assert_at_once(&app.ask()?);
    }
    // Nor one that must be fetched first.
    let started = Instant::now();
    assert_eq!(stage.proxy.token("resource=https://vault.azure.net")?.status, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    for connection in &mut stuck {
        assert!(connection.is_open()?, "one does not hang");
    }
    Ok(())
}
