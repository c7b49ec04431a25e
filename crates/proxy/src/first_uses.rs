//! When each identity was first asked for, whatever the resource: Entra needs a while to learn of a new one. Bounded: the
//! one that has been known for longest is forgotten first.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::key::Identity;

/// Most identities that are remembered.
const MAX_IDENTITIES: usize = 1024;

/// First uses by identity.
#[derive(Default)]
pub(crate) struct FirstUses(HashMap<Arc<Identity>, Instant>);

impl FirstUses {
    /// When `identity` was first asked for: `now`, if never before.
    pub(crate) fn of(&mut self, identity: &Arc<Identity>, now: Instant) -> Instant {
        if let Some(&first) = self.0.get(identity) {
            return first;
        }
        if self.0.len() >= MAX_IDENTITIES {
            self.forget_the_oldest();
        }
        self.0.insert(Arc::clone(identity), now);
        now
    }

    fn forget_the_oldest(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, first)| **first).map(|(identity, _)| Arc::clone(identity));
        if let Some(identity) = oldest {
            self.0.remove(&identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use azwi_entra::{ClientId, TenantId};

    use super::*;

    fn identity(number: usize) -> Arc<Identity> {
        let client = ClientId::parse(&format!("aaaaaaaa-0000-4000-8000-{number:012}")).unwrap();
        Arc::new(Identity { tenant: TenantId::parse("contoso.com").unwrap(), client })
    }

    #[test]
    fn an_identity_is_as_old_as_its_first_use() {
        let start = Instant::now();
        let mut first_uses = FirstUses::default();
        assert_eq!(first_uses.of(&identity(0), start), start);
        assert_eq!(first_uses.of(&identity(0), start + Duration::from_secs(9)), start);
    }

    #[test]
    fn of_too_many_identities_the_oldest_is_new_again() {
        let start = Instant::now();
        let second = |number: usize| start + Duration::from_secs(number as u64);
        let mut first_uses = FirstUses::default();
        for number in 0..=MAX_IDENTITIES {
            first_uses.of(&identity(number), second(number));
        }
        assert_eq!(first_uses.of(&identity(1), second(5000)), second(1));
        assert_eq!(first_uses.of(&identity(0), second(5000)), second(5000));
    }
}
