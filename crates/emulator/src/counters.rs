//! What has been seen, and the wait for it: tests never sleep.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::entra::aadsts::Aadsts;

/// Since the start, or since the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Token requests that have arrived, answered or not.
    pub(crate) exchanges: u64,
    /// Token requests answered with a token.
    pub(crate) succeeded: u64,
    /// Token requests answered with an error, by AADSTS code; injected errors included.
    pub(crate) refused: BTreeMap<Aadsts, u64>,
    /// Token requests that have arrived, by client id.
    pub(crate) by_client: BTreeMap<String, u64>,
    /// Connections to the token endpoint, after their TLS handshake.
    pub(crate) connections: u64,
    /// Token requests that came over HTTP/2.
    pub(crate) requests_http2: u64,
}

#[derive(Debug)]
pub(crate) struct Counters(watch::Sender<Counts>);

impl Counters {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    pub(crate) fn connection(&self) {
        self.0.send_modify(|counts| counts.connections += 1);
    }

    pub(crate) fn arrived(&self, client_id: Option<&str>, http2: bool) {
        self.0.send_modify(|counts| {
            counts.exchanges += 1;
            counts.requests_http2 += u64::from(http2);
            if let Some(client_id) = client_id {
                *counts.by_client.entry(client_id.to_owned()).or_default() += 1;
            }
        });
    }

    pub(crate) fn succeeded(&self) {
        self.0.send_modify(|counts| counts.succeeded += 1);
    }

    pub(crate) fn refused(&self, code: Aadsts) {
        self.0.send_modify(|counts| *counts.refused.entry(code).or_default() += 1);
    }

    pub(crate) fn reset(&self) {
        self.0.send_replace(Counts::default());
    }

    pub(crate) fn now(&self) -> Counts {
        self.0.borrow().clone()
    }

    /// Resolves as soon as `exchanges` token requests have arrived; `None` after `timeout`.
    pub(crate) async fn reached(&self, exchanges: u64, timeout: Duration) -> Option<Counts> {
        let mut counts = self.0.subscribe();
        let reached = counts.wait_for(|counts| counts.exchanges >= exchanges);
        let counts = tokio::time::timeout(timeout, reached).await.ok()?.ok()?;
        Some(counts.clone())
    }
}
