//! A filled cache, for the benchmark of looking a token up; the sidecar as it ships has none of this.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use azwi_entra::{AccessToken, ClientId, IdentityError, Secret, TenantId};
use tokio::runtime::Builder;

use crate::cache::TokenCache;
use crate::clock::{Clock, Now, SystemClock};
use crate::key::{Identity, Key};
use crate::slot::{Demand, Shared, Slot};
use crate::source::{Attempt, Fetch, TokenSource};

/// Tokens of one identity, one for each resource.
pub struct Lookup {
    cache: TokenCache,
    clock: SystemClock,
    identity: Arc<Identity>,
    resources: Vec<String>,
}

impl Lookup {
    /// Among so many tokens.
    ///
    /// # Errors
    /// If there is no runtime to fill the cache on.
    pub fn among(tokens: usize) -> io::Result<Self> {
        let cache = TokenCache::new(Shared::new(Arc::new(Entra), Arc::new(SystemClock), Duration::ZERO));
        let identity = Arc::new(identity().map_err(io::Error::other)?);
        let resources = (0..tokens).map(|number| format!("https://resource-{number:04}.example.com/")).collect();
        let lookup = Self { cache, clock: SystemClock, identity, resources };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        for number in 0..tokens {
            if let Some(slot) = lookup.slot(number, lookup.clock.now()) {
                // The answer is looked up later; that it came is what counts here.
                drop(runtime.block_on(slot.wait(Demand::Any)));
            }
        }
        Ok(lookup)
    }

    /// The length in bytes of the answer for one of the resources, if it is there.
    pub fn hit(&self, number: usize) -> Option<usize> {
        let now = self.clock.now();
        Some(self.slot(number, now)?.ready(now)?.len())
    }

    fn slot(&self, number: usize, now: Now) -> Option<Arc<Slot>> {
        let resource = self.resources.get(number)?;
        self.cache.slot(Arc::clone(&self.identity), Cow::Borrowed(resource), now.monotonic).ok()
    }
}

fn identity() -> Result<Identity, IdentityError> {
    let client = ClientId::parse("aaaaaaaa-0000-4000-8000-000000000000")?;
    Ok(Identity { tenant: TenantId::parse("contoso.com")?, client })
}

/// Hands out tokens as long as a managed identity's.
pub(crate) struct Entra;

impl TokenSource for Entra {
    fn fetch<'a>(&'a self, _: &'a Key, _: Attempt) -> Fetch<'a> {
        Box::pin(async {
            Ok(AccessToken {
                secret: Secret::new("t".repeat(1600)),
                expires_in: Duration::from_hours(24),
                expires_on: 1_900_000_000,
                ext_expires_in: 86_400,
                not_before: 1_800_000_000,
                refresh_in: None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_found_and_no_other() {
        let lookup = Lookup::among(3).unwrap();
        assert!((0..3).all(|number| lookup.hit(number).is_some_and(|length| length > 1600)));
        assert_eq!(lookup.hit(3), None);
    }
}
