//! One cached token: served while valid, refreshed before it expires, fetched once however many ask.
//!
//! Requests never own an attempt: it runs detached, so a client that goes away cancels nothing. An attempt that fails
//! leaves a valid token alone. What nobody has been given is not fetched again: an unused key falls asleep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use azwi_entra::AccessToken;
use azwi_imds::{Failure, TokenAnswer, TokenBody};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::{Clock, Now};
use crate::failure::{BUDGET, Circumstances, Failed, out_of_time, overloaded};
use crate::key::Key;
use crate::lifetime::Lifetime;
use crate::source::{Attempt, TokenSource};

/// Longest first attempt: short enough that a second one fits into a request's budget when the first one hangs.
const FIRST_TIMEOUT: Duration = Duration::from_millis(3500);
/// Attempts under way at once for keys without a token.
const MAX_COLD_ATTEMPTS: usize = 64;
/// Attempts under way at once for keys that serve a token: there may be thousands, and each attempt may take a socket.
const MAX_WARM_ATTEMPTS: usize = 128;
/// Until a refresh that found no room is tried again.
const NO_ROOM_DELAY: Duration = Duration::from_secs(1);
/// How far into an attempt requests wait for a newer token than the valid one that is there; some apps give up after
/// three seconds.
const PATIENCE_WITH_TOKEN: Duration = Duration::from_secs(2);
/// How long a token is waited for that nobody has asked for; an app that does so meanwhile waits as long as any.
const PREWARM_BUDGET: Duration = Duration::from_secs(5);
/// How often `bypass_cache=true` may cause an exchange: the app must not get its pod throttled.
const BYPASS_INTERVAL: Duration = Duration::from_secs(10);
/// Longest later attempt: patient with an Entra that is slow rather than gone.
const LATER_TIMEOUT: Duration = Duration::from_secs(10);

/// What all slots share.
pub(crate) struct Shared {
    /// Where tokens come from.
    source: Arc<dyn TokenSource>,
    /// What time it is.
    clock: Arc<dyn Clock>,
    /// How long an identity counts as new.
    grace: Duration,
    /// Room for attempts for keys without a token: an app that asks for a thousand resources waits for itself.
    cold_attempts: Arc<Semaphore>,
    /// Room of their own for keys that serve a token, lest the others keep them from a newer one.
    warm_attempts: Arc<Semaphore>,
}

impl Shared {
    /// What slots need, and room for their attempts.
    pub(crate) fn new(source: Arc<dyn TokenSource>, clock: Arc<dyn Clock>, grace: Duration) -> Self {
        let [cold_attempts, warm_attempts] =
            [MAX_COLD_ATTEMPTS, MAX_WARM_ATTEMPTS].map(|most| Arc::new(Semaphore::new(most)));
        Self { source, clock, grace, cold_attempts, warm_attempts }
    }

    /// The present moment on the monotonic clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now().monotonic
    }
}

/// A token, and what is answered with it in one second of its life.
struct Token {
    life: Lifetime,
    expires_on: u64,
    body: TokenBody,
    /// Somebody has been given it.
    used: AtomicBool,
}

impl Token {
    fn new(token: &AccessToken, key: &Key, born: Now) -> Self {
        let answer = TokenAnswer {
            access_token: token.secret.expose(),
            client_id: key.identity.client.as_str(),
            expires_on: token.expires_on,
            ext_expires_in: token.ext_expires_in,
            not_before: token.not_before,
            resource: key.resource.as_str(),
        };
        Self {
            life: Lifetime::new(born, token.expires_in, token.refresh_in),
            expires_on: token.expires_on,
            body: TokenBody::new(&answer, token.expires_on),
            used: AtomicBool::new(false),
        }
    }

    /// The same with the answer of `now`, if another second has begun; somebody is about to be given it.
    fn rendered_anew(&self, now: Now) -> Option<Self> {
        let remaining = self.life.remaining(now).as_secs();
        if self.body.expires_in() == remaining {
            return None;
        }
        // On the token's own scale, so that expires_in is right even where this node's clock is not.
        let body = self.body.at(self.expires_on.saturating_sub(remaining));
        Some(Self { life: self.life, expires_on: self.expires_on, body, used: AtomicBool::new(true) })
    }

    /// The answer as it is, to be given to somebody.
    fn answer(&self) -> Bytes {
        // Written once only: to write what is read at each request costs more than to read it.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.body.text().clone()
    }
}

/// The outcome of an attempt, as everybody who waits for it sees it.
type Outcome = Result<Arc<Token>, Arc<Failed>>;

/// An attempt under way, as everybody who waits for it sees it.
#[derive(Clone)]
struct Underway {
    since: Instant,
    /// Wakes who waits in the order in which they came: who has waited longest is answered first.
    outcome: future::Shared<oneshot::Receiver<Outcome>>,
}

impl Underway {
    /// It vanished without an outcome.
    fn is_dead(&self) -> bool {
        self.outcome.clone().now_or_never().is_some_and(|outcome| outcome.is_err())
    }
}

/// The one attempt under way, and what the last one left behind.
#[derive(Default)]
struct Progress {
    attempt: Option<Underway>,
    failed: Option<Arc<Failed>>,
    alarm: Option<AbortHandle>,
}

impl Progress {
    fn step(&self, now: Instant) -> Step {
        if let Some(attempt) = self.attempt.as_ref().filter(|attempt| !attempt.is_dead()) {
            return Step::Await(attempt.clone());
        }
        match self.failed.as_ref().filter(|failed| now < failed.retry_at) {
            Some(failed) => Step::Held(Arc::clone(failed)),
            None => Step::Free,
        }
    }
}

/// How the next token comes.
enum Step {
    /// An attempt is under way.
    Await(Underway),
    /// It is too early after a failure.
    Held(Arc<Failed>),
    /// Nothing hinders an attempt.
    Free,
}

/// Which token a request is content with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// One that will do for a while.
    Any,
    /// One fetched for this request, or seconds before it.
    New,
    /// One for whoever asks later: to fetch it is no use of it.
    Ahead,
}

impl Demand {
    /// How long to wait for it.
    fn budget(self) -> Duration {
        if self == Self::Ahead { PREWARM_BUDGET } else { BUDGET }
    }
}

/// The place of one key.
pub(crate) struct Slot {
    key: Key,
    first_use: Instant,
    shared: Arc<Shared>,
    current: ArcSwapOption<Token>,
    progress: Mutex<Progress>,
    /// An attempt has begun.
    started: Notify,
}

impl Slot {
    /// An empty place. `first_use` is when the key's identity was first asked for, whatever the resource.
    pub(crate) fn new(key: Key, first_use: Instant, shared: Arc<Shared>) -> Self {
        Self {
            key,
            first_use,
            shared,
            current: ArcSwapOption::empty(),
            progress: Mutex::default(),
            started: Notify::new(),
        }
    }

    /// What is asked for here.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The answer, if a token is there that any app is content with. Starts a refresh when one is due, without waiting.
    pub(crate) fn ready(self: &Arc<Self>, now: Now) -> Option<Bytes> {
        self.at_once(now, Lifetime::is_comfortable)
    }

    /// As [`Self::ready`], down to the last minute of a token.
    pub(crate) fn valid(self: &Arc<Self>) -> Option<Bytes> {
        self.at_once(self.now(), Lifetime::is_usable)
    }

    fn at_once(self: &Arc<Self>, now: Now, will_do: impl Fn(&Lifetime, Now) -> bool) -> Option<Bytes> {
        let current = self.current.load();
        let token = current.as_ref().filter(|token| will_do(&token.life, now))?;
        if token.life.is_refresh_due(now) {
            self.refresh(now.monotonic);
        }
        Some(self.hand_out(token, now))
    }

    /// The answer at `now`; rendered once a second, however many ask.
    fn hand_out(&self, token: &Arc<Token>, now: Now) -> Bytes {
        let Some(anew) = token.rendered_anew(now) else {
            return token.answer();
        };
        let anew = Arc::new(anew);
        // Unless a newer token has come meanwhile.
        self.current.compare_and_swap(token, Some(Arc::clone(&anew)));
        anew.answer()
    }

    /// The answer, waiting for it as long as a request may. A token that is still valid is handed out where no better
    /// one can be had.
    pub(crate) async fn wait(self: Arc<Self>, demand: Demand) -> Result<Bytes, Box<Failure>> {
        let token = self.obtain(demand).await?;
        Ok(self.hand_out(&token, self.now()))
    }

    /// Fetches a token before anybody asks, unless one is there. What nobody asks for then is not fetched again.
    pub(crate) async fn prewarm(self: Arc<Self>) -> Result<(), Box<Failure>> {
        self.obtain(Demand::Ahead).await.map(drop)
    }

    async fn obtain(self: &Arc<Self>, demand: Demand) -> Result<Arc<Token>, Box<Failure>> {
        let started = self.now().monotonic;
        let deadline = started + demand.budget();
        let mut last: Option<Arc<Failed>> = None;
        loop {
            if let Some(token) = self.usable().filter(|token| self.satisfies(demand, token)) {
                return Ok(token);
            }
            let failed = match self.step() {
                Step::Held(failed) => failed,
                Step::Free => {
                    tokio::select! {
                        permit = self.admit(deadline) => match permit {
                            Some(permit) => self.start(permit),
                            None => return self.last_resort(overloaded),
                        },
                        // By another request, which got the room first.
                        () = self.started.notified() => {}
                    }
                    continue;
                }
                Step::Await(Underway { since, outcome: pending }) => {
                    match timeout_at(self.patience(since, deadline), pending).await {
                        Ok(Ok(Ok(token))) => return Ok(token),
                        Ok(Ok(Err(failed))) => failed,
                        // It vanished: the runtime is shutting down.
                        Ok(Err(_)) => continue,
                        Err(_) => return self.last_resort(|| out_of_time(last.as_deref())),
                    }
                }
            };
            failed.told.fetch_or(demand != Demand::Ahead, Ordering::Relaxed);
            let is_hopeless = failed.retry_at > started + failed.budget.min(demand.budget());
            if is_hopeless || self.usable().is_some() {
                return self.last_resort(|| failed.answer(self.now().monotonic));
            }
            sleep_until(failed.retry_at).await;
            last = Some(failed);
        }
    }

    /// Whether a token is there that may be handed out.
    pub(crate) fn is_filled(&self) -> bool {
        self.usable().is_some()
    }

    /// What the token has left, if it is in use; zero if nobody could be given another one since it expired.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        let token = self.current.load_full().filter(|_| self.is_in_use())?;
        Some(token.life.remaining(self.now()))
    }

    /// Until when to wait for the attempt that began at `since`: briefly where a valid token is there to fall back on.
    fn patience(&self, since: Instant, deadline: Instant) -> Instant {
        if self.usable().is_some() { deadline.min(since + PATIENCE_WITH_TOKEN) } else { deadline }
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    fn usable(&self) -> Option<Arc<Token>> {
        self.current.load_full().filter(|token| token.life.is_usable(self.now()))
    }

    fn satisfies(&self, demand: Demand, token: &Token) -> bool {
        match demand {
            Demand::Any | Demand::Ahead => token.life.is_comfortable(self.now()),
            Demand::New => token.life.age(self.now()) < BYPASS_INTERVAL,
        }
    }

    /// The token that is still valid, else the failure.
    fn last_resort(&self, failure: impl FnOnce() -> Failure) -> Result<Arc<Token>, Box<Failure>> {
        self.usable().ok_or_else(|| Box::new(failure()))
    }

    fn step(&self) -> Step {
        self.progress().step(self.now().monotonic)
    }

    /// Room for an attempt, waiting for it where there is no token to hand out instead.
    async fn admit(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        if self.usable().is_some() {
            return self.room();
        }
        timeout_at(deadline, Arc::clone(&self.shared.cold_attempts).acquire_owned()).await.ok()?.ok()
    }

    /// Room for an attempt, if there is any.
    fn room(&self) -> Option<OwnedSemaphorePermit> {
        let Shared { cold_attempts, warm_attempts, .. } = self.shared.as_ref();
        let room = if self.usable().is_some() { warm_attempts } else { cold_attempts };
        Arc::clone(room).try_acquire_owned().ok()
    }

    /// Starts an attempt in the background, if nothing hinders it; `false` if there is no room for it.
    fn refresh(self: &Arc<Self>, now: Instant) -> bool {
        if !matches!(self.progress().step(now), Step::Free) {
            return true;
        }
        self.room().map(|permit| self.start(permit)).is_some()
    }

    /// Starts an attempt, unless another request has done so meanwhile.
    fn start(self: &Arc<Self>, permit: OwnedSemaphorePermit) {
        let now = self.now().monotonic;
        let mut progress = self.progress();
        if !matches!(progress.step(now), Step::Free) {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        progress.attempt = Some(Underway { since: now, outcome: receiver.shared() });
        self.started.notify_waiters();
        let (number, timeout) = match &progress.failed {
            Some(failed) => (failed.number.saturating_add(1), LATER_TIMEOUT),
            None => (1, FIRST_TIMEOUT),
        };
        let attempt = Attempt { number, timeout, in_grace: self.is_in_grace(now) };
        let attempt = Arc::clone(self).attempt(attempt, sender);
        tokio::spawn(async move {
            attempt.await;
            drop(permit);
        });
    }

    async fn attempt(self: Arc<Self>, attempt: Attempt, sender: oneshot::Sender<Outcome>) {
        let fetched = self.shared.source.fetch(&self.key, attempt).await;
        let now = self.now();
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
                let circumstances = self.circumstances(now, attempt.number, progress.failed.as_deref());
                let failed = Arc::new(Failed::new(&error, circumstances));
                progress.failed = Some(Arc::clone(&failed));
                let wake_at = failed.retry_at;
                (Err(failed), wake_at)
            }
        };
        progress.attempt = None;
        self.wake_at(wake_at, &mut progress);
        drop(progress);
        // Nobody may be waiting any more.
        drop(sender.send(outcome));
    }

    fn circumstances(&self, now: Now, number: u32, last: Option<&Failed>) -> Circumstances {
        Circumstances {
            now: now.monotonic,
            number,
            in_grace: self.is_in_grace(now.monotonic),
            token_left: self.usable().map(|token| token.life.usable_for(now)),
            last_pause: last.map(|failed| failed.pause),
        }
    }

    fn is_in_grace(&self, now: Instant) -> bool {
        now < self.first_use + self.shared.grace
    }

    /// Whether somebody has been given what is there now: the token, or else the failure.
    fn is_in_use(&self) -> bool {
        match self.usable() {
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
        if let Some(previous) = progress.alarm.replace(alarm.abort_handle()) {
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
        let now = slot.now().monotonic;
        if !slot.refresh(now) {
            slot.wake_at(now + NO_ROOM_DELAY, &mut slot.progress());
        }
    }
}

impl Drop for Slot {
    /// An evicted slot leaves no alarm behind.
    fn drop(&mut self) {
        let progress = self.progress.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(alarm) = progress.alarm.take() {
            alarm.abort();
        }
    }
}

#[cfg(test)]
mod tests;
