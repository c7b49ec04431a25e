//! Whether Entra answered the last time it was asked, in whatever way.

use std::sync::{Mutex, PoisonError};

use azwi_entra::ExchangeError;

/// Remembers the last result; nothing before the first.
#[derive(Default)]
pub(crate) struct AuthorityWatch(Mutex<Option<bool>>);

impl AuthorityWatch {
    /// The last result.
    pub(crate) fn is_reachable(&self) -> Option<bool> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an exchange. A refusal is an answer too.
    pub(crate) fn observe<T>(&self, result: &Result<T, ExchangeError>) {
        match result {
            Err(error @ ExchangeError::Transport { .. }) => {
                if self.replace(false) != Some(false) {
                    tracing::warn!(%error, "Entra does not answer");
                }
            }
            _ => {
                if self.replace(true) == Some(false) {
                    tracing::info!("Entra answers again");
                }
            }
        }
    }

    fn replace(&self, reachable: bool) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(reachable)
    }
}
