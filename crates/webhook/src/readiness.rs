//! Whether reviews can be answered: what has come about so far, and whether the end has.
//!
//! What has come about once stays so. A cluster whose API server is down does not make the webhook unready: it answers
//! from what it knows.

use std::sync::atomic::{AtomicBool, Ordering};

/// What must have come about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// There is a certificate to serve with.
    Certificate,
    /// The API server has been told whom to trust.
    CaBundle,
    /// All service accounts have been seen once.
    ServiceAccounts,
    /// Somebody listens for reviews.
    Listening,
}

const MISSING: [&str; 4] = [
    "there is no certificate yet",
    "the webhook configuration has no caBundle of ours yet",
    "the service accounts have not all been read yet",
    "reviews are not listened for yet, since the API server has not told its version",
];

/// All conditions, none of them met at first.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    met: [AtomicBool; 4],
    leaving: AtomicBool,
}

impl Readiness {
    /// It has come about; tells the log of the last one.
    pub(crate) fn meet(&self, condition: Condition) {
        let [certificate, ca_bundle, service_accounts, listening] = &self.met;
        let flag = match condition {
            Condition::Certificate => certificate,
            Condition::CaBundle => ca_bundle,
            Condition::ServiceAccounts => service_accounts,
            Condition::Listening => listening,
        };
        if !flag.swap(true, Ordering::Relaxed) && self.reasons().is_empty() {
            tracing::info!("ready");
        }
    }

    /// The end has begun: no further reviews, please.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Why the webhook is not ready; empty if it is.
    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        let missing = self.met.iter().zip(MISSING).filter(|(met, _)| !met.load(Ordering::Relaxed));
        let leaving = self.is_leaving().then_some("told to end");
        missing.map(|(_, reason)| reason).chain(leaving).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_all_has_come_about_and_not_when_it_leaves() {
        let readiness = Readiness::default();
        assert_eq!(readiness.reasons().len(), 4);
        readiness.meet(Condition::Certificate);
        readiness.meet(Condition::CaBundle);
        readiness.meet(Condition::Listening);
        assert_eq!(readiness.reasons(), ["the service accounts have not all been read yet"]);
        readiness.meet(Condition::ServiceAccounts);
        assert!(readiness.reasons().is_empty());
        readiness.leave();
        assert_eq!(readiness.reasons(), ["told to end"]);
    }
}
