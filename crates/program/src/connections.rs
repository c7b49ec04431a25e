//! Room for a server's connections. When it is full, the one that has been idle for longest makes way, so that whoever
//! hoards connections loses them to whoever uses them; and nobody is idle for ever, or takes an answer for ever. Some are
//! always idle, as long as not all may wait for an answer at once, which [`Guest::is_crowded`] is for.
//!
//! Idle is a connection without a request in the works: between requests, with half a head, or not reading an answer that
//! is ready as a whole. What a connection speaks is not known here.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinHandle, yield_now};
use tokio::time::sleep;

/// How often idle connections are looked for.
const ROUND: Duration = Duration::from_secs(1);

/// All open connections.
pub struct Connections {
    most: usize,
    seats: Mutex<HashMap<u64, Arc<Seat>>>,
    /// A connection has come, ended or become idle.
    changed: Notify,
    /// Of those who cannot wait, one at a time goes on.
    impatient: Semaphore,
    /// Connections with a request in the works.
    busy: AtomicUsize,
    /// Counts events; whatever happened later has a higher number.
    events: AtomicU64,
}

/// The place of one connection.
#[derive(Default)]
pub struct Seat {
    requests: AtomicU64,
    last_event: AtomicU64,
    task: OnceLock<AbortHandle>,
}

impl Seat {
    /// Tells which task serves the connection, so that it can be ended.
    pub fn taken_by(&self, task: &JoinHandle<()>) {
        let _ = self.task.set(task.abort_handle());
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    /// Ends the task; its socket closes with it.
    fn clear(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Connections {
    /// Room for `most` connections.
    pub fn new(most: usize) -> Arc<Self> {
        let seats = Mutex::new(HashMap::new());
        let impatient = Semaphore::new(1);
        let (busy, events) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { most, seats, changed: Notify::new(), impatient, busy, events })
    }

    /// A place for one more connection; waits only while all others have requests in the works.
    pub async fn admit(self: &Arc<Self>) -> Guest {
        while self.seats().len() >= self.most {
            let changed = self.changed.notified();
            if self.evict() {
                // Lets the loser close its socket before the next one is accepted.
                yield_now().await;
            } else {
                changed.await;
            }
        }
        let number = self.next_event();
        let seat = Arc::new(Seat { last_event: AtomicU64::new(number), ..Seat::default() });
        self.seats().insert(number, Arc::clone(&seat));
        self.changed.notify_waiters();
        Guest { connections: Arc::clone(self), number, seat }
    }

    /// Takes the place of the connection that has been idle for longest; whether there was one.
    pub fn evict(&self) -> bool {
        let mut seats = self.seats();
        let idle = seats.iter().filter(|(_, seat)| seat.is_idle());
        let longest = idle.min_by_key(|(_, seat)| seat.last_event.load(Ordering::Relaxed)).map(|(number, _)| *number);
        let Some(seat) = longest.and_then(|number| seats.remove(&number)) else { return false };
        seat.clear();
        true
    }

    /// Runs for ever: ends connections that have been idle for `idle`, or with one request for `busy` (the longer one),
    /// or up to a second longer.
    pub async fn clear_out(self: Arc<Self>, idle: Duration, busy: Duration) {
        let rounds = |patience: Duration| usize::try_from(patience.as_secs()).unwrap_or(usize::MAX);
        // The first event of each of the latest rounds, the latest in front.
        let mut past = VecDeque::new();
        loop {
            let changed = self.changed.notified();
            if self.seats().is_empty() {
                // An idle server sleeps.
                past.clear();
                changed.await;
                continue;
            }
            past.push_front(self.next_event());
            past.truncate(rounds(busy));
            sleep(ROUND).await;
            let ago = |patience| past.get(rounds(patience).saturating_sub(1)).copied().unwrap_or_default();
            self.clear_late(ago(idle), ago(busy));
        }
    }

    /// Ends connections without an event since the one numbered `idle_since`, or `busy_since` with a request in the works.
    fn clear_late(&self, idle_since: u64, busy_since: u64) {
        let since = |seat: &Seat| if seat.is_idle() { idle_since } else { busy_since };
        let is_late = |seat: &&Arc<Seat>| seat.last_event.load(Ordering::Relaxed) < since(seat);
        self.seats().values().filter(is_late).for_each(|seat| seat.clear());
    }

    fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An admitted connection; its place is free once this is gone.
pub struct Guest {
    connections: Arc<Connections>,
    number: u64,
    seat: Arc<Seat>,
}

impl Guest {
    /// The place.
    pub fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// Notes that a request came, or was answered at once.
    pub fn was_active(&self) {
        self.seat.last_event.store(self.connections.next_event(), Ordering::Relaxed);
    }

    /// Completes when nobody else wants anything, for one connection at a time.
    pub fn patience(&self) -> impl Future<Output = ()> + use<> {
        let connections = Arc::clone(&self.connections);
        async move {
            let _permit = connections.impatient.acquire().await;
            // Wakes when all that is ready has been polled, and what has become ready meanwhile is known.
            yield_now().await;
        }
    }

    /// Whether as many requests are in the works as should be: three for four connections there is room for.
    pub fn is_crowded(&self) -> bool {
        self.connections.busy.load(Ordering::Relaxed) >= self.connections.most * 3 / 4
    }

    /// Marks a request as being in the works until the value is dropped.
    pub fn request(&self) -> InTheWorks {
        self.was_active();
        self.seat.requests.fetch_add(1, Ordering::Relaxed);
        self.connections.busy.fetch_add(1, Ordering::Relaxed);
        InTheWorks { connections: Arc::clone(&self.connections), seat: Arc::clone(&self.seat) }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.connections.seats().remove(&self.number);
        self.connections.changed.notify_one();
    }
}

/// A request between its head and its answer, whose body may be streamed.
pub struct InTheWorks {
    connections: Arc<Connections>,
    seat: Arc<Seat>,
}

impl Drop for InTheWorks {
    fn drop(&mut self) {
        self.seat.last_event.store(self.connections.next_event(), Ordering::Relaxed);
        self.seat.requests.fetch_sub(1, Ordering::Relaxed);
        self.connections.busy.fetch_sub(1, Ordering::Relaxed);
        self.connections.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::timeout;

    use super::*;

    const NEVER: Duration = Duration::from_hours(1);
    const PATIENCE: Duration = Duration::from_secs(10);
    const LONG_PATIENCE: Duration = Duration::from_secs(30);

    /// A connection that is open until it is ended.
    async fn open(connections: &Arc<Connections>) -> (Arc<Guest>, JoinHandle<()>) {
        let guest = Arc::new(connections.admit().await);
        let kept = Arc::clone(&guest);
        let task = tokio::spawn(async move {
            let _kept = kept;
            pending::<()>().await;
        });
        guest.seat().taken_by(&task);
        (guest, task)
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_idle_for_longest_makes_way() {
        let connections = Connections::new(2);
        let ((first, first_task), (_second, second_task)) = (open(&connections).await, open(&connections).await);
        // Used since, so the second one has been idle for longer.
        first.was_active();
        let _third = connections.admit().await;
        assert!(timeout(NEVER, second_task).await.is_ok());
        assert!(timeout(NEVER, first_task).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_in_the_works_is_left_alone() {
        let connections = Connections::new(1);
        let (first, _task) = open(&connections).await;
        let request = first.request();
        assert!(timeout(NEVER, connections.admit()).await.is_err());
        drop(request);
        assert!(timeout(NEVER, connections.admit()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_crowded_while_three_of_four_connections_have_a_request_in_the_works() {
        let connections = Connections::new(4);
        let (first, _task) = open(&connections).await;
        let mut requests = Vec::new();
        for _ in 0..3 {
            assert!(!first.is_crowded());
            requests.push(open(&connections).await.0.request());
        }
        assert!(first.is_crowded());
        requests.pop();
        assert!(!first.is_crowded());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_makes_room() {
        let connections = Connections::new(1);
        let first = connections.admit().await;
        let _request = first.request();
        drop(first);
        assert!(timeout(NEVER, connections.admit()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_idles_is_ended_after_its_time_and_at_most_a_second() {
        let connections = Connections::new(3);
        tokio::spawn(Arc::clone(&connections).clear_out(PATIENCE, LONG_PATIENCE));
        let (_guest, mut task) = open(&connections).await;
        assert!(timeout(PATIENCE * 9 / 10, &mut task).await.is_err());
        assert!(timeout(ROUND * 2, &mut task).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_used_or_waits_for_its_answer_is_not_ended() {
        let connections = Connections::new(3);
        tokio::spawn(Arc::clone(&connections).clear_out(PATIENCE, LONG_PATIENCE));
        let ((used, used_task), (waiting, waiting_task)) = (open(&connections).await, open(&connections).await);
        let _request = waiting.request();
        for _ in 0..5 {
            sleep(PATIENCE / 2).await;
            used.was_active();
        }
        assert!(!used_task.is_finished() && !waiting_task.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_one_answer_for_too_long_is_ended() {
        let connections = Connections::new(1);
        tokio::spawn(Arc::clone(&connections).clear_out(PATIENCE, LONG_PATIENCE));
        let (guest, mut task) = open(&connections).await;
        let _request = guest.request();
        assert!(timeout(LONG_PATIENCE * 9 / 10, &mut task).await.is_err());
        assert!(timeout(PATIENCE, &mut task).await.is_ok());
    }
}
