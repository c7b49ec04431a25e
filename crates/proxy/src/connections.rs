//! Room for connections. When it is full, the one that has been idle for longest makes way, so that whoever hoards
//! connections loses them to whoever uses them.
//!
//! Idle is a connection without a request in the works: between requests, with half a head, or not reading its answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// All open connections.
pub(crate) struct Connections {
    most: usize,
    seats: Mutex<HashMap<u64, Arc<Seat>>>,
    /// A connection has ended or become idle.
    changed: Notify,
    /// Counts events; whatever happened later has a higher number.
    events: AtomicU64,
}

/// The place of one connection.
#[derive(Default)]
struct Seat {
    requests: AtomicU64,
    last_event: AtomicU64,
    lost: Notify,
}

impl Connections {
    /// Room for `most` connections.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let seats = Mutex::new(HashMap::new());
        Arc::new(Self { most, seats, changed: Notify::new(), events: AtomicU64::new(0) })
    }

    /// A place for one more connection; waits only while all others have requests in the works.
    pub(crate) async fn admit(self: &Arc<Self>) -> Guest {
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
        Guest { connections: Arc::clone(self), number, seat }
    }

    /// Takes the place of the connection that has been idle for longest; whether there was one.
    fn evict(&self) -> bool {
        let mut seats = self.seats();
        let idle = seats.iter().filter(|(_, seat)| seat.requests.load(Ordering::Relaxed) == 0);
        let longest = idle.min_by_key(|(_, seat)| seat.last_event.load(Ordering::Relaxed)).map(|(number, _)| *number);
        let Some(seat) = longest.and_then(|number| seats.remove(&number)) else { return false };
        seat.lost.notify_one();
        true
    }

    fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An admitted connection; its place is free once this is gone.
pub(crate) struct Guest {
    connections: Arc<Connections>,
    number: u64,
    seat: Arc<Seat>,
}

impl Guest {
    /// Marks a request as being in the works until the value is dropped.
    pub(crate) fn request(&self) -> InTheWorks {
        self.seat.requests.fetch_add(1, Ordering::Relaxed);
        InTheWorks { connections: Arc::clone(&self.connections), seat: Arc::clone(&self.seat) }
    }

    /// Completes when the place was given to somebody else.
    pub(crate) async fn lost(&self) {
        self.seat.lost.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.connections.seats().remove(&self.number);
        self.connections.changed.notify_one();
    }
}

/// A request between its head and its answer.
pub(crate) struct InTheWorks {
    connections: Arc<Connections>,
    seat: Arc<Seat>,
}

impl Drop for InTheWorks {
    fn drop(&mut self) {
        self.seat.last_event.store(self.connections.next_event(), Ordering::Relaxed);
        self.seat.requests.fetch_sub(1, Ordering::Relaxed);
        self.connections.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const NEVER: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_idle_for_longest_makes_way() {
        let connections = Connections::new(2);
        let (first, second) = (connections.admit().await, connections.admit().await);
        // Used since, so the second one has been idle for longer.
        drop(first.request());
        let _third = connections.admit().await;
        assert!(timeout(NEVER, second.lost()).await.is_ok());
        assert!(timeout(NEVER, first.lost()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_in_the_works_is_left_alone() {
        let connections = Connections::new(1);
        let first = connections.admit().await;
        let request = first.request();
        assert!(timeout(NEVER, connections.admit()).await.is_err());
        drop(request);
        assert!(timeout(NEVER, connections.admit()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_makes_room() {
        let connections = Connections::new(1);
        let first = connections.admit().await;
        let _request = first.request();
        drop(first);
        assert!(timeout(NEVER, connections.admit()).await.is_ok());
    }
}
