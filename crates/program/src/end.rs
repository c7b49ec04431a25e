//! When to end: as kubelet and shells say it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Completes at SIGTERM or SIGINT. Either is awaited from the call on, so that none is missed.
///
/// # Errors
/// If the kernel does not let it, or if there is no runtime with signals.
pub fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
