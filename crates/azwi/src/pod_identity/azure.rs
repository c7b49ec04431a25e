//! What Azure says of identities: ids that Kubernetes does not know, and the federated identity credentials they have.
//!
//! From JSON as Azure Resource Manager, Microsoft Graph and `az` print it; the last has no `properties` around them. Whose
//! credentials are not there was not asked for them.

use std::collections::{BTreeMap, BTreeSet};

use azwi_identity::ClientId;
use serde_json::Value;

use super::resource_id::ResourceId;

/// Beside the client id of what Azure does not have; no service of Azure has a field of this name.
pub(super) const NOT_FOUND: &str = "azwi/notFound";

/// A user-assigned managed identity.
#[derive(Debug)]
pub(super) struct UserAssigned {
    pub(super) client: ClientId,
    pub(super) object_id: String,
}

/// A federated identity credential.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audiences: Vec<String>,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Azure {
    user_assigned: BTreeMap<String, UserAssigned>,
    credentials: BTreeMap<String, Vec<Known>>,
    /// Client ids of what was asked for and is not there.
    not_found: BTreeSet<String>,
}

impl Azure {
    pub(super) fn read(resources: &[Value]) -> Self {
        let mut azure = Self::default();
        for resource in flat(resources) {
            azure.read_identity(resource);
        }
        for resource in flat(resources) {
            azure.read_credential(resource);
        }
        azure
    }

    pub(super) fn user_assigned(&self, id: &ResourceId) -> Option<&UserAssigned> {
        self.user_assigned.get(&id.key())
    }

    pub(super) fn has_not(&self, client: &ClientId) -> bool {
        self.not_found.contains(client.as_str())
    }

    /// Those that an identity has; `None` if it was not asked for.
    pub(super) fn credentials(&self, client: &ClientId) -> Option<&[Known]> {
        self.credentials.get(client.as_str()).map(Vec::as_slice)
    }

    fn read_identity(&mut self, resource: &Value) {
        let properties = properties(resource);
        let client = client_at(resource, "/appId").or_else(|| client_at(properties, "/clientId"));
        let Some(client) = client else { return };
        if resource.get(NOT_FOUND).is_some() {
            self.not_found.insert(client.as_str().to_owned());
            return;
        }
        if let Some(list) = resource.get("federatedIdentityCredentials").and_then(Value::as_array) {
            self.credentials.insert(client.as_str().to_owned(), list.iter().map(known).collect());
        }
        if let Some(id) = ResourceId::parse(text(resource, "/id")) {
            let object_id = text(properties, "/principalId").to_ascii_lowercase();
            self.user_assigned.insert(id.key(), UserAssigned { client, object_id });
        }
    }

    /// A credential by itself: the identity's id goes on with `/federatedIdentityCredentials/NAME`.
    fn read_credential(&mut self, resource: &Value) {
        let segments: Vec<&str> = text(resource, "/id").rsplitn(3, '/').collect();
        let [_, kind, identity] = segments.as_slice() else { return };
        if !kind.eq_ignore_ascii_case("federatedIdentityCredentials") {
            return;
        }
        if let Some(identity) = ResourceId::parse(identity).and_then(|id| self.user_assigned.get(&id.key())) {
            let of_identity = self.credentials.entry(identity.client.as_str().to_owned()).or_default();
            of_identity.push(known(resource));
        }
    }
}

fn properties(resource: &Value) -> &Value {
    resource.get("properties").unwrap_or(resource)
}

fn known(credential: &Value) -> Known {
    let properties = properties(credential);
    let audiences = properties.get("audiences").and_then(Value::as_array).into_iter().flatten();
    Known {
        name: text(credential, "/name").to_owned(),
        issuer: text(properties, "/issuer").to_owned(),
        subject: text(properties, "/subject").to_owned(),
        audiences: audiences.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn client_at(value: &Value, pointer: &str) -> Option<ClientId> {
    ClientId::parse(text(value, pointer)).ok()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list is printed as one by `az`, and as `value` of an object by the services.
fn flat(resources: &[Value]) -> impl Iterator<Item = &Value> {
    resources.iter().flat_map(|resource| {
        let list = resource.as_array().or_else(|| resource.get("value")?.as_array());
        list.map_or(std::slice::from_ref(resource), Vec::as_slice)
    })
}
