//! What is said to `detect` apart from what it reads.

use azwi_conventions::{DEFAULT_PROXY_PORT, TOKEN_EXCHANGE_AUDIENCE};
use azwi_identity::TenantId;
use thiserror::Error;

/// Issuer of the cluster's service account tokens, byte for byte as it stands in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

/// Not the URL of an issuer.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no issuer: not an https URL without query or fragment")]
pub struct IssuerError(String);

impl Issuer {
    /// Reads a URL as `OpenID` Connect Discovery has issuers: `https`, a host, maybe a path, nothing else.
    ///
    /// # Errors
    /// It is none. What a shell would not leave alone is none either, for it becomes part of commands.
    pub fn parse(url: &str) -> Result<Self, IssuerError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
        let rest = url.strip_prefix("https://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        match rest {
            Some(rest) if rest.bytes().all(is_plain) => Ok(Self(url.to_owned())),
            _ => Err(IssuerError(url.to_owned())),
        }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What holds for the whole plan.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who signs the cluster's service account tokens.
    pub issuer: Issuer,
    /// Audience of the service account tokens, the cloud's.
    pub audience: String,
    /// What service accounts say as their tenant; nothing if there is none, and the webhook's counts.
    pub tenant_id: Option<TenantId>,
    /// What service accounts say as their tokens' lifetime, in seconds; nothing if there is none.
    pub token_expiration: Option<u32>,
    /// Where sidecars listen.
    pub proxy_port: u16,
}

impl Settings {
    /// The defaults, in the public cloud.
    pub fn new(issuer: Issuer) -> Self {
        let audience = TOKEN_EXCHANGE_AUDIENCE.to_owned();
        Self { issuer, audience, tenant_id: None, token_expiration: None, proxy_port: DEFAULT_PROXY_PORT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_byte_for_byte() {
        let url = "https://eastus.oic.prod-aks.azure.com/Tenant/cluster/";
        assert_eq!(Issuer::parse(url).unwrap().as_str(), url);
    }

    #[test]
    fn nothing_that_a_shell_reads_is_an_issuer() {
        for url in [
            "",
            "http://x.example",
            "https://",
            "https:///x",
            "https://x.example/?q",
            "https://x/$(id)",
            "https://x/a b",
        ] {
            assert!(Issuer::parse(url).is_err(), "{url}");
        }
    }
}
