//! Where a cloud is, and what its parts are called.

use azwi_conventions::{TOKEN_EXCHANGE_AUDIENCE, TOKEN_EXCHANGE_AUDIENCE_CHINA, TOKEN_EXCHANGE_AUDIENCE_US_GOVERNMENT};
use clap::ValueEnum;

/// The names of `--azure-env`, those of go-autorest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloudName {
    #[value(name = "AzurePublicCloud", alias = "AzureCloud")]
    Public,
    #[value(name = "AzureUSGovernmentCloud", alias = "AzureUSGovernment")]
    UsGovernment,
    #[value(name = "AzureChinaCloud")]
    China,
}

impl CloudName {
    /// What service account tokens are for.
    pub(crate) fn audience(self) -> &'static str {
        match self {
            Self::Public => TOKEN_EXCHANGE_AUDIENCE,
            Self::UsGovernment => TOKEN_EXCHANGE_AUDIENCE_US_GOVERNMENT,
            Self::China => TOKEN_EXCHANGE_AUDIENCE_CHINA,
        }
    }
}

/// A cloud's addresses, each without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cloud {
    pub(crate) authority: String,
    pub(crate) graph: Endpoint,
    pub(crate) resource_manager: Endpoint,
    /// What service account tokens are for.
    pub(crate) audience: &'static str,
}

/// Where an API is, and for whom its tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) scope: String,
}

/// A variable does not hold a base URL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}: expected an https URL such as {example}")]
pub(crate) struct EndpointError {
    variable: &'static str,
    value: String,
    example: &'static str,
}

impl Cloud {
    /// The cloud whose Entra ID is at `authority`, if it is one of those with a name.
    pub(crate) fn at(authority: &str) -> Option<Self> {
        let clouds = CloudName::value_variants().iter().filter_map(|name| Self::new(*name, |_| None).ok());
        let authority = authority.trim_end_matches('/');
        clouds.into_iter().find(|cloud| cloud.authority.eq_ignore_ascii_case(authority))
    }

    /// A cloud, with what the environment says of private ones: `AZURE_AUTHORITY_HOST`, `AZURE_GRAPH_ENDPOINT` and
    /// `AZURE_RESOURCE_MANAGER_ENDPOINT`. Tokens stay those for the named cloud's APIs.
    ///
    /// # Errors
    /// One of them is no https URL.
    pub(crate) fn new(name: CloudName, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EndpointError> {
        let (authority, graph, resource_manager) = match name {
            CloudName::Public => {
                ("https://login.microsoftonline.com", "https://graph.microsoft.com", "https://management.azure.com")
            }
            CloudName::UsGovernment => (
                "https://login.microsoftonline.us",
                "https://graph.microsoft.us",
                "https://management.usgovcloudapi.net",
            ),
            CloudName::China => (
                "https://login.partner.microsoftonline.cn",
                "https://microsoftgraph.chinacloudapi.cn",
                "https://management.chinacloudapi.cn",
            ),
        };
        let url = |variable, usual: &'static str| match lookup(variable).filter(|value| !value.is_empty()) {
            None => Ok(usual.to_owned()),
            Some(value) if is_base(&value) => Ok(value.trim_end_matches('/').to_owned()),
            Some(value) => Err(EndpointError { variable, value, example: usual }),
        };
        let endpoint = |variable, usual| {
            Ok::<_, EndpointError>(Endpoint { url: url(variable, usual)?, scope: format!("{usual}/.default") })
        };
        Ok(Self {
            authority: url("AZURE_AUTHORITY_HOST", authority)?,
            graph: endpoint("AZURE_GRAPH_ENDPOINT", graph)?,
            resource_manager: endpoint("AZURE_RESOURCE_MANAGER_ENDPOINT", resource_manager)?,
            audience: name.audience(),
        })
    }
}

fn is_base(value: &str) -> bool {
    value.strip_prefix("https://").is_some_and(|rest| {
        let host = rest.trim_end_matches('/');
        !host.is_empty() && !host.contains(['/', '?', '#', '@']) && host.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_its_own_addresses_and_audience() {
        let public = Cloud::new(CloudName::Public, |_| None).unwrap();
        let china = Cloud::new(CloudName::China, |_| None).unwrap();
        assert_eq!(public.graph.scope, "https://graph.microsoft.com/.default");
        assert_eq!(china.resource_manager.url, "https://management.chinacloudapi.cn");
        assert_ne!(public.audience, china.audience);
    }

    #[test]
    fn a_cloud_is_known_by_its_authority() {
        let audience = |authority| Cloud::at(authority).map(|cloud| cloud.audience);
        assert_eq!(audience("https://login.microsoftonline.us/"), Some(TOKEN_EXCHANGE_AUDIENCE_US_GOVERNMENT));
        assert_eq!(audience("https://login.microsoftonline.com"), Some(TOKEN_EXCHANGE_AUDIENCE));
        assert_eq!(audience("https://login.example/"), None);
    }

    #[test]
    fn a_private_cloud_changes_where_an_api_is_and_not_for_whom_tokens_are() {
        let lookup = |name: &str| (name == "AZURE_GRAPH_ENDPOINT").then(|| "https://localhost:8443/".to_owned());
        let graph = Cloud::new(CloudName::Public, lookup).unwrap().graph;
        assert_eq!((&*graph.url, &*graph.scope), ("https://localhost:8443", "https://graph.microsoft.com/.default"));
    }

    #[test]
    fn an_address_that_is_not_https_is_refused_by_its_variable() {
        for value in ["http://localhost", "localhost", "https://", "https://a/b", "https://user@host"] {
            let error = Cloud::new(CloudName::Public, |_| Some(value.to_owned())).unwrap_err();
            assert!(error.to_string().starts_with("AZURE_AUTHORITY_HOST is "), "{value}");
        }
    }
}
