//! Which identity a token request names. Resolving the name is not done here.

use crate::query::Parameters;
use crate::{Rejection, guid};

/// The identity that a request asks for; a request without one asks for the default identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// `client_id`: the application (client) id, a GUID in lower case.
    ClientId(String),
    /// `object_id`: the id of the service principal, a GUID in lower case.
    ObjectId(String),
    /// `msi_res_id`, `mi_res_id` or `msi-res-id`: the ARM resource id, as sent. ARM compares these
    /// without regard to ASCII case.
    ResourceId(String),
}

type Construct = fn(&str) -> Result<Selector, Rejection>;

/// `msi_res_id` is today's documented name, `mi_res_id` the older one that go-autorest and msal4j
/// send, `msi-res-id` the one in .NET Azure.Identity's probe.
const PARAMETERS: [(&str, Construct); 5] = [
    ("client_id", client_id),
    ("object_id", object_id),
    ("msi_res_id", resource_id),
    ("mi_res_id", resource_id),
    ("msi-res-id", resource_id),
];

/// Reads the selector of a token request. Empty selectors count as absent.
pub(crate) fn select(parameters: &mut Parameters<'_>) -> Result<Option<Selector>, Rejection> {
    let mut given = PARAMETERS.iter().filter_map(|(name, construct)| Some((construct, parameters.take(name)?)));
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some((construct, value)), None) => construct(&value).map(Some),
        (Some(_), Some(_)) => Err(Rejection::SelectorsExclusive),
    }
}

fn client_id(value: &str) -> Result<Selector, Rejection> {
    guid::normalise(value).map(Selector::ClientId).ok_or(Rejection::IdentityNotFound)
}

fn object_id(value: &str) -> Result<Selector, Rejection> {
    guid::normalise(value).map(Selector::ObjectId).ok_or(Rejection::IdentityNotFound)
}

#[expect(clippy::unnecessary_wraps, reason = "the table holds constructors of one type")]
fn resource_id(value: &str) -> Result<Selector, Rejection> {
    Ok(Selector::ResourceId(value.to_owned()))
}
