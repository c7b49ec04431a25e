//! The keys of an issuer, found as a relying party must: the discovery document first, whose
//! `issuer` has to be the very issuer (`OpenID` Connect Discovery 1.0 section 4.3), then the
//! `jwks_uri` in it. Kept until an unknown key id asks for a fresh look.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;
use serde::de::DeserializeOwned;

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_DOCUMENT: usize = 256 * 1024;

/// Where the keys of an issuer come from.
pub(crate) trait IssuerKeys {
    /// The key with this id; `None` when the issuer has no such key.
    async fn key(&self, issuer: &str, kid: &str) -> Result<Option<Jwk>, DiscoveryError>;
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error(transparent)]
    Unreachable(#[from] reqwest::Error),
    #[error("{url}: {problem}")]
    Answer { url: String, problem: String },
}

pub(crate) struct Discovery {
    client: reqwest::Client,
    keys: Mutex<HashMap<String, JwkSet>>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Discovery {
    /// No proxy: issuers are reached directly.
    pub(crate) fn new(tls: rustls::ClientConfig) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { client, keys: Mutex::default() })
    }

    /// The next assertion of any issuer makes its keys be fetched again.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    async fn fetch(&self, issuer: &str) -> Result<JwkSet, DiscoveryError> {
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let document: Document = self.get(&url).await?;
        if document.issuer != issuer {
            let problem = format!("its issuer is `{}`, not `{issuer}`", document.issuer);
            return Err(DiscoveryError::Answer { url, problem });
        }
        self.get(&document.jwks_uri).await
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, DiscoveryError> {
        let answer = |problem: String| DiscoveryError::Answer { url: url.to_owned(), problem };
        let mut response = self.client.get(url).send().await?;
        if !response.status().is_success() {
            return Err(answer(response.status().to_string()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_DOCUMENT {
                return Err(answer(format!("is longer than {MAX_DOCUMENT} bytes")));
            }
        }
        serde_json::from_slice(&body).map_err(|error| answer(error.to_string()))
    }

    fn known(&self, issuer: &str, kid: &str) -> Option<Jwk> {
        self.lock().get(issuer)?.find(kid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, JwkSet>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IssuerKeys for Discovery {
    async fn key(&self, issuer: &str, kid: &str) -> Result<Option<Jwk>, DiscoveryError> {
        if let Some(key) = self.known(issuer, kid) {
            return Ok(Some(key));
        }
        let keys = self.fetch(issuer).await?;
        let key = keys.find(kid).cloned();
        self.lock().insert(issuer.to_owned(), keys);
        Ok(key)
    }
}
