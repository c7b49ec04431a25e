//! One JSON line per event on stderr.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends our own events of `level` and above to stderr, and warnings of the libraries: those of the Kubernetes client
/// tell each request at debug. Called once, by `main`.
pub(crate) fn start(level: LevelFilter) {
    let others = if level == LevelFilter::TRACE { level } else { level.min(LevelFilter::WARN) };
    let wanted = Targets::new().with_default(others).with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
    tracing_subscriber::registry().with(wanted).with(lines.with_writer(std::io::stderr)).init();
}
