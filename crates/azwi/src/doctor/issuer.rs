//! The documents by which others know a cluster's tokens, as its issuer publishes them: whether they can be fetched from
//! here, and are this cluster's. Entra fetches them from the internet; what is seen here need not be seen there.

use std::time::Duration;

use azwi_entra::AssertionClaims;
use reqwest::{Certificate, Client};
use serde_json::Value;

use crate::azure::rest::root_cause;

use super::check::Check;
use super::federation;
use super::objects::text;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 1 << 20;
const FIX: &str = "Entra must be able to fetch it from the internet, over a certificate that everybody trusts: publish it \
                   there (AADSTS50166, docs/troubleshooting.md)";

/// Asks issuers.
pub(crate) struct Issuers(Client);

impl Issuers {
    /// `more` certificate authorities to trust besides the system's, as PEM text.
    ///
    /// # Errors
    /// It holds none, or this machine has no roots of trust.
    pub(crate) fn new(more: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        let more = more.map(Certificate::from_pem_bundle).transpose()?.unwrap_or_default();
        let builder = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::limited(3));
        Ok(Self(builder.tls_certs_merge(more).build()?))
    }

    /// Discovery document and keys against a token's issuer and key id.
    pub(crate) async fn checks(&self, subject: &str, claims: &AssertionClaims, kid: &str) -> Vec<Check> {
        // OpenID Connect Discovery 1.0, section 4.1.
        let url = format!("{}/.well-known/openid-configuration", claims.iss.trim_end_matches('/'));
        let document = match self.fetch(&url).await {
            Ok(document) => document,
            Err(reason) => return vec![Check::fails(subject, "issuer", format!("{url}: {reason}"), FIX)],
        };
        let url = text(&document, "/jwks_uri");
        let keys = match self.fetch(url).await {
            Ok(keys) => federation::signing_key(subject, kid, &keys),
            Err(reason) => Check::fails(subject, "signing key", format!("jwks_uri {url}: {reason}"), FIX),
        };
        vec![federation::discovery(subject, claims, &document), keys]
    }

    async fn fetch(&self, url: &str) -> Result<Value, String> {
        if !url.starts_with("https://") {
            return Err("is no https URL".to_owned());
        }
        let mut response = self.0.get(url).send().await.map_err(|error| root_cause(&error))?;
        if !response.status().is_success() {
            return Err(format!("answers {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| root_cause(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_DOCUMENT {
                return Err(format!("is larger than {MAX_DOCUMENT} bytes"));
            }
        }
        serde_json::from_slice(&body).map_err(|error| format!("is no JSON: {error}"))
    }
}
