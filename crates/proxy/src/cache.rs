//! All cached tokens, bounded: an app that asks for ever new resources cannot grow the sidecar.

use std::borrow::Cow;
use std::sync::Arc;

use azwi_entra::{Resource, ResourceError};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::key::{Identity, Key, Wanted};
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

    /// The place of a token for `identity` and `resource`, new if need be.
    ///
    /// # Errors
    /// If `resource` is none.
    pub(crate) fn slot(&self, identity: Arc<Identity>, resource: Cow<'_, str>) -> Result<Arc<Slot>, ResourceError> {
        if let Some(slot) = self.slots.get(&Wanted { identity: &identity, resource: &resource }) {
            return Ok(slot);
        }
        let key = Key { identity, resource: Resource::parse(resource.into_owned())? };
        Ok(self.slots.get_with(key.clone(), || Arc::new(self.new_slot(key))))
    }

    /// All places there are.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Arc<Slot>> {
        self.slots.iter().map(|(_, slot)| slot)
    }

    fn new_slot(&self, key: Key) -> Slot {
        let now = self.shared.now();
        let first_use = self.first_uses.get_with(Arc::clone(&key.identity), || now);
        Slot::new(key, first_use, Arc::clone(&self.shared))
    }
}
