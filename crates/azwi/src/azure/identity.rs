//! An identity, be it an application or a user-assigned managed identity, and whom it trusts: what the commands need of
//! either, over Graph or Resource Manager.

use serde_json::{Value, json};

use super::arm::{ManagedIdentity, ResourceManager};
use super::cloud::Cloud;
use super::graph::{Application, ApplicationKey, Graph};
use super::login::{Login, LoginError, Session};
use super::rest::{Rest, RestError};

/// Why Azure did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AzureError {
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Rest(#[from] RestError),
}

/// Azure, as somebody who is logged in.
pub(crate) struct Azure {
    pub(crate) graph: Graph,
    pub(crate) resource_manager: ResourceManager,
    pub(crate) cloud: Cloud,
}

/// An identity that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Application(Application),
    /// With its resource id.
    Managed(String, ManagedIdentity),
}

/// Which identity is meant.
#[derive(Debug)]
pub(crate) enum Wanted {
    Application(ApplicationKey),
    /// By its resource id.
    Managed(String),
}

/// Whom an identity trusts.
#[derive(Debug)]
pub(crate) struct Trust<'a> {
    pub(crate) name: String,
    pub(crate) issuer: &'a str,
    pub(crate) subject: String,
    pub(crate) audience: &'a str,
}

impl Azure {
    /// # Errors
    /// Nobody can be logged in.
    pub(crate) async fn new(login: &Login, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, AzureError> {
        let Session { cloud, credential } = login.session(lookup).await?;
        let graph = Graph(Rest::new(cloud.graph.clone(), credential.clone())?);
        let resource_manager = ResourceManager(Rest::new(cloud.resource_manager.clone(), credential)?);
        Ok(Self { graph, resource_manager, cloud })
    }

    pub(crate) async fn find(&self, wanted: &Wanted) -> Result<Option<Identity>, RestError> {
        Ok(match wanted {
            Wanted::Application(key) => self.graph.application(key).await?.map(Identity::Application),
            Wanted::Managed(id) => {
                self.resource_manager.identity(id).await?.map(|identity| Identity::Managed(id.clone(), identity))
            }
        })
    }

    pub(crate) async fn credentials(&self, identity: &Identity) -> Result<Vec<Value>, RestError> {
        match identity {
            Identity::Application(application) => self.graph.credentials(&application.object_id).await,
            Identity::Managed(id, _) => self.resource_manager.credentials(id).await,
        }
    }

    pub(crate) async fn create_credential(&self, identity: &Identity, trust: &Trust<'_>) -> Result<(), RestError> {
        let mut body = trust.body();
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

    /// Changes the one of that name.
    pub(crate) async fn update_credential(&self, identity: &Identity, trust: &Trust<'_>) -> Result<(), RestError> {
        match identity {
            Identity::Application(application) => {
                self.graph.update_credential(&application.object_id, &trust.name, &trust.body()).await
            }
            Identity::Managed(..) => self.create_credential(identity, trust).await,
        }
    }

    pub(crate) async fn delete_credential(&self, identity: &Identity, name: &str) -> Result<(), RestError> {
        match identity {
            Identity::Application(application) => self.graph.delete_credential(&application.object_id, name).await,
            Identity::Managed(id, _) => self.resource_manager.delete_credential(id, name).await,
        }
    }
}

impl Trust<'_> {
    /// All but the name.
    fn body(&self) -> Value {
        json!({ "issuer": self.issuer, "subject": self.subject, "audiences": [self.audience] })
    }
}

impl Wanted {
    /// What it is, and by what it is known.
    pub(crate) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Managed(id) => ("managed identity", id.rsplit('/').next().unwrap_or_default()),
            Self::Application(
                ApplicationKey::Name(name) | ApplicationKey::ClientId(name) | ApplicationKey::ObjectId(name),
            ) => ("application", name),
        }
    }
}

impl Identity {
    pub(crate) fn client_id(&self) -> &str {
        match self {
            Self::Application(application) => &application.client_id,
            Self::Managed(_, identity) => &identity.client_id,
        }
    }

    pub(crate) fn label(&self) -> String {
        match self {
            Self::Application(application) => format!("application {}", application.name),
            Self::Managed(id, _) => format!("managed identity {}", id.rsplit('/').next().unwrap_or_default()),
        }
    }
}
