//! All cached tokens, bounded: an app that asks for ever new resources cannot grow the sidecar.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::key::{Identity, Key};
use crate::slot::{Shared, Slot};

/// Most tokens kept. The one unused for longest makes room; the next request for it fetches it anew.
const MAX_TOKENS: u64 = 2048;
/// Most identities whose first use is remembered.
const MAX_IDENTITIES: u64 = 1024;

/// Tokens by (tenant, client, resource).
pub(crate) struct TokenCache {
    slots: Cache<Key, Arc<Slot>>,
    first_uses: Cache<Arc<Identity>, Instant>,
    shared: Arc<Shared>,
}

impl TokenCache {
    /// An empty cache.
    pub(crate) fn new(shared: Shared) -> Self {
        let slots = Cache::builder().max_capacity(MAX_TOKENS).eviction_policy(EvictionPolicy::lru()).build();
        Self { slots, first_uses: Cache::new(MAX_IDENTITIES), shared: Arc::new(shared) }
    }

    /// The place of `key`, new if need be.
    pub(crate) fn slot(&self, key: Key) -> Arc<Slot> {
        if let Some(slot) = self.slots.get(&key) {
            return slot;
        }
        self.slots.get_with(key.clone(), || Arc::new(self.new_slot(key)))
    }

    fn new_slot(&self, key: Key) -> Slot {
        let now = self.shared.now();
        let first_use = self.first_uses.get_with(Arc::clone(&key.identity), || now);
        Slot::new(key, first_use, Arc::clone(&self.shared))
    }
}
