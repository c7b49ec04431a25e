//! The HTTP proxy on the way to Entra, and what is reached without it.

use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use thiserror::Error;

const SOMEWHERE: &str = "https://login.microsoftonline.com";

/// What is no URL of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a URL such as http://proxy.example:3128")]
pub struct NotAProxy;

/// What `HTTPS_PROXY` and `NO_PROXY` say. Counts for `https` only: `http` is an emulator on loopback. May hold a
/// password; its `Debug` shows nothing.
#[derive(Default)]
pub struct HttpsProxy(Option<Matcher>);

impl HttpsProxy {
    /// The proxy at `url`, but not for the hosts in `except`, separated by commas.
    ///
    /// # Errors
    /// If `url` is none, or not that of an HTTP proxy.
    pub fn new(url: Option<&str>, except: Option<&str>) -> Result<Self, NotAProxy> {
        let Some(url) = url else { return Ok(Self::default()) };
        let proxy = Matcher::builder().https(url).build().intercept(&Uri::from_static(SOMEWHERE)).ok_or(NotAProxy)?;
        if ![Some("http"), Some("https")].contains(&proxy.uri().scheme_str()) {
            return Err(NotAProxy);
        }
        Ok(Self(Some(Matcher::builder().https(url).no(except.unwrap_or_default()).build())))
    }

    /// The proxy on the way to `to`, if there is one.
    pub(crate) fn on_the_way(&self, to: &Uri) -> Option<Intercept> {
        self.0.as_ref()?.intercept(to)
    }
}

/// Where it is, without the password; nothing if there is none.
impl fmt::Display for HttpsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.on_the_way(&Uri::from_static(SOMEWHERE)).map_or(Ok(()), |proxy| write!(f, "{}", proxy.uri()))
    }
}

impl fmt::Debug for HttpsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsProxy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, except: &str, to: &'static str) -> Option<String> {
        let proxy = HttpsProxy::new(Some(url), Some(except)).unwrap();
        proxy.on_the_way(&Uri::from_static(to)).map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn a_proxy_is_an_http_url_and_nothing_else() {
        for good in ["http://proxy.example:3128", "https://user:secret@proxy.example", "proxy.example:3128"] {
            assert!(HttpsProxy::new(Some(good), None).is_ok(), "{good}");
        }
        for bad in ["", "http://user:hunter2@:::", "socks5://proxy.example", "ftp://proxy.example"] {
            assert_eq!(HttpsProxy::new(Some(bad), None).unwrap_err(), NotAProxy, "{bad}");
        }
    }

    #[test]
    fn named_hosts_and_their_subdomains_are_reached_without_it() {
        let proxy = |to| proxy("http://proxy.example:3128", "login.example, 10.0.0.0/8", to);
        assert_eq!(proxy("https://other.example"), Some("http://proxy.example:3128/".to_owned()));
        for near in ["https://login.example", "https://eu.login.example", "https://10.1.2.3"] {
            assert_eq!(proxy(near), None, "{near}");
        }
    }

    #[test]
    fn it_is_not_on_the_way_to_plain_http() {
        assert_eq!(proxy("http://proxy.example:3128", "", "http://127.0.0.1:1"), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let proxy = HttpsProxy::new(Some("http://user:hunter2@proxy.example"), None).unwrap();
        assert!(!format!("{proxy:?}").contains("hunter2"));
    }
}
