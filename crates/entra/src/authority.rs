//! Where Entra is: the authority host of a cloud.

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

use crate::TenantId;

/// Why a URL is no authority host.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AuthorityError {
    /// Not an absolute URL.
    #[error("{0:?} is not a URL such as https://login.microsoftonline.com/")]
    Url(String),
    /// Assertions are credentials: they travel over TLS only.
    #[error(
        "{0:?} must start with https:// (http:// is for an emulator on loopback, with --insecure-loopback-authority)"
    )]
    Scheme(String),
    /// A base URL is scheme, host, port and path.
    #[error("{0:?} must be a plain base URL without user name, query or fragment")]
    NotABase(String),
}

/// Whether `http://` to a loopback address is let through, for an emulator during development.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopbackHttp {
    /// Never: `https://` only.
    Refused,
    /// `http://127.0.0.1`, `http://[::1]` and `http://localhost` too.
    Allowed,
}

/// Entra's base URL, e.g. `https://login.microsoftonline.com/`; any cloud's and any `https` host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityHost(Url);

impl AuthorityHost {
    /// Parses a base URL, with or without a trailing slash.
    ///
    /// # Errors
    /// [`AuthorityError`] that says what would be right.
    pub fn parse(value: &str, loopback_http: LoopbackHttp) -> Result<Self, AuthorityError> {
        let url = Url::parse(value).map_err(|_| AuthorityError::Url(shown(value)))?;
        match url.scheme() {
            "https" => {}
            "http" if loopback_http == LoopbackHttp::Allowed && is_loopback(&url) => {}
            _ => return Err(AuthorityError::Scheme(shown(value))),
        }
        let plain =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !plain {
            return Err(AuthorityError::NotABase(shown(value)));
        }
        Ok(Self(url))
    }

    /// Its host name or address, in lower case.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// `{authority}/{tenant}/oauth2/v2.0/token`, with exactly one slash between the parts.
    pub fn token_endpoint(&self, tenant: &TenantId) -> Url {
        self.join(&format!("/{tenant}/oauth2/v2.0/token"))
    }

    /// This with `path` behind its own, which begins with a slash.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

impl fmt::Display for AuthorityHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The value for an error's text, without the password that should not be in it.
fn shown(value: &str) -> String {
    value.rsplit_once('@').map_or_else(|| value.to_owned(), |(_user, rest)| format!("[redacted]@{rest}"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(authority: &str) -> String {
        let tenant = TenantId::parse("contoso.com").unwrap();
        AuthorityHost::parse(authority, LoopbackHttp::Refused).unwrap().token_endpoint(&tenant).to_string()
    }

    #[test]
    fn the_token_endpoint_is_the_same_with_and_without_a_trailing_slash() {
        let expected = "https://login.microsoftonline.us/contoso.com/oauth2/v2.0/token";
        assert_eq!(endpoint("https://login.microsoftonline.us"), expected);
        assert_eq!(endpoint("https://login.microsoftonline.us/"), expected);
    }

    #[test]
    fn an_authority_may_have_a_port_and_a_path() {
        assert_eq!(endpoint("https://localhost:8443/x/"), "https://localhost:8443/x/contoso.com/oauth2/v2.0/token");
    }

    #[test]
    fn plain_http_is_refused_everywhere_by_default() {
        for url in ["http://login.microsoftonline.com/", "http://127.0.0.1:8443/", "ftp://login.microsoftonline.com"] {
            assert_eq!(AuthorityHost::parse(url, LoopbackHttp::Refused), Err(AuthorityError::Scheme(url.to_owned())));
        }
    }

    #[test]
    fn plain_http_is_let_through_to_loopback_only_and_only_when_asked_for() {
        for url in ["http://127.0.0.1:8443/", "http://localhost:8443", "http://[::1]:8443"] {
            assert!(AuthorityHost::parse(url, LoopbackHttp::Allowed).is_ok(), "{url}");
        }
        assert!(AuthorityHost::parse("http://login.microsoftonline.com", LoopbackHttp::Allowed).is_err());
    }

    #[test]
    fn queries_and_fragments_are_refused() {
        for url in ["https://a.example/?x=1", "https://a.example/#x"] {
            assert_eq!(AuthorityHost::parse(url, LoopbackHttp::Refused), Err(AuthorityError::NotABase(url.to_owned())));
        }
        assert!(matches!(AuthorityHost::parse("login", LoopbackHttp::Refused), Err(AuthorityError::Url(_))));
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in ["https://user:hunter2@login.example", "http://user:hunter2@login.example", "user:hunter2@login"] {
            let error = AuthorityHost::parse(url, LoopbackHttp::Refused).unwrap_err().to_string();
            assert!(error.contains("@login") && !error.contains("hunter2"), "{error}");
        }
    }
}
