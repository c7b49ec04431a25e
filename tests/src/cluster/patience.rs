//! Waiting for what a program will not tell by itself.

use std::time::{Duration, Instant};

use anyhow::ensure;

/// Longer than anything may take on a busy machine; only its absence meets it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until the answer is yes. What is asked should take a while, such as a program that is run, for nothing else does.
///
/// # Errors
/// If the answer is still no after a minute, or an error.
pub fn eventually(ask: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    while !ask()? {
        ensure!(start.elapsed() < PATIENCE, "not after {} s", PATIENCE.as_secs());
    }
    Ok(())
}
