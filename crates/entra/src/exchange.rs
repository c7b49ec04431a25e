//! One token exchange: the OAuth 2.0 client credentials grant with a federated credential.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>, third case. One attempt with
//! one assertion; no retries, no cache, no redirects.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header;
use thiserror::Error;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::connections::{Answer, Connections};
use crate::dial::{Dialer, HTTP1, HTTP2};
use crate::form_post::FormPost;
use crate::refusal::retry_after;
use crate::tls::Tls;
use crate::{AccessToken, Assertion, AuthorityHost, ClientId, Refusal, Resource, Scope, TenantId, TrustRoots};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

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

/// Asks one authority for tokens; connections are shared.
pub struct Exchanger {
    connections: Connections,
    authority: AuthorityHost,
}

impl Exchanger {
    /// Will connect to `authority` at the first exchange, and read `roots` then. `HTTPS_PROXY` and `NO_PROXY` are
    /// honoured; HTTP/2 is used where offered.
    pub fn new(authority: AuthorityHost, roots: TrustRoots) -> Self {
        let connections = Connections::new(Dialer::new(None), Tls::new(roots, &[HTTP2, HTTP1]));
        Self { connections, authority }
    }

    /// Exchanges `assertion` for an access token of `client` in `tenant` for `resource`, taking `limit` at most.
    ///
    /// # Errors
    /// [`ExchangeError`]; none of its texts contains the assertion or a token.
    pub async fn exchange(
        &self,
        tenant: &TenantId,
        client: &ClientId,
        resource: &Resource,
        assertion: &Assertion,
        limit: Duration,
    ) -> Result<AccessToken, ExchangeError> {
        let form = form(client, resource, assertion);
        let post = FormPost::new(&self.authority.token_endpoint(tenant), form).map_err(|error| self.lost(&error))?;
        match timeout(limit, self.connections.post(&post)).await {
            Ok(Ok(answer)) => read(&answer, assertion),
            Ok(Err(error)) => Err(self.lost(error.as_ref())),
            Err(elapsed) => Err(self.lost(&elapsed)),
        }
    }

    fn lost(&self, error: &(dyn Error + 'static)) -> ExchangeError {
        ExchangeError::Transport { authority: self.authority.to_string(), cause: causes(error) }
    }
}

fn form(client: &ClientId, resource: &Resource, assertion: &Assertion) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client.as_str())
        .append_pair("scope", Scope::of(resource).as_str())
        .append_pair("client_assertion_type", ASSERTION_TYPE)
        .append_pair("client_assertion", assertion.expose())
        .finish()
}

fn read(Answer { status, headers, body }: &Answer, assertion: &Assertion) -> Result<AccessToken, ExchangeError> {
    let status_code = status.as_u16();
    let now = SystemTime::now();
    if status.is_success() {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        return AccessToken::from_json(body, now).ok_or(ExchangeError::Malformed(status_code));
    }
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after(value, now));
    let refusal = Refusal::from_response(status_code, retry_after, body, assertion.expose());
    Err(ExchangeError::Refused(Box::new(refusal)))
}

/// The chain of causes on one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = if error.is::<Elapsed>() { "timed out".to_owned() } else { error.to_string() };
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
