//! What the phases need of an identity besides, by the command's flags.

use serde_json::{Value, json};

use crate::azure::identity::{Azure, Identity, Trust, Wanted};

use super::ServiceAccountError;
use super::arguments::Arguments;

/// The most credentials that Entra ID allows of one identity.
const MAX_CREDENTIALS: usize = 20;

impl Azure {
    /// Object id of what has roles.
    pub(super) async fn principal(
        &self,
        arguments: &Arguments,
        identity: &Identity,
    ) -> Result<String, ServiceAccountError> {
        if let Some(id) = &arguments.application.service_principal_object_id {
            return Ok(id.clone());
        }
        match identity {
            Identity::Managed(_, identity) => Ok(identity.principal_id.clone()),
            Identity::Application(application) => {
                let found = match &arguments.application.service_principal_name {
                    Some(name) => self.graph.service_principal("displayName", name).await?,
                    None => self.graph.service_principal("appId", &application.client_id).await?,
                };
                found.ok_or_else(|| ServiceAccountError::NoPrincipal(identity.label()))
            }
        }
    }
}

impl Wanted {
    pub(super) fn of(arguments: &Arguments) -> Result<Self, ServiceAccountError> {
        Ok(match arguments.managed_identity()? {
            Some(id) => Self::Managed(id),
            None => Self::Application(arguments.application_key()?),
        })
    }
}

/// What an identity has of a trust.
pub(super) enum Standing {
    /// All of it, under this name.
    There(String),
    /// One for another audience, under this name; an identity can have no two of one issuer and subject.
    OtherAudience(String),
    Missing,
}

impl Trust<'_> {
    /// What of it is among `credentials`.
    ///
    /// # Errors
    /// Nothing is, and there is no room for it.
    pub(super) fn standing(&self, credentials: &[Value], identity: &Identity) -> Result<Standing, ServiceAccountError> {
        if let Some(found) = credentials.iter().find(|credential| self.concerns(credential)) {
            let name = name(found).to_owned();
            let is_same = property(found, "audiences") == Some(&json!([self.audience]));
            return Ok(if is_same { Standing::There(name) } else { Standing::OtherAudience(name) });
        }
        if let Some(other) = credentials.iter().find(|credential| name(credential) == self.name) {
            return Err(ServiceAccountError::NameTaken {
                identity: identity.label(),
                name: self.name.clone(),
                subject: text(other, "subject").to_owned(),
                issuer: text(other, "issuer").to_owned(),
            });
        }
        if credentials.len() >= MAX_CREDENTIALS {
            return Err(ServiceAccountError::TooManyCredentials(identity.label()));
        }
        Ok(Standing::Missing)
    }

    fn concerns(&self, credential: &Value) -> bool {
        text(credential, "issuer") == self.issuer && text(credential, "subject") == self.subject
    }

    /// The name of the credential by which it is there, whoever has given it.
    pub(super) fn name_among<'c>(&self, credentials: &'c [Value]) -> Option<&'c str> {
        credentials.iter().find(|credential| self.concerns(credential)).map(name)
    }
}

fn name(credential: &Value) -> &str {
    credential.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Graph has them at the top, Resource Manager in `properties`.
fn property<'a>(credential: &'a Value, name: &str) -> Option<&'a Value> {
    credential.get("properties").unwrap_or(credential).get(name)
}

fn text<'a>(credential: &'a Value, name: &str) -> &'a str {
    property(credential, name).and_then(Value::as_str).unwrap_or_default()
}
