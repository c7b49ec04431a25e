//! The token proxy of AKS identity bindings: the cluster's own endpoint, which passes token requests on to Entra.
//!
//! <https://learn.microsoft.com/azure/aks/identity-bindings-concepts>. It takes the place of Entra's scheme, host and
//! port, and stands in front of its path; the request is the same. What its variables mean is as in the Azure SDKs.

use std::fmt;

use rustls::pki_types::DnsName;
use thiserror::Error;
use url::Url;

use crate::authority::{AuthorityError, AuthorityHost, LoopbackHttp};

/// Why a value does not describe a token proxy.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenProxyError {
    /// Not an absolute URL.
    #[error("{0:?} is not a URL such as https://10.0.0.1/")]
    Url(String),
    /// Assertions are credentials: they travel over TLS only.
    #[error("{0:?} must start with https://")]
    Scheme(String),
    /// A base URL is scheme, host, port and path.
    #[error("{0:?} must be a plain base URL without user name, query or fragment")]
    NotABase(String),
    /// The name that stands in a certificate.
    #[error("{0:?} is not a host name such as tokens.example")]
    ServerName(String),
}

impl From<AuthorityError> for TokenProxyError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Url(value) => Self::Url(value),
            AuthorityError::Scheme(value) => Self::Scheme(value),
            AuthorityError::NotABase(value) => Self::NotABase(value),
        }
    }
}

/// A name that a server proves to have, and is asked for under in TLS (SNI).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

impl ServerName {
    /// Parses a host name.
    ///
    /// # Errors
    /// [`TokenProxyError::ServerName`] if it is none.
    pub fn parse(name: &str) -> Result<Self, TokenProxyError> {
        DnsName::try_from(name).map_err(|_| TokenProxyError::ServerName(name.to_owned()))?;
        Ok(Self(name.to_owned()))
    }
}

/// Where the token proxy is, and under which name it proves to be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenProxy {
    base: AuthorityHost,
    server_name: Option<ServerName>,
}

impl TokenProxy {
    /// Parses a base URL, with or without a path and a trailing slash. It must have a certificate for its host.
    ///
    /// # Errors
    /// [`TokenProxyError`] that says what would be right.
    pub fn parse(url: &str) -> Result<Self, TokenProxyError> {
        let base = AuthorityHost::parse(url, LoopbackHttp::Refused)?;
        Ok(Self { base, server_name: None })
    }

    /// It must have a certificate for `name` instead.
    #[must_use]
    pub fn with_server_name(self, name: ServerName) -> Self {
        Self { server_name: Some(name), ..self }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_ref().map(|name| name.0.as_str())
    }

    /// Where to send what is meant for `endpoint`.
    pub(crate) fn instead_of(&self, endpoint: &Url) -> Url {
        self.base.join(endpoint.path())
    }
}

impl fmt::Display for TokenProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxys_path_and_entras_are_joined_by_one_slash() {
        let endpoint = Url::parse("https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token").unwrap();
        for (proxy, expected) in [
            ("https://p.example", "https://p.example/contoso.com/oauth2/v2.0/token"),
            ("https://p.example/", "https://p.example/contoso.com/oauth2/v2.0/token"),
            ("https://p.example:8443/x", "https://p.example:8443/x/contoso.com/oauth2/v2.0/token"),
            ("https://10.0.0.1/x/y/", "https://10.0.0.1/x/y/contoso.com/oauth2/v2.0/token"),
        ] {
            assert_eq!(TokenProxy::parse(proxy).unwrap().instead_of(&endpoint).as_str(), expected);
        }
    }

    #[test]
    fn only_plain_https_urls_with_a_host_are_token_proxies() {
        for (url, error) in [
            ("proxy.example", TokenProxyError::Url as fn(String) -> _),
            ("https://", TokenProxyError::Url),
            ("http://127.0.0.1/", TokenProxyError::Scheme),
            ("https://p.example/?x", TokenProxyError::NotABase),
            ("https://p.example/#x", TokenProxyError::NotABase),
        ] {
            assert_eq!(TokenProxy::parse(url), Err(error(url.to_owned())));
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = TokenProxy::parse("https://user:hunter2@p.example").unwrap_err().to_string();
        assert!(error.contains("@p.example") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_server_name_is_a_host_name() {
        let proxy = TokenProxy::parse("https://10.0.0.1").unwrap();
        assert_eq!(proxy.server_name(), None);
        let proxy = proxy.with_server_name(ServerName::parse("ib.example").unwrap());
        assert_eq!(proxy.server_name(), Some("ib.example"));
        for bad in ["", "a b", "https://ib.example", "10.0.0.1:443"] {
            assert_eq!(ServerName::parse(bad), Err(TokenProxyError::ServerName(bad.to_owned())));
        }
    }
}
