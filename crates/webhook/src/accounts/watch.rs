//! Follows all service accounts of the cluster: a list in pages, then what changes. Metadata only.

use std::pin::pin;

use futures_util::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

use super::Store;
use super::object::Object;
use crate::failure::chain;
use crate::readiness::{Condition, Readiness};

/// Accounts a page: what is decoded at once, and so the most memory that a list takes.
const PAGE: u32 = 100;

/// Feeds `store` for as long as it is polled.
pub(crate) async fn follow(client: Client, store: &Store, readiness: &Readiness) {
    let accounts = Api::<Object>::all(client);
    let events = watcher(accounts, watcher::Config::default().page_size(PAGE)).default_backoff();
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if store.observe(event) {
                    tracing::info!(annotated = store.annotated(), "service accounts read");
                    readiness.meet(Condition::ServiceAccounts);
                }
            }
            Err(error) => tracing::warn!(error = %chain(&error), "service accounts cannot be followed for now"),
        }
    }
}
