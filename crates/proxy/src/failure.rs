//! What a failed attempt means to the app, and when the next one is worth making.
//!
//! Statuses are chosen by what the Azure SDKs do with them (docs/compatibility.md): 400 is sticky in several of them and
//! is kept for faults of the request, 403 is final and shown to the user, 503 and 429 are retried by all.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use azwi_entra::{Class, ExchangeError, Refusal};
use azwi_imds::{EntraDetails, Failure, FailureStatus, RetryAfter};
use tokio::time::Instant;

use crate::source::FetchError;

/// How long an app's request may wait for a token.
pub(crate) const BUDGET: Duration = Duration::from_secs(8);
/// How long it waits for kubelet to write the service account token.
const ASSERTION_BUDGET: Duration = Duration::from_secs(2);
const ASSERTION_POLL: Duration = Duration::from_millis(100);
/// Between tries while a new federated credential may still be propagating.
const PROPAGATION_DELAY: Duration = Duration::from_millis(2500);
/// Until the next try after Entra has refused the assertion itself: the app's next request may find a repaired file.
const STALE_DELAY: Duration = Duration::from_secs(1);
/// What Entra is spared after throttling without a Retry-After.
const THROTTLED_DELAY: Duration = Duration::from_secs(10);
/// Entra takes this identity's requests for a loop, and says so to who has asked too often already.
const LOOP_DETECTED: u64 = 50_196;
/// The least it is spared then, whatever its Retry-After says.
const LOOP_DELAY: Duration = Duration::from_mins(1);
/// Longest wait that Entra's Retry-After can impose; a gateway that says "tomorrow" must not be the outage.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// First and longest pause between tries after transient faults; the longer one while a valid token is served, or Entra
/// throttles.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(4);
const LONGEST_PATIENT_BACKOFF: Duration = Duration::from_secs(30);

/// Circumstances of a failed attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    /// When the attempt ended.
    pub now: Instant,
    /// The attempt's number.
    pub number: u32,
    /// Whether the identity is so new that a missing federated credential may be propagation delay.
    pub in_grace: bool,
    /// How long a valid token can be served meanwhile, if there is one.
    pub token_left: Option<Duration>,
    /// The pause after the failure before this one, if this is not the first in a row.
    pub last_pause: Option<Duration>,
}

/// A failed attempt: what to tell those who asked, and until when nobody need ask again.
#[derive(Debug)]
pub(crate) struct Failed {
    reply: Reply,
    error: String,
    description: String,
    details: Option<EntraDetails>,
    /// How many attempts in a row have failed; those that had no assertion to send do not count.
    pub number: u32,
    /// How long a request may wait for a better outcome: zero for final refusals.
    pub budget: Duration,
    /// The pause that was chosen.
    pub pause: Duration,
    /// No attempt before this.
    pub retry_at: Instant,
    /// Somebody has been told of it.
    pub told: AtomicBool,
}

/// Status of the answer, with the least Retry-After in seconds where there is one.
#[derive(Debug, Clone, Copy)]
enum Reply {
    BadRequest,
    Forbidden,
    TooManyRequests,
    Unavailable(u64),
}

/// What the rules say before times are filled in: the status, how long a request waits, the pause till the next attempt.
struct Rule(Reply, Duration, Duration);

impl Failed {
    /// Applies the rules to `cause`.
    pub(crate) fn new(cause: &FetchError, circumstances: Circumstances) -> Self {
        let Rule(reply, budget, pause) = rule(cause, circumstances);
        let refusal = match cause {
            FetchError::Exchange(ExchangeError::Refused(refusal)) => Some(refusal.as_ref()),
            _ => None,
        };
        Self {
            reply,
            error: error(reply, refusal),
            description: cause.to_string(),
            details: refusal.map(details),
            number: circumstances.number.saturating_sub(u32::from(matches!(cause, FetchError::Assertion(_)))),
            budget,
            pause,
            retry_at: circumstances.now + pause,
            told: AtomicBool::new(false),
        }
    }

    /// The answer to an app at `now`.
    pub(crate) fn answer(&self, now: Instant) -> Failure {
        let wait = self.retry_at.saturating_duration_since(now).as_secs_f64().ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes at most, never negative")]
        let wait = wait as u64;
        let status = match self.reply {
            Reply::BadRequest => FailureStatus::BadRequest,
            Reply::Forbidden => FailureStatus::Forbidden,
            Reply::TooManyRequests => FailureStatus::TooManyRequests { retry_after: RetryAfter::new(wait) },
            Reply::Unavailable(least) => FailureStatus::Unavailable { retry_after: RetryAfter::new(wait.max(least)) },
        };
        Failure {
            status,
            error: self.error.clone(),
            description: self.description.clone(),
            details: self.details.clone(),
        }
    }
}

/// The answer when the budget ends while Entra is still being asked: what it said last tells when to come back.
pub(crate) fn out_of_time(last: Option<&Failed>) -> Failure {
    let reason = last.map_or_else(String::new, |failed| format!(" Last failure: {}", failed.description));
    let wait = match last.map(|failed| failed.reply) {
        Some(Reply::Unavailable(seconds)) => seconds,
        _ => 2,
    };
    Failure {
        status: FailureStatus::Unavailable { retry_after: RetryAfter::new(wait) },
        error: "temporarily_unavailable".to_owned(),
        description: format!("Entra has not answered yet; the exchange goes on, ask again.{reason}"),
        details: last.and_then(|failed| failed.details.clone()),
    }
}

/// The answer when tokens for this app's other requests leave no room to fetch one.
pub(crate) fn overloaded() -> Failure {
    too_many("Too many tokens are being fetched at once.")
}

/// The answer when this app's other requests leave no room to wait.
pub(crate) fn crowded() -> Failure {
    too_many("Too many requests are waiting for an answer.")
}

fn too_many(description: &str) -> Failure {
    Failure {
        status: FailureStatus::TooManyRequests { retry_after: RetryAfter::new(1) },
        error: "temporarily_unavailable".to_owned(),
        description: description.to_owned(),
        details: None,
    }
}

/// The answer when the sidecar is told to end before Entra has answered.
pub(crate) fn draining() -> Failure {
    Failure {
        status: FailureStatus::Unavailable { retry_after: RetryAfter::new(1) },
        error: "temporarily_unavailable".to_owned(),
        description: "The sidecar is being ended; ask its successor.".to_owned(),
        details: None,
    }
}

/// The answer when the sidecar lacks what an exchange needs.
pub(crate) fn misconfigured(what: &str) -> Failure {
    Failure {
        status: FailureStatus::Forbidden,
        error: "invalid_client".to_owned(),
        description: format!("sidecar configuration: {what}"),
        details: None,
    }
}

/// Whether the app is told that it need not ask again, until somebody repairs something.
pub(crate) fn is_final(class: Class, in_grace: bool) -> bool {
    match class {
        Class::Request | Class::Permanent | Class::MalformedAssertion => true,
        Class::Propagating => !in_grace,
        Class::StaleAssertion | Class::Issuer | Class::Transient | Class::Throttled => false,
    }
}

fn rule(cause: &FetchError, circumstances: Circumstances) -> Rule {
    let backoff = backoff(circumstances);
    match cause {
        FetchError::Assertion(_) => {
            Rule(Reply::Unavailable(2), ASSERTION_BUDGET, unhurried(ASSERTION_POLL, circumstances, backoff))
        }
        FetchError::Exchange(ExchangeError::Refused(refusal)) => refused(refusal, circumstances, backoff),
        FetchError::Exchange(_) => Rule(Reply::Unavailable(2), BUDGET, backoff),
    }
}

fn refused(refusal: &Refusal, circumstances: Circumstances, backoff: Duration) -> Rule {
    // Zero, or a date that is past on this node's clock, asks for nothing.
    let asked_for = refusal.retry_after.filter(|pause| !pause.is_zero()).map(|pause| pause.min(LONGEST_WAIT));
    let pause = asked_for.map_or(backoff, |pause| pause.max(backoff));
    let stale_delay = unhurried(STALE_DELAY, circumstances, backoff);
    match refusal.class() {
        Class::Request => Rule(Reply::BadRequest, Duration::ZERO, remembered()),
        Class::Propagating if circumstances.in_grace => Rule(Reply::Unavailable(10), BUDGET, PROPAGATION_DELAY),
        Class::Propagating | Class::Permanent => Rule(Reply::Forbidden, Duration::ZERO, remembered()),
        Class::StaleAssertion => Rule(Reply::Unavailable(5), Duration::ZERO, stale_delay),
        Class::MalformedAssertion => Rule(Reply::Forbidden, Duration::ZERO, stale_delay),
        Class::Issuer => Rule(Reply::Unavailable(10), BUDGET, pause),
        Class::Transient => Rule(Reply::Unavailable(2), BUDGET, pause),
        Class::Throttled => Rule(Reply::TooManyRequests, BUDGET, throttled(refusal, asked_for, circumstances)),
    }
}

/// As long as Entra asks for, and each time about twice as long: it may ask for the same second for ever.
fn throttled(refusal: &Refusal, asked_for: Option<Duration>, circumstances: Circumstances) -> Duration {
    let doubled = circumstances.last_pause.map_or(Duration::ZERO, |last| last.mul_f64(1.5 + fastrand::f64()));
    let least = if refusal.error_codes.contains(&LOOP_DETECTED) { LOOP_DELAY } else { Duration::ZERO };
    asked_for.unwrap_or(THROTTLED_DELAY).max(doubled.min(LONGEST_PATIENT_BACKOFF)).max(least)
}

/// A short pause lets whoever waits have the token at once when the cause ends. While a valid one is served nobody waits,
/// and the cause may stay for hours: there it backs off, till that token's end.
fn unhurried(short: Duration, circumstances: Circumstances, backoff: Duration) -> Duration {
    circumstances.token_left.map_or(short, |left| short.max(backoff.min(left)))
}

/// Final refusals are remembered for 30 to 60 s: long enough to spare Entra, short enough to notice a repair.
fn remembered() -> Duration {
    Duration::from_secs_f64(30.0 + 30.0 * fastrand::f64())
}

/// Decorrelated jitter: between the first pause and three times the last one.
fn backoff(circumstances: Circumstances) -> Duration {
    // Not beyond the token's end: whoever asks then should find the next attempt under way.
    let patience = |left: Duration| left.clamp(LONGEST_BACKOFF, LONGEST_PATIENT_BACKOFF);
    let longest = circumstances.token_left.map_or(LONGEST_BACKOFF, patience);
    let spread = circumstances.last_pause.map_or(Duration::ZERO, |last| (last * 3).saturating_sub(FIRST_BACKOFF));
    (FIRST_BACKOFF + spread.mul_f64(fastrand::f64())).min(longest)
}

/// Entra's own word for refusals, the one that SDKs retry for the rest.
fn error(reply: Reply, refusal: Option<&Refusal>) -> String {
    let fallback = match reply {
        Reply::Unavailable(_) | Reply::TooManyRequests => return "temporarily_unavailable".to_owned(),
        Reply::BadRequest => "invalid_request",
        Reply::Forbidden => "invalid_client",
    };
    let error = refusal.map(|refusal| refusal.error.as_str()).filter(|error| !error.is_empty());
    error.unwrap_or(fallback).to_owned()
}

fn details(refusal: &Refusal) -> EntraDetails {
    EntraDetails {
        error_codes: refusal.error_codes.clone(),
        timestamp: refusal.timestamp.clone(),
        trace_id: refusal.trace_id.clone(),
        correlation_id: refusal.correlation_id.clone(),
    }
}
