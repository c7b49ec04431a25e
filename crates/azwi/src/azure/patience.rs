//! Waiting for directories that do not know yet what they were told a moment ago, within a minute and a half in all.

use std::time::Duration;

use tokio::time::sleep;

use super::rest::RestError;

/// Until the second try; each further pause is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const TRIES: u32 = 10;

/// Tries `request` until it succeeds or fails for a reason that does not pass, as `is_passing` says.
///
/// # Errors
/// The last one.
pub(crate) async fn patiently<T>(
    is_passing: impl Fn(&RestError) -> bool,
    mut request: impl AsyncFnMut() -> Result<T, RestError>,
) -> Result<T, RestError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match request().await {
            Err(error) if is_passing(&error) => {
                sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            other => return other,
        }
    }
    request().await
}
