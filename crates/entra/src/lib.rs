//! Microsoft Entra ID as a service: authorities, the assertion, the token exchange and what its errors mean.
//!
//! Exchanges a Kubernetes service account token for an access token by workload identity federation (the OAuth 2.0
//! client credentials grant with a federated credential). Knows nothing of IMDS, keeps no tokens and retries nothing:
//! that is the caller's policy.

mod assertion;
mod authority;
mod connections;
mod dial;
mod exchange;
mod form_post;
mod https_proxy;
mod refusal;
mod scope;
mod secret;
mod taxonomy;
mod tls;
mod token;
mod token_proxy;
mod trust;

pub use azwi_identity::{ClientId, IdentityError, TenantId};

pub use assertion::{Assertion, AssertionClaims, AssertionError, AssertionFile, Audience};
pub use authority::{AuthorityError, AuthorityHost, LoopbackHttp};
pub use exchange::{ExchangeError, Exchanger};
pub use https_proxy::{HttpsProxy, NotAProxy};
pub use refusal::Refusal;
pub use scope::{Resource, ResourceError, Scope};
pub use secret::Secret;
pub use taxonomy::{Class, classify, is_known};
pub use token::AccessToken;
pub use token_proxy::{ServerName, TokenProxy, TokenProxyError};
pub use trust::{CaBundle, SystemRoots, TrustError, TrustRoots};
