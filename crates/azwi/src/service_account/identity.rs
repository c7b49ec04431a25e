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

impl Trust<'_> {
    /// Whether one of `credentials` says the same, or there is room for another one.
    pub(super) fn is_in(&self, credentials: &[Value], identity: &Identity) -> Result<bool, ServiceAccountError> {
        let is_it = |credential: &Value| {
            text(credential, "issuer") == self.issuer
                && text(credential, "subject") == self.subject
                && property(credential, "audiences") == Some(&json!([self.audience]))
        };
        if credentials.iter().any(is_it) {
            return Ok(true);
        }
        if let Some(other) = credentials.iter().find(|credential| credential.get("name") == Some(&json!(self.name))) {
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
        Ok(false)
    }
}

/// Graph has them at the top, Resource Manager in `properties`.
fn property<'a>(credential: &'a Value, name: &str) -> Option<&'a Value> {
    credential.get("properties").unwrap_or(credential).get(name)
}

fn text<'a>(credential: &'a Value, name: &str) -> &'a str {
    property(credential, name).and_then(Value::as_str).unwrap_or_default()
}
