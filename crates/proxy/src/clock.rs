//! Time as an argument, so that a test can suspend the node or set its clock back.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// One moment on both clocks. The wall clock may jump; the monotonic one stands still while the node is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Seconds since the epoch.
    pub unix: u64,
    /// Never goes back.
    pub monotonic: Instant,
}

/// Tells the time.
pub(crate) trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Now;
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Now { unix, monotonic: Instant::now() }
    }
}
