//! The identity, be it an application or a user-assigned managed identity: what the phases need of either.

use serde_json::{Value, json};

use crate::azure::arm::{ManagedIdentity, ResourceManager};
use crate::azure::cloud::Cloud;
use crate::azure::graph::{Application, ApplicationKey, Graph};
use crate::azure::login::Session;
use crate::azure::rest::{Rest, RestError};

use super::ServiceAccountError;
use super::arguments::Arguments;

/// The most credentials that Entra ID allows of one identity.
const MAX_CREDENTIALS: usize = 20;

/// Azure, as somebody who is logged in.
pub(super) struct Azure {
    pub(super) graph: Graph,
    pub(super) resource_manager: ResourceManager,
    pub(super) cloud: Cloud,
}

/// An identity that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    Application(Application),
    /// With its resource id.
    Managed(String, ManagedIdentity),
}

/// Which identity is meant.
#[derive(Debug)]
pub(super) enum Wanted {
    Application(ApplicationKey),
    /// By its resource id.
    Managed(String),
}

/// Whom an identity trusts.
#[derive(Debug)]
pub(super) struct Trust<'a> {
    pub(super) name: String,
    pub(super) issuer: &'a str,
    pub(super) subject: String,
    pub(super) audience: &'static str,
}

impl Azure {
    pub(super) fn new(
        arguments: &Arguments,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ServiceAccountError> {
        let Session { cloud, credential } = arguments.login.session(lookup)?;
        let graph = Graph(Rest::new(cloud.graph.clone(), credential.clone())?);
        let resource_manager = ResourceManager(Rest::new(cloud.resource_manager.clone(), credential)?);
        Ok(Self { graph, resource_manager, cloud })
    }

    pub(super) async fn find(&self, wanted: &Wanted) -> Result<Option<Identity>, RestError> {
        Ok(match wanted {
            Wanted::Application(key) => self.graph.application(key).await?.map(Identity::Application),
            Wanted::Managed(id) => {
                self.resource_manager.identity(id).await?.map(|identity| Identity::Managed(id.clone(), identity))
            }
        })
    }

    pub(super) async fn credentials(&self, identity: &Identity) -> Result<Vec<Value>, RestError> {
        match identity {
            Identity::Application(application) => self.graph.credentials(&application.object_id).await,
            Identity::Managed(id, _) => self.resource_manager.credentials(id).await,
        }
    }

    pub(super) async fn create_credential(&self, identity: &Identity, trust: &Trust<'_>) -> Result<(), RestError> {
        let mut body = json!({ "issuer": trust.issuer, "subject": trust.subject, "audiences": [trust.audience] });
        match identity {
            Identity::Application(application) => {
                if let Some(body) = body.as_object_mut() {
                    body.insert("name".to_owned(), trust.name.as_str().into());
                    body.insert("description".to_owned(), format!("Kubernetes: {}", trust.subject).into());
                }
                self.graph.create_credential(&application.object_id, &body).await
            }
            Identity::Managed(id, _) => self.resource_manager.create_credential(id, &trust.name, &body).await,
        }
    }

    pub(super) async fn delete_credential(&self, identity: &Identity, name: &str) -> Result<(), RestError> {
        match identity {
            Identity::Application(application) => self.graph.delete_credential(&application.object_id, name).await,
            Identity::Managed(id, _) => self.resource_manager.delete_credential(id, name).await,
        }
    }

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

    /// What it is, and by what it is known.
    pub(super) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Managed(id) => ("managed identity", id.rsplit('/').next().unwrap_or_default()),
            Self::Application(
                ApplicationKey::Name(name) | ApplicationKey::ClientId(name) | ApplicationKey::ObjectId(name),
            ) => ("application", name),
        }
    }
}

impl Identity {
    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::Application(application) => &application.client_id,
            Self::Managed(_, identity) => &identity.client_id,
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Application(application) => format!("application {}", application.name),
            Self::Managed(id, _) => format!("managed identity {}", id.rsplit('/').next().unwrap_or_default()),
        }
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
