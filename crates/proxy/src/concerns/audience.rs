//! Whether the service account token is meant for Entra, or for the token proxy in its place.
//!
//! A warning and no more: a federated credential may name any audience, and only Entra knows which it names.

use std::mem;
use std::sync::{Mutex, PoisonError};

use azwi_conventions::{
    IDENTITY_BINDING_AUDIENCE, TOKEN_EXCHANGE_AUDIENCE, TOKEN_EXCHANGE_AUDIENCE_CHINA,
    TOKEN_EXCHANGE_AUDIENCE_US_GOVERNMENT,
};
use azwi_entra::{AssertionClaims, AuthorityHost, TokenProxy};

/// Compares with the audience that the cloud recommends, and remembers what it has warned of.
pub(crate) struct AudienceWatch {
    expected: &'static str,
    unexpected: Mutex<Option<String>>,
}

impl AudienceWatch {
    /// Expects what Microsoft documents for the cloud that `authority` belongs to, or for a token proxy.
    pub(crate) fn new(authority: &AuthorityHost, token_proxy: Option<&TokenProxy>) -> Self {
        let expected = if token_proxy.is_some() { IDENTITY_BINDING_AUDIENCE } else { usual(authority.host()) };
        Self { expected, unexpected: Mutex::default() }
    }

    /// Whether the token is meant for somebody else.
    pub(crate) fn is_unexpected(&self, claims: &AssertionClaims) -> bool {
        !claims.aud.contains(self.expected)
    }

    /// Takes note of a token that was read.
    pub(crate) fn observe(&self, claims: &AssertionClaims) {
        let unexpected = self.is_unexpected(claims).then(|| claims.aud.to_string());
        let before =
            mem::replace(&mut *self.unexpected.lock().unwrap_or_else(PoisonError::into_inner), unexpected.clone());
        if before == unexpected {
            return;
        }
        let expected = self.expected;
        if let Some(audience) = unexpected {
            tracing::warn!(audience, expected, "the service account token has an unusual audience");
        } else {
            tracing::info!(expected, "the service account token has the usual audience again");
        }
    }
}

/// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust>; any host that is no known
/// cloud's counts as public.
fn usual(host: &str) -> &'static str {
    match host {
        "login.microsoftonline.us" | "login.usgovcloudapi.net" => TOKEN_EXCHANGE_AUDIENCE_US_GOVERNMENT,
        "login.partner.microsoftonline.cn" | "login.chinacloudapi.cn" => TOKEN_EXCHANGE_AUDIENCE_CHINA,
        _ => TOKEN_EXCHANGE_AUDIENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_an_audience_of_its_own_and_an_unknown_host_counts_as_public() {
        assert_eq!(usual("login.microsoftonline.com"), "api://AzureADTokenExchange");
        assert_eq!(usual("login.microsoftonline.us"), "api://AzureADTokenExchangeUSGov");
        assert_eq!(usual("login.partner.microsoftonline.cn"), "api://AzureADTokenExchangeChina");
        assert_eq!(usual("entra.example"), "api://AzureADTokenExchange");
    }
}
