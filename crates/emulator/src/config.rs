//! The tenants, their applications and the resources.

mod file;

use uuid::Uuid;

pub(crate) const DEFAULT_CONFIG: &str = include_str!("default_config.json");
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

#[derive(Debug)]
pub(crate) struct Config {
    /// At least one.
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) resources: Resources,
}

#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: Uuid,
    pub(crate) domains: Vec<String>,
    pub(crate) applications: Vec<Application>,
}

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) client_id: Uuid,
    /// Of its service principal: the token's `oid` and `sub`.
    pub(crate) object_id: Uuid,
    pub(crate) kind: Kind,
    /// Of its access tokens, in seconds.
    pub(crate) token_lifetime: u32,
    pub(crate) refresh_in: Option<u32>,
    pub(crate) roles: Vec<String>,
    pub(crate) credentials: Vec<FederatedIdentityCredential>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    AppRegistration,
    /// With its Azure resource id.
    ManagedIdentity(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FederatedIdentityCredential {
    /// `None` stands for the emulator's own issuer.
    pub(crate) issuer: Option<String>,
    pub(crate) subject: String,
    pub(crate) audience: String,
}

#[derive(Debug)]
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
