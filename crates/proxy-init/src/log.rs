//! What this program tells: one JSON line for each event, on stderr, as the proxy does.

use std::io::{self, Write as _};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use crate::config::Config;
use crate::setup::Verified;
use crate::verify::Exemption;

/// What kept the job from being done.
#[derive(Serialize)]
pub(crate) struct Failure {
    pub(crate) level: &'static str,
    pub(crate) message: &'static str,
    pub(crate) error: String,
}

/// A redirect that is in force.
#[derive(Serialize)]
pub(crate) struct Success {
    level: &'static str,
    message: &'static str,
    backend: &'static str,
    metadata: String,
    proxy_port: u16,
    proxy_uid: u32,
    /// How it is known that the proxy itself is not redirected.
    exemption_shown_by: &'static str,
    /// To the microsecond.
    took_ms: f64,
}

impl Success {
    pub(crate) fn new(message: &'static str, Config { plan, .. }: Config, verified: Verified, took: Duration) -> Self {
        Self {
            level: "INFO",
            message,
            backend: verified.backend.name(),
            metadata: plan.metadata.to_string(),
            proxy_port: plan.proxy_port,
            proxy_uid: plan.proxy_uid,
            exemption_shown_by: match verified.exemption {
                Exemption::ByRule => "its rule",
                Exemption::ByConnection => "its rule and a connection",
            },
            took_ms: (took.as_secs_f64() * 1e6).round() / 1e3,
        }
    }
}

/// A job that needs no more words.
#[derive(Serialize)]
pub(crate) struct Done {
    level: &'static str,
    message: &'static str,
}

impl Done {
    pub(crate) fn new(message: &'static str) -> Self {
        Self { level: "INFO", message }
    }
}

/// One JSON line on stderr. With stderr gone there is nobody left to tell.
pub(crate) fn write(event: impl Serialize) {
    let timestamp = rfc3339(OffsetDateTime::now_utc());
    if let Ok(line) = serde_json::to_string(&Line { timestamp, event }) {
        drop(writeln!(io::stderr(), "{line}"));
    }
}

/// What all lines have in common.
#[derive(Serialize)]
struct Line<Event> {
    timestamp: String,
    #[serde(flatten)]
    event: Event,
}

/// UTC to the microsecond, as the proxy's log has it.
fn rfc3339(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    let (hour, minute, second, micro) = clock.as_hms_micro();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc_with_all_six_digits_of_a_microsecond() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_000_042_999).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.000042Z");
    }
}
