//! How identities are spelled: client ids, tenants, and the map of other ids to them.
//!
//! The sidecar asks Entra by them and the webhook refuses what the sidecar would not accept, so both read them here. Pure,
//! and knows nothing of Entra but its spelling.

mod identity;
mod map;

pub use identity::{ClientId, IdentityError, TenantId};
pub use map::{EntryError, IdentityMap, IdentityMapError, Mapped};
