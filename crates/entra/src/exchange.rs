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
use url::Url;

use crate::connections::{Answer, Connections};
use crate::dial::{Dialer, HTTP1, HTTP2};
use crate::form_post::FormPost;
use crate::https_proxy::HttpsProxy;
use crate::refusal::retry_after;
use crate::tls::Tls;
use crate::{
    AccessToken, Assertion, AuthorityHost, ClientId, Refusal, Resource, Scope, TenantId, TokenProxy, TrustRoots,
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why an attempt brought no token.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Entra answered, and said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Entra could not be asked, or the answer got lost on the way.
    #[error("{place} cannot be reached: {cause}")]
    Transport {
        /// Who was asked, and where.
        place: String,
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
    token_proxy: Option<TokenProxy>,
    /// What names who may vouch for the server.
    trust_settings: &'static str,
}

impl Exchanger {
    /// Will connect to `authority`, or to the token proxy in its place, at the first exchange, and read `roots` then.
    /// Entra is asked over HTTP/2 where it offers that; the token proxy over
    /// HTTP/1.1, since it may be asked for under one name in TLS and under another in HTTP, which over HTTP/2 servers
    /// refuse as misdirected (RFC 9110 §15.5.20).
    pub fn new(
        authority: AuthorityHost,
        token_proxy: Option<TokenProxy>,
        roots: TrustRoots,
        proxy: HttpsProxy,
    ) -> Self {
        let server_name = token_proxy.as_ref().and_then(TokenProxy::server_name).map(str::to_owned);
        let protocols: &[_] = if token_proxy.is_some() { &[HTTP1] } else { &[HTTP2, HTTP1] };
        let trust_settings = match roots {
            TrustRoots::System(..) => "--ca-file or SSL_CERT_FILE name more certificate authorities",
            TrustRoots::Only(_) => "AZURE_KUBERNETES_CA_DATA holds the only trusted certificate authorities",
            TrustRoots::File(_) => "AZURE_KUBERNETES_CA_FILE names the only trusted certificate authorities",
        };
        let connections = Connections::new(Dialer::new(server_name, proxy), Tls::new(roots, protocols));
        Self { connections, authority, token_proxy, trust_settings }
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
        let post = FormPost::new(&self.endpoint(tenant), form).map_err(|error| self.lost(&error))?;
        match timeout(limit, self.connections.post(&post)).await {
            Ok(Ok(answer)) => read(&answer, assertion),
            Ok(Err(error)) => Err(self.lost(error.as_ref())),
            Err(elapsed) => Err(self.lost(&elapsed)),
        }
    }

    fn endpoint(&self, tenant: &TenantId) -> Url {
        let endpoint = self.authority.token_endpoint(tenant);
        match &self.token_proxy {
            Some(proxy) => proxy.instead_of(&endpoint),
            None => endpoint,
        }
    }

    fn lost(&self, error: &(dyn Error + 'static)) -> ExchangeError {
        let place = match &self.token_proxy {
            Some(proxy) => format!("the token proxy at {proxy} (AZURE_KUBERNETES_TOKEN_PROXY)"),
            None => format!("Entra at {}", self.authority),
        };
        let mut cause = causes(error);
        if cause.contains("UnknownIssuer") {
            cause = format!("{cause} (nobody trusted vouches for it; {})", self.trust_settings);
        }
        ExchangeError::Transport { place, cause }
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
    text
}
