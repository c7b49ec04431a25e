//! What to say about a client id that is none.

use azwi_conventions::annotation;
use azwi_identity::ClientId;

use super::ServiceAccount;
use super::denial::Quoted;

/// What is odd about the service account's client id, if anybody `needs` it.
///
/// Only a warning: an app may name its client id itself, in ways that nobody sees from here.
pub(super) fn warning(account: &ServiceAccount, needs: bool) -> Option<String> {
    let client_id = account.client_id.as_deref().unwrap_or_default();
    if !needs || ClientId::parse(client_id).is_ok() {
        return None;
    }
    let key = annotation::CLIENT_ID;
    Some(if client_id.is_empty() {
        format!("the service account has no annotation {key}: apps must name their client id themselves")
    } else {
        format!("annotation {key} of the service account is {}, which is no client id: not a GUID", Quoted(client_id))
    })
}
