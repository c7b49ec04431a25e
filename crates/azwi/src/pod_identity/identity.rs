//! An `AzureIdentity`: what of it can be had by federation, and if nothing can, why.

use azwi_identity::{ClientId, TenantId};
use serde_json::Value;

use super::azure::Azure;
use super::finding::Unusable;
use super::object::Object;
use super::resource_id::ResourceId;

const PUBLIC_AUTHORITIES: [&str; 2] = ["https://login.microsoftonline.com", "https://login.windows.net"];

/// What holds the identity in Azure.
#[derive(Debug, Clone)]
pub(super) enum Holder {
    /// A user-assigned managed identity, and its object id where Azure was asked.
    UserAssigned { resource: ResourceId, written: String, object_id: Option<String> },
    /// An application of which pod identity kept a secret or a certificate, in this `Secret`.
    Application { secret: String },
}

/// An identity that workload identity can give to pods.
#[derive(Debug, Clone)]
pub(super) struct Identity<'a> {
    pub(super) object: Object<'a>,
    pub(super) client: ClientId,
    /// Only where the object says it.
    pub(super) tenant: Option<TenantId>,
    /// An Entra ID that is not the public cloud's.
    pub(super) authority: Option<&'a str>,
    pub(super) holder: Holder,
}

impl<'a> Identity<'a> {
    /// # Errors
    /// Why it cannot be migrated.
    pub(super) fn read(object: Object<'a>, azure: &Azure) -> Result<Self, Unusable> {
        let holder = holder(object, azure)?;
        let client = object.text_of_spec("clientID");
        let client = ClientId::parse(client).map_err(|_| Unusable::ClientId { value: client.to_owned() })?;
        if let Some(now) = another_client(&holder, azure).filter(|now| *now != client) {
            return Err(Unusable::AnotherClient { client_id: client.to_string(), now: now.to_string() });
        }
        if azure.has_not(&client) {
            return Err(Unusable::NotInAzure { client_id: client.to_string() });
        }
        let authority = Some(object.text_of_spec("adEndpoint").trim_end_matches('/'));
        let authority = authority.filter(|host| !host.is_empty() && !PUBLIC_AUTHORITIES.contains(host));
        Ok(Self { object, client, tenant: tenant(object)?, authority, holder })
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.object.namespace(), self.object.name())
    }
}

/// <https://azure.github.io/aad-pod-identity/docs/concepts/azureidentity/> has the types.
fn holder(object: Object<'_>, azure: &Azure) -> Result<Holder, Unusable> {
    match object.of_spec("type").map_or(Some(0), Value::as_i64) {
        Some(0) => user_assigned(object, azure),
        Some(1 | 2) => application(object),
        _ => Err(Unusable::Type { value: object.of_spec("type").map(ToString::to_string).unwrap_or_default() }),
    }
}

fn user_assigned(object: Object<'_>, azure: &Azure) -> Result<Holder, Unusable> {
    let written = object.text_of_spec("resourceID").to_owned();
    let resource = ResourceId::parse(&written).ok_or_else(|| Unusable::ResourceId { value: written.clone() })?;
    let object_id = azure.user_assigned(&resource).map(|known| known.object_id.clone());
    Ok(Holder::UserAssigned { resource, written, object_id })
}

fn application(object: Object<'_>) -> Result<Holder, Unusable> {
    let tenants = object.of_spec("auxiliaryTenantIDs").and_then(Value::as_array).map_or(0, Vec::len);
    if tenants > 0 {
        return Err(Unusable::AuxiliaryTenants { count: tenants });
    }
    let reference = object.of_spec("clientPassword").and_then(Value::as_object).into_iter().flatten();
    let reference: Vec<_> =
        reference.filter_map(|(key, value)| Some((key.to_ascii_lowercase(), value.as_str()?))).collect();
    let part = |name| reference.iter().find(|(key, _)| key == name).map_or("?", |(_, value)| *value);
    Ok(Holder::Application { secret: format!("{}/{}", part("namespace"), part("name")) })
}

fn another_client(holder: &Holder, azure: &Azure) -> Option<ClientId> {
    match holder {
        Holder::UserAssigned { resource, .. } => Some(azure.user_assigned(resource)?.client.clone()),
        Holder::Application { .. } => None,
    }
}

fn tenant(object: Object<'_>) -> Result<Option<TenantId>, Unusable> {
    match object.text_of_spec("tenantID") {
        "" => Ok(None),
        tenant => TenantId::parse(tenant).map(Some).map_err(|_| Unusable::TenantId { value: tenant.to_owned() }),
    }
}
