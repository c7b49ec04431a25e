//! How long a token may be handed out, and when it should be refreshed.
//!
//! Counts from the moment of the exchange on both clocks and believes the one that says "older": the monotonic clock
//! sees through a wall clock that was set back, the wall clock through a node that was suspended. Entra's absolute times
//! are not used here, so a node whose clock is wrong does not throw fresh tokens away.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Now;

/// Share of the lifetime after which a token is refreshed.
const REFRESH_AT: f64 = 0.80;
/// Spread around it, so that many pods do not refresh in the same second.
const REFRESH_JITTER: f64 = 0.05;
/// A token with less than this left is of no use to an app; shorter for short-lived tokens.
const MARGIN: Duration = Duration::from_mins(1);

/// SDKs take a token with less than this left for expired and ask again at once; only where it is a small part of the
/// whole lifetime.
const COMFORT: Duration = Duration::from_mins(5);
/// Shortest lifetime of which [`COMFORT`] is a small part.
const LONG_LIFETIME: Duration = Duration::from_mins(10);

/// The life of one token on this node's clocks. All lengths count from its birth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    born: Now,
    length: Duration,
    refresh_after: Duration,
    comfortable_for: Duration,
    usable_for: Duration,
}

impl Lifetime {
    /// A token that arrived at `born` with `length` left. `refresh_in` is Entra's own wish, else 80 % ± 5 %.
    pub(crate) fn new(born: Now, length: Duration, refresh_in: Option<Duration>) -> Self {
        let share = REFRESH_AT + REFRESH_JITTER * (2.0 * fastrand::f64() - 1.0);
        let refresh_after = refresh_in.filter(|&wish| wish < length).unwrap_or_else(|| length.mul_f64(share));
        let usable_for = length.saturating_sub(MARGIN.min(length / 10));
        let comfortable_for = if length > LONG_LIFETIME { length.saturating_sub(COMFORT) } else { usable_for };
        Self { born, length, refresh_after, comfortable_for, usable_for }
    }

    /// What is left at `now`.
    pub(crate) fn remaining(&self, now: Now) -> Duration {
        self.length.saturating_sub(self.age(now))
    }

    /// Whether the token may still be handed out.
    pub(crate) fn is_usable(&self, now: Now) -> bool {
        self.age(now) < self.usable_for
    }

    /// How much longer the token may be handed out.
    pub(crate) fn usable_for(&self, now: Now) -> Duration {
        self.usable_for.saturating_sub(self.age(now))
    }

    /// Whether apps will be content with the token; if not, one try to get a newer one is due first.
    pub(crate) fn is_comfortable(&self, now: Now) -> bool {
        self.age(now) < self.comfortable_for
    }

    /// Whether a newer token should be fetched while this one is served.
    pub(crate) fn is_refresh_due(&self, now: Now) -> bool {
        self.age(now) >= self.refresh_after
    }

    /// When the refresh is due, as far as the monotonic clock can tell.
    pub(crate) fn refresh_at(&self) -> Instant {
        self.born.monotonic + self.refresh_after
    }

    /// How long ago the token arrived.
    pub(crate) fn age(&self, now: Now) -> Duration {
        // Of whole seconds on the wall clock, the first has perhaps only just begun when the token comes.
        let wall = Duration::from_secs(now.unix.saturating_sub(self.born.unix).saturating_sub(1));
        now.monotonic.saturating_duration_since(self.born.monotonic).max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn born() -> Now {
        Now { unix: 1_700_000_000, monotonic: Instant::now() }
    }

    fn later(now: Now, wall_seconds: i64, monotonic_seconds: u64) -> Now {
        Now {
            unix: now.unix.saturating_add_signed(wall_seconds),
            monotonic: now.monotonic + Duration::from_secs(monotonic_seconds),
        }
    }

    #[test]
    fn a_token_is_refreshed_at_80_percent_give_or_take_5() {
        for _ in 0..200 {
            let life = Lifetime::new(born(), HOUR, None);
            assert!(!life.is_refresh_due(later(life.born, 2699, 2699)));
            assert!(life.is_refresh_due(later(life.born, 3061, 3061)));
        }
    }

    #[test]
    fn entras_own_wish_comes_first() {
        let life = Lifetime::new(born(), HOUR, Some(Duration::from_mins(10)));
        assert!(!life.is_refresh_due(later(life.born, 599, 599)));
        assert!(life.is_refresh_due(later(life.born, 600, 600)));
    }

    #[test]
    fn a_wish_beyond_the_lifetime_is_ignored() {
        let life = Lifetime::new(born(), HOUR, Some(HOUR));
        assert!(life.is_refresh_due(later(life.born, 3599, 3599)));
    }

    #[test]
    fn a_token_is_not_handed_out_in_its_last_minute() {
        let life = Lifetime::new(born(), HOUR, None);
        assert!(life.is_usable(later(life.born, 3539, 3539)));
        assert!(!life.is_usable(later(life.born, 3540, 3540)));
    }

    #[test]
    fn five_minutes_are_too_few_unless_the_token_is_short_lived() {
        let life = Lifetime::new(born(), HOUR, None);
        assert!(life.is_comfortable(later(life.born, 3299, 3299)));
        assert!(!life.is_comfortable(later(life.born, 3300, 3300)));
        let life = Lifetime::new(born(), LONG_LIFETIME, None);
        assert!(life.is_comfortable(later(life.born, 539, 539)));
    }

    #[test]
    fn the_margin_of_a_short_lived_token_is_a_tenth_of_its_life() {
        let life = Lifetime::new(born(), Duration::from_secs(10), None);
        assert!(life.is_usable(later(life.born, 8, 8)));
        assert!(!life.is_usable(later(life.born, 9, 9)));
    }

    #[test]
    fn a_suspended_node_finds_its_token_expired() {
        let life = Lifetime::new(born(), HOUR, None);
        assert!(!life.is_usable(later(life.born, 7200, 5)));
    }

    #[test]
    fn a_second_that_had_begun_when_the_token_came_does_not_count() {
        let life = Lifetime::new(born(), Duration::from_secs(5), None);
        // Born at the end of a second, four seconds ago.
        assert!(life.is_usable(later(life.born, 5, 4)));
    }

    #[test]
    fn a_clock_that_was_set_back_prolongs_nothing() {
        let life = Lifetime::new(born(), HOUR, None);
        assert_eq!(life.remaining(later(life.born, -7200, 1800)), Duration::from_mins(30));
    }
}
