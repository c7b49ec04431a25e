//! The cache's policy in paused time: a scripted Entra, an injected clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize};

use azwi_entra::{AccessToken, AssertionError, ClientId, ExchangeError, Refusal, Resource, Secret, TenantId};
use azwi_imds::FailureStatus;
use tokio::time::{advance, sleep};

use super::*;
use crate::key::Identity;
use crate::source::{Fetch, FetchError};

const BORN: u64 = 1_700_000_000;

/// Follows tokio's paused time; the wall clock can be set apart from it.
struct TestClock {
    start: Instant,
    wall_offset: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let monotonic = Instant::now();
        let unix = BORN + (monotonic - self.start).as_secs();
        Now { unix: unix.saturating_add_signed(self.wall_offset.load(Ordering::Relaxed)), monotonic }
    }
}

/// Answers what the script says, one line an attempt, then tokens of an hour.
struct Entra {
    latency: Duration,
    script: Mutex<VecDeque<Result<AccessToken, FetchError>>>,
    attempts: AtomicUsize,
    /// Each attempt's, as its line in the log would be counted.
    numbers: Mutex<Vec<u32>>,
    /// Nobody answers.
    down: AtomicBool,
}

impl TokenSource for Entra {
    fn fetch<'a>(&'a self, _: &'a Key, Attempt { number, timeout, .. }: Attempt) -> Fetch<'a> {
        Box::pin(async move {
            self.numbers.lock().unwrap().push(number);
            let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
            sleep(self.latency.min(timeout)).await;
            if self.latency > timeout {
                return transport();
            }
            if self.down.load(Ordering::Relaxed) {
                return transport();
            }
            let line = self.script.lock().unwrap().pop_front();
            line.unwrap_or_else(|| token(3600, attempt))
        })
    }
}

struct Stage {
    entra: Arc<Entra>,
    clock: Arc<TestClock>,
    slot: Arc<Slot>,
}

impl Stage {
    fn new(latency: Duration, script: Vec<Result<AccessToken, FetchError>>, grace: Duration) -> Self {
        let entra = Arc::new(Entra {
            latency,
            script: Mutex::new(script.into()),
            attempts: AtomicUsize::new(0),
            numbers: Mutex::default(),
            down: AtomicBool::new(false),
        });
        let clock = Arc::new(TestClock { start: Instant::now(), wall_offset: AtomicI64::new(0) });
        let shared = Shared::new(Arc::clone(&entra) as _, Arc::clone(&clock) as _, grace);
        let tenant = TenantId::parse("contoso.com").unwrap();
        let client = ClientId::parse("aaaaaaaa-0000-4000-8000-000000000000").unwrap();
        let resource = Resource::parse("https://vault.azure.net".to_owned()).unwrap();
        let key = Key { identity: Arc::new(Identity { tenant, client }), resource };
        let slot = Arc::new(Slot::new(key, Instant::now(), Arc::new(shared)));
        Self { entra, clock, slot }
    }

    fn scripted(script: Vec<Result<AccessToken, FetchError>>) -> Self {
        Self::new(Duration::from_millis(100), script, Duration::ZERO)
    }

    /// Another key, with the same Entra.
    fn another_slot(&self, number: usize) -> Arc<Slot> {
        let identity = Arc::clone(&self.slot.key.identity);
        let resource = Resource::parse(format!("https://resource-{number}.example")).unwrap();
        let key = Key { identity, resource };
        Arc::new(Slot::new(key, Instant::now(), Arc::clone(&self.slot.shared)))
    }

    async fn ask(&self) -> Result<String, Box<Failure>> {
        let body = Arc::clone(&self.slot).wait(Demand::Any).await?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    fn ready(&self) -> Option<String> {
        self.slot.ready(self.slot.now()).map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    fn attempts(&self) -> usize {
        self.entra.attempts.load(Ordering::Relaxed)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a line of the script")]
fn token(seconds: u64, number: usize) -> Result<AccessToken, FetchError> {
    Ok(AccessToken {
        secret: Secret::new(format!("token-{number}")),
        expires_in: Duration::from_secs(seconds),
        expires_on: BORN + seconds,
        not_before: BORN,
        ext_expires_in: seconds,
        refresh_in: None,
    })
}

/// A token for which Entra itself says when to refresh it.
fn refreshed_after(seconds: u64, token: Result<AccessToken, FetchError>) -> Result<AccessToken, FetchError> {
    token.map(|token| AccessToken { refresh_in: Some(Duration::from_secs(seconds)), ..token })
}

fn transport() -> Result<AccessToken, FetchError> {
    Err(ExchangeError::Transport { place: "Entra at https://entra.example/".to_owned(), cause: "timed out".to_owned() }
        .into())
}

fn refused(code: u64, status: u16, retry_after: Option<u64>) -> Result<AccessToken, FetchError> {
    Err(FetchError::Exchange(ExchangeError::Refused(Box::new(Refusal {
        status,
        error: "invalid_client".to_owned(),
        description: format!("AADSTS{code}: no"),
        error_codes: vec![code],
        timestamp: None,
        trace_id: Some("trace".to_owned()),
        correlation_id: None,
        retry_after: retry_after.map(Duration::from_secs),
    }))))
}

fn no_assertion() -> Result<AccessToken, FetchError> {
    Err(AssertionError::Empty("/token".into()).into())
}

fn retry_after(failure: &Failure) -> u64 {
    failure.status.retry_after().unwrap().as_secs()
}

#[tokio::test(start_paused = true)]
async fn two_hundred_requests_at_once_cause_one_exchange() {
    let stage = Stage::scripted(vec![]);
    let requests: Vec<_> = (0..200).map(|_| tokio::spawn(Arc::clone(&stage.slot).wait(Demand::Any))).collect();
    for request in requests {
        assert!(request.await.unwrap().is_ok());
    }
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_longest_is_answered_first() {
    let stage = Stage::scripted(Vec::new());
    let answered = Arc::new(Mutex::new(Vec::new()));
    let requests: Vec<_> = (0..50)
        .map(|number| {
            let (slot, answered) = (Arc::clone(&stage.slot), Arc::clone(&answered));
            tokio::spawn(async move {
                slot.wait(Demand::Any).await.unwrap();
                answered.lock().unwrap().push(number);
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    assert!(answered.lock().unwrap().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_cancels_nothing() {
    let stage = Stage::scripted(vec![]);
    assert!(timeout_at(Instant::now() + Duration::from_millis(50), stage.ask()).await.is_err());
    sleep(Duration::from_millis(60)).await;
    assert!(stage.ready().is_some());
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn expires_in_counts_down_while_the_token_stays_the_same() {
    let stage = Stage::scripted(vec![token(3600, 7)]);
    assert!(stage.ask().await.unwrap().contains(r#""expires_in":"3600""#));
    advance(Duration::from_secs(100)).await;
    let answer = stage.ask().await.unwrap();
    assert!(answer.contains(r#""expires_in":"3500""#) && answer.contains("token-7"), "{answer}");
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn expires_in_is_right_where_the_nodes_clock_is_wrong() {
    let stage = Stage::scripted(vec![token(3600, 1)]);
    stage.clock.wall_offset.store(-7200, Ordering::Relaxed);
    assert!(stage.ask().await.unwrap().contains(r#""expires_in":"3600""#));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_handed_out_is_refreshed_before_it_expires() {
    let stage = Stage::scripted(vec![token(1000, 1), token(1000, 2)]);
    stage.ask().await.unwrap();
    sleep(Duration::from_secs(860)).await;
    assert!(stage.ready().unwrap().contains("token-2"));
    assert_eq!(stage.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_was_given_is_not_refreshed() {
    let stage = Stage::scripted(vec![token(1000, 1), token(1000, 2)]);
    stage.ask().await.unwrap();
    sleep(Duration::from_mins(150)).await;
    assert_eq!(stage.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_fetched_ahead_is_there_at_once_and_not_refreshed_before_somebody_was_given_it() {
    let stage = Stage::scripted(vec![token(3600, 1), token(3600, 2)]);
    Arc::clone(&stage.slot).prewarm().await.unwrap();
    assert_eq!(stage.slot.expires_in(), None);
    // Its refresh was due at 51 minutes at the latest.
    sleep(Duration::from_mins(52)).await;
    assert_eq!(stage.attempts(), 1);
    assert!(stage.ready().unwrap().contains("token-1"));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ahead_is_not_tried_again_before_somebody_was_told() {
    let stage = Stage::scripted(vec![refused(700_213, 401, None)]);
    assert!(Arc::clone(&stage.slot).prewarm().await.is_err());
    sleep(Duration::from_hours(1)).await;
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_fetches_ahead_waits_for_five_seconds_and_says_what_failed_last() {
    let stage = Stage::new(Duration::from_hours(1), vec![], Duration::ZERO);
    let started = Instant::now();
    let failure = Arc::clone(&stage.slot).prewarm().await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert!(failure.description.contains("timed out"), "{}", failure.description);
}

#[tokio::test(start_paused = true)]
async fn a_request_after_the_due_time_is_answered_at_once_and_starts_the_refresh() {
    let stage = Stage::scripted(vec![token(1000, 1), token(4000, 2), token(4000, 3)]);
    stage.ask().await.unwrap();
    // The second token came at about 800 s and was given to nobody, so it is still there when its refresh is due.
    sleep(Duration::from_secs(4300)).await;
    assert!(stage.ready().unwrap().contains("token-2"));
    sleep(Duration::from_millis(200)).await;
    assert!(stage.ready().unwrap().contains("token-3"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_tried_again_though_nobody_asks_meanwhile() {
    let stage = Stage::scripted(vec![token(1000, 1), transport(), transport(), token(1000, 4)]);
    stage.ask().await.unwrap();
    sleep(Duration::from_secs(895)).await;
    assert!(stage.ready().unwrap().contains("token-4"));
}

/// How many attempts a token of an hour sees while each refresh ends in `failure`. An app asks for it each second.
async fn attempts_while(failure: fn() -> Result<AccessToken, FetchError>) -> usize {
    let mut script = vec![token(3600, 1)];
    script.extend((0..10_000).map(|_| failure()));
    let stage = Stage::scripted(script);
    stage.ask().await.unwrap();
    let started = Instant::now();
    // It may be handed out up to one minute before the expiry.
    while started.elapsed() < Duration::from_secs(3530) {
        assert!(stage.ask().await.unwrap().contains("token-1"));
        sleep(Duration::from_secs(1)).await;
    }
    stage.attempts()
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_the_token_and_backs_off() {
    let attempts = attempts_while(transport).await;
    assert!((10..150).contains(&attempts), "{attempts} attempts");
}

#[tokio::test(start_paused = true)]
async fn while_a_token_is_served_a_missing_service_account_token_is_looked_for_ever_more_rarely() {
    let attempts = attempts_while(no_assertion).await;
    assert!((10..150).contains(&attempts), "{attempts} attempts");
}

#[tokio::test(start_paused = true)]
async fn while_a_token_is_served_a_refused_service_account_token_is_sent_ever_more_rarely() {
    for refusal in [|| refused(700_024, 401, None), || refused(700_027, 401, None), || refused(50_027, 400, None)] {
        let attempts = attempts_while(refusal).await;
        assert!((10..150).contains(&attempts), "{attempts} attempts");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_account_token_that_comes_back_is_found_by_the_end_of_the_token_that_is_served() {
    for _ in 0..10 {
        let mut script = vec![token(100, 1)];
        script.extend((0..1000).map(|_| no_assertion()));
        let stage = Stage::scripted(script);
        stage.ask().await.unwrap();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(90) {
            assert!(stage.ask().await.is_ok());
            sleep(Duration::from_millis(500)).await;
        }
        stage.entra.script.lock().unwrap().clear();
        assert!(stage.ask().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_without_a_service_account_token_do_not_count() {
    let stage = Stage::scripted(vec![no_assertion(), no_assertion(), transport(), transport()]);
    stage.ask().await.unwrap();
    assert_eq!(*stage.entra.numbers.lock().unwrap(), [1, 1, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_ends_a_minute_before_the_expiry_is_felt_by_nobody() {
    for _ in 0..10 {
        let stage = Stage::scripted(vec![token(3600, 1)]);
        stage.ask().await.unwrap();
        let started = Instant::now();
        stage.entra.down.store(true, Ordering::Relaxed);
        while started.elapsed() < Duration::from_mins(59) {
            stage.ask().await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        stage.entra.down.store(false, Ordering::Relaxed);
        while started.elapsed() < Duration::from_secs(3700) {
            stage.ask().await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_with_less_than_five_minutes_is_not_handed_out_while_a_newer_one_can_be_had() {
    let stage = Stage::scripted(vec![refreshed_after(2880, token(3600, 1)), token(3600, 2), token(3600, 3)]);
    stage.ask().await.unwrap();
    // The second token came after 48 minutes and was given to nobody; it has three minutes left.
    sleep(Duration::from_mins(48 + 57)).await;
    assert!(stage.ready().is_none());
    assert!(stage.ask().await.unwrap().contains("token-3"));
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_wait_has_the_token_up_to_its_last_minute_and_a_newer_one_is_fetched() {
    let stage = Stage::scripted(vec![refreshed_after(2880, token(3600, 1)), token(3600, 2), token(3600, 3)]);
    assert!(stage.slot.valid().is_none());
    stage.ask().await.unwrap();
    sleep(Duration::from_mins(48 + 57)).await;
    assert!(String::from_utf8(stage.slot.valid().unwrap().to_vec()).unwrap().contains("token-2"));
    sleep(Duration::from_millis(200)).await;
    assert!(stage.ready().unwrap().contains("token-3"));
}

#[tokio::test(start_paused = true)]
async fn a_token_with_less_than_five_minutes_is_handed_out_after_one_try_for_a_newer_one() {
    let stage = Stage::scripted(vec![refreshed_after(2880, token(3600, 1)), token(3600, 2), transport(), transport()]);
    stage.ask().await.unwrap();
    sleep(Duration::from_mins(48 + 57)).await;
    let started = Instant::now();
    assert!(stage.ask().await.unwrap().contains("token-2"));
    assert_eq!(started.elapsed(), Duration::from_millis(100));
    assert!(stage.ask().await.unwrap().contains("token-2"));
    assert_eq!(started.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_handed_out_after_two_seconds_at_most_while_entra_hangs() {
    let stage = Stage::new(Duration::from_secs(3), vec![refreshed_after(2880, token(3600, 1))], Duration::ZERO);
    stage.ask().await.unwrap();
    for demand in [Demand::New, Demand::Any] {
        sleep(Duration::from_mins(28)).await;
        let started = Instant::now();
        assert!(Arc::clone(&stage.slot).wait(demand).await.is_ok());
        assert!(started.elapsed() <= PATIENCE_WITH_TOKEN, "{demand:?}: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_later_than_that_is_handed_the_valid_token_at_once() {
    for demand in [Demand::New, Demand::Any] {
        let stage = Stage::new(Duration::from_secs(3), vec![refreshed_after(2880, token(3600, 1))], Duration::ZERO);
        stage.ask().await.unwrap();
        // The second token came after 48 minutes and has three minutes left.
        sleep(Duration::from_mins(48 + 57)).await;
        let _first = tokio::spawn(Arc::clone(&stage.slot).wait(demand));
        for (after, waits) in
            [(Duration::from_millis(1500), Duration::from_millis(500)), (Duration::ZERO, Duration::ZERO)]
        {
            sleep(after).await;
            let started = Instant::now();
            let body = Arc::clone(&stage.slot).wait(demand).await.unwrap();
            assert!(String::from_utf8(body.to_vec()).unwrap().contains("token-2"));
            assert_eq!(started.elapsed(), waits, "{demand:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_node_gets_a_new_token() {
    let stage = Stage::scripted(vec![token(3600, 1), token(3600, 2)]);
    stage.ask().await.unwrap();
    stage.clock.wall_offset.store(7200, Ordering::Relaxed);
    assert!(stage.ready().is_none());
    assert!(stage.ask().await.unwrap().contains("token-2"));
}

#[tokio::test(start_paused = true)]
async fn a_transient_fault_is_absorbed_within_the_request() {
    let stage = Stage::scripted(vec![transport(), refused(90_033, 503, None), token(3600, 3)]);
    assert!(stage.ask().await.unwrap().contains("token-3"));
    assert_eq!(stage.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn when_the_budget_ends_the_answer_is_503_and_the_exchange_goes_on() {
    let stage = Stage::new(Duration::from_secs(9), vec![], Duration::ZERO);
    let started = Instant::now();
    let failure = stage.ask().await.unwrap_err();
    assert!(started.elapsed() <= BUDGET);
    assert_eq!(failure.error, "temporarily_unavailable");
    assert_eq!(retry_after(&failure), 2);
    sleep(Duration::from_secs(5)).await;
    assert!(stage.ready().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lasting_outage_is_503_within_the_budget() {
    let stage = Stage::scripted((0..100).map(|_| transport()).collect());
    let started = Instant::now();
    let failure = stage.ask().await.unwrap_err();
    assert!(started.elapsed() <= BUDGET && stage.attempts() > 2);
    assert!((1..=20).contains(&retry_after(&failure)));
}

#[tokio::test(start_paused = true)]
async fn entras_retry_after_beyond_the_budget_is_passed_on_at_once() {
    let stage = Stage::scripted(vec![refused(90_033, 503, Some(15))]);
    let started = Instant::now();
    let failure = stage.ask().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(retry_after(&failure), 15);
}

#[tokio::test(start_paused = true)]
async fn while_throttled_entra_is_left_alone() {
    let stage = Stage::scripted(vec![refused(90_055, 429, Some(30)), token(3600, 2)]);
    let failure = stage.ask().await.unwrap_err();
    assert!(matches!(failure.status, FailureStatus::TooManyRequests { .. }));
    assert_eq!(retry_after(&failure), 20);
    advance(Duration::from_secs(20)).await;
    assert_eq!(retry_after(&stage.ask().await.unwrap_err()), 10);
    assert_eq!(stage.attempts(), 1);
    advance(Duration::from_secs(11)).await;
    assert!(stage.ask().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_throttles_again_and_again_is_asked_ever_more_rarely_though_it_asks_for_a_second() {
    let stage = Stage::scripted((0..1000).map(|_| refused(90_055, 429, Some(1))).collect());
    let started = Instant::now();
    while started.elapsed() < Duration::from_mins(10) {
        let failure = stage.ask().await.unwrap_err();
        assert!((1..=20).contains(&retry_after(&failure)), "{failure:?}");
        sleep(Duration::from_secs(1)).await;
    }
    assert!((15..40).contains(&stage.attempts()), "{} attempts", stage.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_is_honoured_however_often_it_comes() {
    let stage = Stage::scripted((0..10).map(|_| refused(90_055, 429, Some(100))).collect());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(450) {
        stage.ask().await.unwrap_err();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(stage.attempts(), 5);
}

#[tokio::test(start_paused = true)]
async fn where_entra_sees_a_loop_it_is_left_alone_for_a_minute_at_least() {
    let stage = Stage::scripted(vec![refused(50_196, 400, Some(1)), token(3600, 2)]);
    assert_eq!(retry_after(&stage.ask().await.unwrap_err()), 20);
    sleep(Duration::from_secs(50)).await;
    assert!(stage.ask().await.is_err());
    assert_eq!(stage.attempts(), 1);
    sleep(Duration::from_secs(10)).await;
    assert!(stage.ask().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_zero_does_not_undo_the_pause() {
    let stage = Stage::scripted(vec![refused(90_055, 429, Some(0)), token(3600, 2)]);
    assert_eq!(retry_after(&stage.ask().await.unwrap_err()), 10);
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_final_refusal_is_remembered_for_half_a_minute_to_a_minute() {
    let stage = Stage::scripted(vec![refused(7_000_112, 401, None), token(3600, 2)]);
    let failure = stage.ask().await.unwrap_err();
    assert_eq!((failure.status, failure.error.as_str()), (FailureStatus::Forbidden, "invalid_client"));
    assert_eq!(failure.details.unwrap().trace_id.as_deref(), Some("trace"));
    sleep(Duration::from_secs(29)).await;
    assert!(stage.ask().await.is_err());
    assert_eq!(stage.attempts(), 1);
    // Somebody asked, so the next attempt is made in the background.
    sleep(Duration::from_secs(32)).await;
    assert!(stage.ready().is_some());
    assert_eq!(stage.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_federated_credential_is_waited_for_while_the_identity_is_new() {
    let script = vec![refused(700_213, 401, None), refused(700_213, 401, None), token(3600, 3)];
    let stage = Stage::new(Duration::from_millis(100), script, Duration::from_mins(1));
    assert!(stage.ask().await.unwrap().contains("token-3"));
}

#[tokio::test(start_paused = true)]
async fn a_missing_federated_credential_is_503_within_the_grace_and_403_after_it() {
    let script = (0..100).map(|_| refused(700_213, 401, None)).collect();
    let stage = Stage::new(Duration::from_millis(100), script, Duration::from_mins(1));
    let failure = stage.ask().await.unwrap_err();
    assert_eq!(retry_after(&failure), 10);
    assert!(failure.description.contains("AADSTS700213"));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.ask().await.unwrap_err().status, FailureStatus::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_refused_resource_is_400_with_entras_error() {
    let stage = Stage::scripted(vec![refused(500_011, 400, None)]);
    assert_eq!(stage.ask().await.unwrap_err().status, FailureStatus::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn a_missing_service_account_token_is_waited_for_two_seconds() {
    let stage = Stage::new(Duration::ZERO, (0..100).map(|_| no_assertion()).collect(), Duration::ZERO);
    let started = Instant::now();
    let failure = stage.ask().await.unwrap_err();
    assert!(started.elapsed() <= Duration::from_secs(2) && stage.attempts() > 5);
    assert_eq!(retry_after(&failure), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_account_token_that_appears_late_is_used() {
    let stage = Stage::scripted(vec![no_assertion(), no_assertion(), token(3600, 3)]);
    assert!(stage.ask().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn bypassing_the_cache_fetches_once_in_ten_seconds() {
    let stage = Stage::scripted(vec![]);
    stage.ask().await.unwrap();
    advance(Duration::from_secs(10)).await;
    for _ in 0..3 {
        let body = Arc::clone(&stage.slot).wait(Demand::New).await.unwrap();
        assert!(String::from_utf8(body.to_vec()).unwrap().contains("token-2"));
    }
    assert_eq!(stage.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn bypassing_the_cache_falls_back_to_the_token_that_is_there() {
    let stage = Stage::scripted(vec![token(3600, 1), transport()]);
    stage.ask().await.unwrap();
    advance(Duration::from_secs(10)).await;
    let body = Arc::clone(&stage.slot).wait(Demand::New).await.unwrap();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("token-1"));
}

#[tokio::test(start_paused = true)]
async fn bypassing_the_cache_keeps_to_the_budget() {
    let stage = Stage::new(Duration::from_mins(1), vec![], Duration::ZERO);
    let started = Instant::now();
    assert!(Arc::clone(&stage.slot).wait(Demand::New).await.is_err());
    assert!(started.elapsed() <= BUDGET, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn keys_beyond_the_room_for_attempts_are_told_to_come_back_and_leave_no_trace() {
    let stage = Stage::new(Duration::from_mins(1), vec![], Duration::ZERO);
    let slots: Vec<_> = (0..=MAX_COLD_ATTEMPTS).map(|number| stage.another_slot(number)).collect();
    let waiting: Vec<_> = slots.into_iter().map(|slot| tokio::spawn(slot.wait(Demand::Any))).collect();
    let mut last = None;
    for answer in waiting {
        last = Some(answer.await.unwrap().unwrap_err());
    }
    let failure = last.unwrap();
    assert!(matches!(failure.status, FailureStatus::TooManyRequests { .. }), "{failure:?}");
    assert_eq!(retry_after(&failure), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_for_one_key_need_room_for_one_attempt() {
    let stage = Stage::scripted(vec![]);
    let all = u32::try_from(MAX_COLD_ATTEMPTS).unwrap();
    let mut others = Arc::clone(&stage.slot.shared.cold_attempts).acquire_many_owned(all).await.unwrap();
    let asked: Vec<_> = (0..3).map(|_| tokio::spawn(Arc::clone(&stage.slot).wait(Demand::Any))).collect();
    sleep(Duration::from_secs(1)).await;
    drop(others.split(1));
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(stage.entra.attempts.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_needs_no_room_among_keys_without_a_token() {
    let stage = Stage::scripted(vec![token(1000, 1), token(1000, 2)]);
    stage.ask().await.unwrap();
    let _others = Arc::clone(&stage.slot.shared.cold_attempts).acquire_many_owned(64).await.unwrap();
    sleep(Duration::from_secs(860)).await;
    assert!(stage.ready().unwrap().contains("token-2"));
}

#[tokio::test(start_paused = true)]
async fn of_keys_that_bypass_the_cache_all_at_once_128_fetch_and_the_rest_has_the_token_that_is_there() {
    let stage = Stage::scripted(vec![]);
    let slots: Vec<_> = (0..1000).map(|number| stage.another_slot(number)).collect();
    for slot in &slots {
        Arc::clone(slot).wait(Demand::Any).await.unwrap();
    }
    advance(BYPASS_INTERVAL).await;
    let asked: Vec<_> = slots.iter().map(|slot| tokio::spawn(Arc::clone(slot).wait(Demand::New))).collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(stage.attempts(), 1000 + MAX_WARM_ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_finds_no_room_is_made_once_there_is_some() {
    let stage = Stage::scripted(vec![token(600, 1), token(600, 2)]);
    stage.ask().await.unwrap();
    let all = u32::try_from(MAX_WARM_ATTEMPTS).unwrap();
    let others = Arc::clone(&stage.slot.shared.warm_attempts).acquire_many_owned(all).await.unwrap();
    sleep(Duration::from_secs(520)).await;
    assert!(stage.ready().unwrap().contains("token-1"));
    drop(others);
    sleep(NO_ROOM_DELAY + Duration::from_millis(200)).await;
    assert!(stage.ready().unwrap().contains("token-2"));
}

#[tokio::test(start_paused = true)]
async fn an_evicted_key_leaves_nothing_behind() {
    let stage = Stage::scripted(vec![]);
    let slot = stage.another_slot(1);
    Arc::clone(&slot).wait(Demand::Any).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let with_alarm = tasks();
    drop(slot);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), with_alarm - 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_born_almost_expired_is_handed_out_once_per_exchange() {
    let stage = Stage::new(Duration::ZERO, vec![token(1, 1), token(1, 2)], Duration::ZERO);
    assert!(stage.ask().await.unwrap().contains("token-1"));
    advance(Duration::from_secs(1)).await;
    assert!(stage.ask().await.unwrap().contains("token-2"));
}
