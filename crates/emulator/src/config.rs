//! The tenants, their applications and the resources.

mod certificate;
mod file;

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use certificate::Certificate;

pub(crate) const DEFAULT_CONFIG: &str = include_str!("default_config.json");
/// Entra's limit per application or managed identity.
pub(crate) const MAX_CREDENTIALS: usize = 20;
pub(crate) const DEFAULT_AUDIENCE: &str = azwi_conventions::TOKEN_EXCHANGE_AUDIENCE;

/// Resources of the public cloud that every tenant has, without their optional trailing slash.
const PUBLIC_RESOURCES: [&str; 18] = [
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://vault.azure.net",
    "https://managedhsm.azure.net",
    "https://storage.azure.com",
    "https://graph.microsoft.com",
    "https://database.windows.net",
    "https://ossrdbms-aad.database.windows.net",
    "https://cosmos.azure.com",
    "https://redis.azure.com",
    "https://servicebus.azure.net",
    "https://eventhubs.azure.net",
    "https://eventgrid.azure.net",
    "https://containerregistry.azure.net",
    "https://cognitiveservices.azure.com",
    "https://monitor.azure.com",
    "https://azconfig.io",
    "https://search.azure.com",
];

#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// At least one.
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) resources: Resources,
}

#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: Uuid,
    pub(crate) domains: Vec<String>,
    /// Azure's: what Resource Manager knows in this tenant.
    pub(crate) subscriptions: Vec<Uuid>,
    pub(crate) applications: Vec<Application>,
    pub(crate) role_assignments: Vec<RoleAssignment>,
}

#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) client_id: Uuid,
    /// Of its service principal: the token's `oid` and `sub`.
    pub(crate) object_id: Uuid,
    /// Without a service principal in the tenant nobody gets a token for it.
    pub(crate) has_service_principal: bool,
    pub(crate) kind: Kind,
    /// Of its access tokens, in seconds.
    pub(crate) token_lifetime: u32,
    pub(crate) refresh_in: Option<u32>,
    pub(crate) roles: Vec<String>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) credentials: Vec<FederatedIdentityCredential>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    AppRegistration {
        /// Of the application in Graph, which is not that of its service principal.
        id: Uuid,
        created: OffsetDateTime,
    },
    ManagedIdentity {
        /// In Azure Resource Manager.
        resource_id: String,
        location: String,
        tags: BTreeMap<String, String>,
    },
}

/// A client secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RoleAssignment {
    pub(crate) name: Uuid,
    /// As it was written; compared without regard to case.
    pub(crate) scope: String,
    pub(crate) role_definition_id: String,
    pub(crate) principal_id: Uuid,
    pub(crate) created: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FederatedIdentityCredential {
    pub(crate) id: Uuid,
    /// Unique in its application or managed identity.
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// `None` stands for the emulator's own issuer.
    pub(crate) issuer: Option<String>,
    pub(crate) subject: String,
    pub(crate) audience: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Resources(Vec<String>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if .field.is_empty() { String::new() } else { format!("{field}: ") })]
pub(crate) struct ConfigError {
    /// Empty for the file itself.
    field: String,
    problem: String,
}

impl Config {
    /// Everything that is wrong with the file at once; of an object whose shape is wrong, the first such field only.
    pub(crate) fn parse(json: &str) -> Result<Self, Vec<ConfigError>> {
        file::parse(json)
    }

    /// By GUID or by domain, as in the path of the token endpoint.
    pub(crate) fn tenant(&self, name: &str) -> Option<&Tenant> {
        let id = Uuid::try_parse(name).ok();
        self.tenants.iter().find(|tenant| {
            id == Some(tenant.id) || tenant.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name))
        })
    }
}

impl Tenant {
    /// By the id of its service principal.
    pub(crate) fn principal(&self, object_id: Uuid) -> Option<&Application> {
        self.applications
            .iter()
            .find(|application| application.has_service_principal && application.object_id == object_id)
    }

    pub(crate) fn application(&self, client_id: &str) -> Option<&Application> {
        let client_id = Uuid::try_parse(client_id).ok()?;
        self.applications.iter().find(|application| application.client_id == client_id)
    }
}

impl Resources {
    fn with(additions: Vec<String>) -> Self {
        let public = PUBLIC_RESOURCES.iter().map(ToString::to_string);
        Self(public.chain(additions).map(without_slash).collect())
    }

    pub(crate) fn add(&mut self, resource: String) {
        self.0.push(without_slash(resource));
    }

    /// With or without one trailing slash.
    pub(crate) fn contains(&self, resource: &str) -> bool {
        let resource = resource.strip_suffix('/').unwrap_or(resource);
        self.0.iter().any(|known| known == resource)
    }
}

fn without_slash(mut resource: String) -> String {
    if resource.ends_with('/') {
        resource.pop();
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_known_with_and_without_its_slash() {
        let resources = Resources::with(vec!["api://mine/".to_owned()]);
        for known in ["api://mine", "api://mine/", "https://vault.azure.net", "https://vault.azure.net/"] {
            assert!(resources.contains(known), "{known}");
        }
        assert!(!resources.contains("https://vault.azure.net//"));
    }
}
