//! The slots that were asked for within the last second.
//!
//! moka keeps a list of who was asked for last, and to move an entry there costs a hit more than to find it. Nobody needs
//! that list to the microsecond: asked here first, moka hears of each slot once a second. Keeps no slot alive.

use std::collections::hash_map::RandomState;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use crate::key::{Key, Wanted};
use crate::slot::Slot;

/// After which all is forgotten.
const PERIOD: Duration = Duration::from_secs(1);

/// Empty at first, and again each second.
pub(crate) struct Recent {
    since: Instant,
    slots: HashMap<Key, Weak<Slot>, RandomState>,
}

impl Recent {
    /// Nothing yet, as of `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, slots: HashMap::default() }
    }

    /// The slot, if it was asked for a short while before `now`.
    pub(crate) fn get(&mut self, wanted: &Wanted<'_>, now: Instant) -> Option<Arc<Slot>> {
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.slots.clear();
            self.since = now;
        }
        self.slots.get(wanted)?.upgrade()
    }

    /// Keeps the slot for the rest of the second, if there is room for it among `most`.
    pub(crate) fn insert(&mut self, slot: &Arc<Slot>, most: usize) {
        if self.slots.len() < most {
            self.slots.insert(slot.key().clone(), Arc::downgrade(slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use azwi_entra::{ClientId, Resource, TenantId};

    use super::*;
    use crate::clock::SystemClock;
    use crate::key::Identity;
    use crate::lookup::Entra;
    use crate::slot::Shared;

    struct Stage {
        recent: Recent,
        now: Instant,
        slot: Arc<Slot>,
    }

    /// Where one slot has just been asked for.
    fn stage() -> Stage {
        let now = Instant::now();
        let mut recent = Recent::new(now);
        let slot = slot("https://vault.azure.net", now);
        recent.insert(&slot, 1);
        Stage { recent, now, slot }
    }

    fn slot(resource: &str, now: Instant) -> Arc<Slot> {
        let client = ClientId::parse("aaaaaaaa-0000-4000-8000-000000000000").unwrap();
        let identity = Arc::new(Identity { tenant: TenantId::parse("contoso.com").unwrap(), client });
        let shared = Shared::new(Arc::new(Entra), Arc::new(SystemClock), Duration::ZERO);
        let key = Key { identity, resource: Resource::parse(resource.to_owned()).unwrap() };
        Arc::new(Slot::new(key, now, Arc::new(shared)))
    }

    fn is_found(recent: &mut Recent, key: &Key, now: Instant) -> bool {
        let wanted = Wanted { identity: &key.identity, resource: key.resource.as_str() };
        recent.get(&wanted, now).is_some()
    }

    #[test]
    fn a_slot_is_found_for_a_second_and_then_forgotten() {
        let Stage { mut recent, now, slot } = stage();
        assert!(is_found(&mut recent, slot.key(), now + Duration::from_millis(999)));
        assert!(!is_found(&mut recent, slot.key(), now + Duration::from_secs(1)));
        assert!(!is_found(&mut recent, slot.key(), now + Duration::from_secs(1)));
    }

    #[test]
    fn a_slot_that_was_evicted_is_not_kept_alive() {
        let Stage { mut recent, now, slot } = stage();
        let key = slot.key().clone();
        assert!(is_found(&mut recent, &key, now));
        drop(slot);
        assert!(!is_found(&mut recent, &key, now));
    }

    #[test]
    fn no_more_slots_are_remembered_than_there_is_room_for() {
        let Stage { mut recent, now, slot: _first } = stage();
        let second = slot("https://graph.microsoft.com", now);
        recent.insert(&second, 1);
        assert!(!is_found(&mut recent, second.key(), now));
    }
}
