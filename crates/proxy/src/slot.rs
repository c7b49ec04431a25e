//! One cached token: served while valid, refreshed before it expires, fetched once however many ask.
//!
//! Requests never own an attempt: it runs detached, so a client that goes away cancels nothing. An attempt that fails
//! leaves a valid token alone. What nobody has been given is not fetched again: an unused key falls asleep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use azwi_entra::AccessToken;
use azwi_imds::{Failure, TokenAnswer, TokenBody};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::{Clock, Now};
use crate::failure::{BUDGET, Circumstances, Failed, out_of_time};
use crate::key::Key;
use crate::lifetime::Lifetime;
use crate::source::TokenSource;

/// Longest first attempt: short enough that a second one fits into a request's budget when the first one hangs.
const FIRST_TIMEOUT: Duration = Duration::from_millis(3500);
/// How often `bypass_cache=true` may cause an exchange: the app must not get its pod throttled.
const BYPASS_INTERVAL: Duration = Duration::from_secs(10);
/// Longest later attempt: patient with an Entra that is slow rather than gone.
const LATER_TIMEOUT: Duration = Duration::from_secs(10);

/// What all slots share.
pub(crate) struct Shared {
    /// Where tokens come from.
    pub source: Arc<dyn TokenSource>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How long an identity counts as new.
    pub grace: Duration,
}

/// A token and its rendering for the current second.
struct Token {
    life: Lifetime,
    expires_on: u64,
    body: TokenBody,
    rendered: ArcSwap<(u64, Bytes)>,
    /// Somebody has been given it.
    used: AtomicBool,
}

impl Token {
    fn new(token: &AccessToken, key: &Key, born: Now) -> Self {
        let body = TokenBody::new(&TokenAnswer {
            access_token: token.secret.expose(),
            client_id: key.identity.client.as_str(),
            expires_on: token.expires_on,
            ext_expires_in: token.ext_expires_in,
            not_before: token.not_before,
            resource: &key.resource,
        });
        Self {
            life: Lifetime::new(born, token.expires_in, token.refresh_in),
            expires_on: token.expires_on,
            body,
            rendered: ArcSwap::from_pointee((u64::MAX, Bytes::new())),
            used: AtomicBool::new(false),
        }
    }

    /// The answer at `now`; rendered once a second, however many ask.
    fn hand_out(&self, now: Now) -> Bytes {
        self.used.store(true, Ordering::Relaxed);
        let remaining = self.life.remaining(now).as_secs();
        let rendered = self.rendered.load();
        if rendered.0 == remaining {
            return rendered.1.clone();
        }
        // On the token's own scale, so that expires_in is right even where this node's clock is not.
        let body = Bytes::from(self.body.render(self.expires_on.saturating_sub(remaining)));
        self.rendered.store(Arc::new((remaining, body.clone())));
        body
    }
}

/// The outcome of an attempt, as everybody who waits for it sees it.
type Outcome = Result<Arc<Token>, Arc<Failed>>;

/// The one attempt under way, and what the last one left behind.
#[derive(Default)]
struct Progress {
    attempt: Option<watch::Receiver<Option<Outcome>>>,
    failed: Option<Arc<Failed>>,
    wake: Option<AbortHandle>,
}

/// What a request without a usable token can do.
enum Step {
    Await(watch::Receiver<Option<Outcome>>),
    Held(Arc<Failed>),
}

/// The place of one key.
pub(crate) struct Slot {
    key: Key,
    first_use: Instant,
    shared: Arc<Shared>,
    current: ArcSwapOption<Token>,
    progress: Mutex<Progress>,
}

impl Slot {
    /// An empty place. `first_use` is when the key's identity was first asked for, whatever the resource.
    pub(crate) fn new(key: Key, first_use: Instant, shared: Arc<Shared>) -> Self {
        Self { key, first_use, shared, current: ArcSwapOption::empty(), progress: Mutex::default() }
    }

    /// The answer, if a usable token is there. Starts a refresh when one is due, without waiting for it.
    pub(crate) fn ready(self: &Arc<Self>) -> Option<Bytes> {
        let now = self.shared.clock.now();
        let current = self.current.load();
        let token = current.as_ref().filter(|token| token.life.is_usable(now))?;
        if token.life.is_refresh_due(now) {
            self.join_or_start(now.monotonic);
        }
        Some(token.hand_out(now))
    }

    /// The answer, waiting for it as long as a request may.
    pub(crate) async fn wait(self: Arc<Self>) -> Result<Bytes, Failure> {
        let started = self.shared.clock.now().monotonic;
        let mut last: Option<Arc<Failed>> = None;
        loop {
            if let Some(answer) = self.ready() {
                return Ok(answer);
            }
            let failed = match self.join_or_start(self.shared.clock.now().monotonic) {
                Step::Held(failed) => failed,
                Step::Await(attempt) => match timeout_at(started + BUDGET, outcome(attempt)).await {
                    Ok(Some(Ok(token))) => return Ok(token.hand_out(self.shared.clock.now())),
                    Ok(Some(Err(failed))) => failed,
                    Ok(None) => continue,
                    Err(_) => return Err(out_of_time(last.as_deref())),
                },
            };
            failed.told.store(true, Ordering::Relaxed);
            if failed.budget.is_zero() || failed.retry_at > started + failed.budget {
                return Err(failed.answer(self.shared.clock.now().monotonic));
            }
            sleep_until(failed.retry_at).await;
            last = Some(failed);
        }
    }

    /// As [`Self::wait`], but with a token fetched for this request, unless the present one is only seconds old or a
    /// newer one cannot be had.
    pub(crate) async fn wait_for_new(self: Arc<Self>) -> Result<Bytes, Failure> {
        let now = self.shared.clock.now();
        let is_new = self.current.load().as_ref().is_some_and(|token| token.life.age(now) < BYPASS_INTERVAL);
        if !is_new
            && let Step::Await(attempt) = self.join_or_start(now.monotonic)
            && let Ok(Some(Ok(token))) = timeout_at(now.monotonic + BUDGET, outcome(attempt)).await
        {
            return Ok(token.hand_out(self.shared.clock.now()));
        }
        self.wait().await
    }

    /// Joins the attempt under way, or starts one unless it is too early after a failure.
    fn join_or_start(self: &Arc<Self>, now: Instant) -> Step {
        let mut progress = self.progress();
        // An attempt whose sender is gone can never finish.
        if let Some(attempt) = progress.attempt.as_ref().filter(|attempt| attempt.has_changed().is_ok()) {
            return Step::Await(attempt.clone());
        }
        if let Some(failed) = progress.failed.as_ref().filter(|failed| now < failed.retry_at) {
            return Step::Held(Arc::clone(failed));
        }
        let (sender, receiver) = watch::channel(None);
        progress.attempt = Some(receiver.clone());
        let timeout = if progress.failed.is_some() { LATER_TIMEOUT } else { FIRST_TIMEOUT };
        tokio::spawn(Arc::clone(self).attempt(timeout, sender));
        Step::Await(receiver)
    }

    async fn attempt(self: Arc<Self>, timeout: Duration, sender: watch::Sender<Option<Outcome>>) {
        let fetched = self.shared.source.fetch(&self.key, timeout).await;
        let now = self.shared.clock.now();
        let mut progress = self.progress();
        let (outcome, wake_at) = match fetched {
            Ok(token) => {
                let token = Arc::new(Token::new(&token, &self.key, now));
                self.current.store(Some(Arc::clone(&token)));
                progress.failed = None;
                let wake_at = token.life.refresh_at();
                (Ok(token), wake_at)
            }
            Err(error) => {
                let circumstances = self.circumstances(now, progress.failed.as_deref());
                let failed = Arc::new(Failed::new(&error, circumstances));
                progress.failed = Some(Arc::clone(&failed));
                let wake_at = failed.retry_at;
                (Err(failed), wake_at)
            }
        };
        progress.attempt = None;
        self.wake_at(wake_at, &mut progress);
        drop(progress);
        sender.send_replace(Some(outcome));
    }

    fn circumstances(&self, now: Now, last: Option<&Failed>) -> Circumstances {
        Circumstances {
            now: now.monotonic,
            in_grace: now.monotonic < self.first_use + self.shared.grace,
            has_token: self.current.load().as_ref().is_some_and(|token| token.life.is_usable(now)),
            last_pause: last.map(|failed| failed.pause),
        }
    }

    /// Whether somebody has been given what is there now: the token, or else the failure.
    fn is_in_use(&self) -> bool {
        let now = self.shared.clock.now();
        match self.current.load().as_ref().filter(|token| token.life.is_usable(now)) {
            Some(token) => token.used.load(Ordering::Relaxed),
            None => self.progress().failed.as_ref().is_some_and(|failed| failed.told.load(Ordering::Relaxed)),
        }
    }

    /// Sets the one alarm of this slot: at `at`, fetch anew if the slot is in use. It does not keep the slot alive.
    fn wake_at(self: &Arc<Self>, at: Instant, progress: &mut Progress) {
        let slot = Arc::downgrade(self);
        let alarm = tokio::spawn(async move {
            sleep_until(at).await;
            wake(&slot);
        });
        if let Some(previous) = progress.wake.replace(alarm.abort_handle()) {
            previous.abort();
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(slot: &Weak<Slot>) {
    if let Some(slot) = slot.upgrade()
        && slot.is_in_use()
    {
        slot.join_or_start(slot.shared.clock.now().monotonic);
    }
}

/// The outcome of an attempt; `None` if it vanished (the runtime is shutting down).
async fn outcome(mut attempt: watch::Receiver<Option<Outcome>>) -> Option<Outcome> {
    attempt.wait_for(Option::is_some).await.ok()?.clone()
}

#[cfg(test)]
mod tests;
