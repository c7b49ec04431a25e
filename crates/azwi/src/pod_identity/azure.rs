//! What Azure says of identities: ids that Kubernetes does not know, and the federated identity credentials they have.
//!
//! From JSON as Azure Resource Manager and Microsoft Graph print it. An identity that is not there was not asked for, and
//! one that is there is there with all its credentials.

use std::collections::BTreeMap;

use azwi_identity::ClientId;
use serde_json::Value;

use super::resource_id::ResourceId;

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
}

impl Azure {
    pub(super) fn read(resources: &[Value]) -> Self {
        let mut azure = Self::default();
        for resource in resources {
            azure.read_identity(resource);
        }
        for resource in resources {
            azure.read_credential(resource);
        }
        azure
    }

    pub(super) fn user_assigned(&self, id: &ResourceId) -> Option<&UserAssigned> {
        self.user_assigned.get(&id.key())
    }

    /// Those that an identity has; `None` if it was not asked for.
    pub(super) fn credentials(&self, client: &ClientId) -> Option<&[Known]> {
        self.credentials.get(client.as_str()).map(Vec::as_slice)
    }

    /// A managed identity as Resource Manager has it, or an application with its credentials as Graph has it.
    fn read_identity(&mut self, resource: &Value) {
        if let Some(client) = client_at(resource, "/appId") {
            let credentials = resource.get("federatedIdentityCredentials").and_then(Value::as_array);
            let credentials = credentials.into_iter().flatten().map(|credential| known(credential, credential));
            self.credentials.insert(client.as_str().to_owned(), credentials.collect());
        } else if let (Some(id), Some(client)) =
            (ResourceId::parse(text(resource, "/id")), client_at(resource, "/properties/clientId"))
        {
            self.credentials.insert(client.as_str().to_owned(), Vec::new());
            let object_id = text(resource, "/properties/principalId").to_ascii_lowercase();
            self.user_assigned.insert(id.key(), UserAssigned { client, object_id });
        }
    }

    /// A credential as Resource Manager has it: the identity's id goes on with `/federatedIdentityCredentials/NAME`.
    fn read_credential(&mut self, resource: &Value) {
        let segments: Vec<&str> = text(resource, "/id").rsplitn(3, '/').collect();
        let [_, "federatedIdentityCredentials", identity] = segments.as_slice() else { return };
        let Some(identity) = ResourceId::parse(identity).and_then(|id| self.user_assigned.get(&id.key())) else {
            return;
        };
        let (Some(of_identity), Some(properties)) =
            (self.credentials.get_mut(identity.client.as_str()), resource.get("properties"))
        else {
            return;
        };
        of_identity.push(known(resource, properties));
    }
}

fn known(named: &Value, properties: &Value) -> Known {
    let audiences = properties.get("audiences").and_then(Value::as_array).into_iter().flatten();
    Known {
        name: text(named, "/name").to_owned(),
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
