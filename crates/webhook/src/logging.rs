//! One JSON line per event on stderr.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends our own events of `level` and above to stderr, and of the libraries those that nobody else tells: the Kubernetes
/// client logs each request and its failure, which we tell with what it means. Called once, by `main`.
pub(crate) fn start(level: LevelFilter) {
    let is_all = level == LevelFilter::TRACE;
    let others = if is_all { level } else { level.min(LevelFilter::WARN) };
    let client = if is_all { level } else { LevelFilter::OFF };
    let wanted = Targets::new()
        .with_default(others)
        .with_target("kube_client", client)
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
    tracing_subscriber::registry().with(wanted).with(lines.with_writer(std::io::stderr)).init();
}
