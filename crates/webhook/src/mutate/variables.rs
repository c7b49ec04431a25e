//! The environment variables that lead SDKs and the sidecar to Entra.

use azwi_conventions::{env, volume};
use serde::Serialize;

use super::pod::Container;
use super::{CaSource, ServiceAccount, Settings, TokenEndpoint};

/// Of a container.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Variable<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
}

/// In the order of azure-workload-identity's webhook, which it promises; none is empty.
pub(super) struct Variables<'a>(Vec<Variable<'a>>);

impl<'a> Variables<'a> {
    pub(super) fn new(
        account: &'a ServiceAccount,
        settings: &'a Settings,
        endpoint: Option<&'a TokenEndpoint>,
    ) -> Self {
        let federation = [
            (env::AZURE_CLIENT_ID, account.client_id.as_deref().unwrap_or_default()),
            (env::AZURE_TENANT_ID, account.tenant_id.as_deref().unwrap_or(&settings.tenant_id)),
            (env::AZURE_FEDERATED_TOKEN_FILE, volume::TOKEN_FILE),
            (env::AZURE_AUTHORITY_HOST, &settings.authority_host),
        ];
        let endpoint = endpoint.map(of_endpoint).into_iter().flatten();
        let all = federation.into_iter().chain(endpoint).map(|(name, value)| Variable { name, value });
        Self(all.filter(|variable| !variable.value.is_empty()).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Variable<'a>> {
        self.0.iter().copied()
    }

    /// Those that a container does not set.
    pub(super) fn missing_in(&self, container: &Container<'_>) -> impl Iterator<Item = Variable<'a>> {
        self.iter().filter(|variable| !is_settled(container, variable.name))
    }
}

fn of_endpoint(endpoint: &TokenEndpoint) -> [(&'static str, &str); 3] {
    let ca = match &endpoint.ca {
        CaSource::None => (env::AZURE_KUBERNETES_CA_FILE, ""),
        CaSource::Data(pem) => (env::AZURE_KUBERNETES_CA_DATA, &**pem),
        CaSource::ConfigMap(_) | CaSource::ClusterTrustBundle { .. } => {
            (env::AZURE_KUBERNETES_CA_FILE, volume::CA_FILE)
        }
    };
    [
        (env::AZURE_KUBERNETES_TOKEN_PROXY, &endpoint.token_proxy),
        (env::AZURE_KUBERNETES_SNI_NAME, &endpoint.sni_name),
        ca,
    ]
}

fn is_settled(container: &Container<'_>, variable: &str) -> bool {
    // SDKs refuse the two of them together.
    let other = match variable {
        env::AZURE_KUBERNETES_CA_FILE => env::AZURE_KUBERNETES_CA_DATA,
        env::AZURE_KUBERNETES_CA_DATA => env::AZURE_KUBERNETES_CA_FILE,
        _ => variable,
    };
    container.sets(variable) || container.sets(other)
}
