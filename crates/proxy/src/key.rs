//! What a token is cached under.

use std::ptr;
use std::sync::Arc;

use azwi_entra::{ClientId, Resource, TenantId};
use moka::Equivalent;

/// Who asks: a client in a tenant.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The tenant the client lives in.
    pub tenant: TenantId,
    /// The client the token is for.
    pub client: ClientId,
}

/// Who asks for what. The resource is kept as the app wrote it, since the answer echoes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Who asks.
    pub identity: Arc<Identity>,
    /// What for, byte for byte.
    pub resource: Resource,
}

/// A [`Key`] to look up: what a request brings, without a copy.
#[derive(Hash)]
pub(crate) struct Wanted<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// What for.
    pub resource: &'a str,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.resource == key.resource.as_str()
            && (ptr::eq(self.identity, &raw const *key.identity) || *self.identity == *key.identity)
    }
}
