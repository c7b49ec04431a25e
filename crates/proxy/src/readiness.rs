//! Whether the sidecar has what it needs to ask for tokens.
//!
//! Looks at its own configuration and files only. An outage of Entra does not make it unready: pods must start through
//! it, and cached tokens go on being served.

use azwi_conventions::env;
use azwi_entra::{AssertionClaims, AssertionFile};
use serde_json::json;

/// What readiness depends on.
pub(crate) struct Readiness {
    has_tenant: bool,
    assertion: Option<AssertionFile>,
}

impl Readiness {
    /// Watches over the tenant's presence and the service account token file.
    pub(crate) fn new(has_tenant: bool, assertion: Option<AssertionFile>) -> Self {
        Self { has_tenant, assertion }
    }

    /// Reasons why tokens cannot be asked for at `now` (seconds since the epoch); none means ready.
    pub(crate) fn reasons(&self, now: u64) -> Vec<String> {
        let tenant = (!self.has_tenant).then(|| format!("{} is not set", env::AZURE_TENANT_ID));
        tenant.into_iter().chain(self.assertion_reason(now)).collect()
    }

    /// What the service account token says of itself now; `None` if there is none that can be read.
    pub(crate) fn claims(&self) -> Option<AssertionClaims> {
        self.assertion.as_ref()?.read().ok()?.claims()
    }

    fn assertion_reason(&self, now: u64) -> Option<String> {
        let Some(file) = &self.assertion else {
            return Some(format!("{} is not set", env::AZURE_FEDERATED_TOKEN_FILE));
        };
        let assertion = match file.read() {
            Ok(assertion) => assertion,
            Err(error) => return Some(error.to_string()),
        };
        let path = file.path().display();
        match assertion.claims() {
            Some(claims) if claims.exp > now => None,
            Some(claims) => Some(format!("the service account token in {path} expired {} s ago", now - claims.exp)),
            None => Some(format!("the service account token in {path} is no JWT with iss, sub, aud and exp")),
        }
    }
}

/// `/readyz`'s body when not ready.
pub(crate) fn render(reasons: &[String]) -> String {
    json!({ "ready": false, "reasons": reasons }).to_string()
}
