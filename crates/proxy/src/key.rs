//! What a token is cached under.

use std::sync::Arc;

use azwi_entra::{ClientId, Resource, TenantId};

/// Who asks: a client in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
