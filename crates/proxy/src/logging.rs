//! One JSON line per event on stderr.

use tracing::level_filters::LevelFilter;

/// Sends events of `level` and above to stderr. Called once, by `main`.
pub(crate) fn start(level: LevelFilter) {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .init();
}
