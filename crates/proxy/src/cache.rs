//! All cached tokens, bounded: an app that asks for ever new resources cannot grow the sidecar.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use azwi_entra::{Resource, ResourceError};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::first_uses::FirstUses;
use crate::key::{Identity, Key, Wanted};
use crate::recent::Recent;
use crate::slot::{Shared, Slot};

/// Most tokens kept. The one unused for longest makes room; the next request for it fetches it anew.
const MAX_TOKENS: usize = 2048;

/// Tokens by (tenant, client, resource).
pub(crate) struct TokenCache {
    recent: Mutex<Recent>,
    slots: Cache<Key, Arc<Slot>>,
    first_uses: Mutex<FirstUses>,
    shared: Arc<Shared>,
}

impl TokenCache {
    /// An empty cache.
    pub(crate) fn new(shared: Shared) -> Self {
        let recent = Mutex::new(Recent::new(shared.now()));
        let slots = Cache::builder().max_capacity(MAX_TOKENS as u64).eviction_policy(EvictionPolicy::lru()).build();
        Self { recent, slots, first_uses: Mutex::default(), shared: Arc::new(shared) }
    }

    /// The place of a token for `identity` and `resource`, asked for at `now`; new if need be.
    ///
    /// # Errors
    /// If `resource` is none.
    pub(crate) fn slot(
        &self,
        identity: Arc<Identity>,
        resource: Cow<'_, str>,
        now: Instant,
    ) -> Result<Arc<Slot>, ResourceError> {
        let wanted = Wanted { identity: &identity, resource: &resource };
        if let Some(slot) = lock(&self.recent).get(&wanted, now) {
            return Ok(slot);
        }
        let slot = match self.slots.get(&wanted) {
            Some(slot) => slot,
            None => self.insert(Key { identity, resource: Resource::parse(resource.into_owned())? }, now),
        };
        lock(&self.recent).insert(&slot, MAX_TOKENS);
        Ok(slot)
    }

    fn insert(&self, key: Key, now: Instant) -> Arc<Slot> {
        self.slots.get_with(key.clone(), || Arc::new(self.new_slot(key, now)))
    }

    /// All places there are.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Arc<Slot>> {
        self.slots.iter().map(|(_, slot)| slot)
    }

    fn new_slot(&self, key: Key, now: Instant) -> Slot {
        let first_use = lock(&self.first_uses).of(&key.identity, now);
        Slot::new(key, first_use, Arc::clone(&self.shared))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
