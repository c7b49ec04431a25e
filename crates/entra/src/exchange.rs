//! One token exchange: the OAuth 2.0 client credentials grant with a federated credential.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>, third case. One attempt with
//! one assertion; no retries, no cache, no redirects.

use std::error::Error as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header;
use reqwest::{Client, Response, redirect};
use thiserror::Error;

use crate::refusal::retry_after;
use crate::{AccessToken, Assertion, AuthorityHost, ClientId, Refusal, Resource, Scope, TenantId, TrustRoots};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// TCP and TLS together; a healthy Entra needs a tenth of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle connections are kept this long for the next exchange.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Largest answer that is read, in bytes; tokens with many groups stay under 32 KiB.
const MAX_ANSWER: usize = 256 * 1024;

/// Whether `HTTPS_PROXY` may hold this: what is no URL would be ignored without a word.
pub fn is_proxy_url(value: &str) -> bool {
    reqwest::Proxy::all(value).is_ok()
}

/// The HTTP client could not be built.
#[derive(Debug, Error)]
#[error("the HTTP client for Entra cannot be built: {0}")]
pub struct ConnectError(#[from] reqwest::Error);

/// Why an attempt brought no token.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Entra answered, and said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Entra could not be asked, or the answer got lost on the way.
    #[error("Entra at {authority} cannot be reached: {cause}")]
    Transport {
        /// The authority that was asked.
        authority: String,
        /// The chain of causes, on one line.
        cause: String,
    },
    /// A success status with something else than a token.
    #[error("Entra's answer (HTTP {0}) holds no token")]
    Malformed(u16),
}

/// Asks one authority for tokens. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Exchanger {
    http: Client,
    authority: AuthorityHost,
}

impl Exchanger {
    /// Prepares connections to `authority`. `HTTPS_PROXY` and `NO_PROXY` are honoured; HTTP/2 is used where offered.
    ///
    /// # Errors
    /// [`ConnectError`] if the roots cannot be used for TLS.
    pub fn new(authority: AuthorityHost, roots: TrustRoots) -> Result<Self, ConnectError> {
        let http = Client::builder()
            .tls_certs_only(roots.into_certificates())
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("azwi-rs/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, authority })
    }

    /// Exchanges `assertion` for an access token of `client` in `tenant` for `resource`, taking `timeout` at most.
    ///
    /// # Errors
    /// [`ExchangeError`]; none of its texts contains the assertion or a token.
    pub async fn exchange(
        &self,
        tenant: &TenantId,
        client: &ClientId,
        resource: &Resource,
        assertion: &Assertion,
        timeout: Duration,
    ) -> Result<AccessToken, ExchangeError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client.as_str())
            .append_pair("scope", Scope::of(resource).as_str())
            .append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", assertion.expose())
            .finish();
        let response = self
            .http
            .post(self.authority.token_endpoint(tenant))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form)
            .timeout(timeout)
            .send()
            .await
            .map_err(|error| self.transport(error))?;
        self.read(response, assertion).await
    }

    async fn read(&self, mut response: Response, assertion: &Assertion) -> Result<AccessToken, ExchangeError> {
        let status = response.status();
        let now = SystemTime::now();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, now));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(ExchangeError::Malformed(status.as_u16()));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            return AccessToken::from_json(&body, now).ok_or(ExchangeError::Malformed(status.as_u16()));
        }
        Err(ExchangeError::Refused(Box::new(Refusal::from_response(
            status.as_u16(),
            retry_after,
            &body,
            assertion.expose(),
        ))))
    }

    fn transport(&self, error: reqwest::Error) -> ExchangeError {
        ExchangeError::Transport { authority: self.authority.to_string(), cause: causes(error) }
    }
}

/// The chain of causes on one line; reqwest's own text stops at the first.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { error.to_string() };
    let mut cause = error.source();
    while let Some(next) = cause {
        let message = next.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = next.source();
    }
    if text.contains("UnknownIssuer") {
        text.push_str(" (nobody trusted vouches for it; --ca-file or SSL_CERT_FILE name more certificate authorities)");
    }
    text
}
