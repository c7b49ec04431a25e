//! Keeps the log readable where whoever connects decides how many lines there would be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of a kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// The lines of one kind: one a second at most.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Whether a line may be written now; if so, the next one may not for a while.
    pub(crate) fn admits(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_line_is_written_and_then_one_a_second() {
        let pace = Pace::default();
        assert_eq!([pace.admits(), pace.admits()], [true, false]);
        advance(INTERVAL).await;
        assert_eq!([pace.admits(), pace.admits()], [true, false]);
    }
}
