//! Which identity answers: the selector of a request, the pod's default, and the list of those allowed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use azwi_entra::{ClientId, TenantId};
use azwi_imds::{Rejection, Selector};
use thiserror::Error;

use crate::key::Identity;

/// Why no identity answers.
#[derive(Debug, Error)]
pub(crate) enum Unresolved {
    /// The request's fault, in IMDS's own words.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The pod's fault; the text names the variable.
    #[error("{0}")]
    Misconfigured(&'static str),
}

/// The identities a pod may use.
pub(crate) struct Identities {
    tenant: Option<TenantId>,
    default: Option<Arc<Identity>>,
    allowed: Option<HashSet<ClientId>>,
    warned: AtomicBool,
}

impl Identities {
    /// `default` is what the pod was given; it is allowed whatever `allowed` says. Without `allowed`, every client is,
    /// and Entra decides.
    pub(crate) fn new(tenant: Option<TenantId>, default: Option<ClientId>, allowed: Option<HashSet<ClientId>>) -> Self {
        // As IMDS does for a machine with exactly one identity.
        let only = allowed.as_ref().filter(|allowed| allowed.len() == 1).and_then(|allowed| allowed.iter().next());
        let default = default.or_else(|| only.cloned());
        let default = tenant.clone().zip(default).map(|(tenant, client)| Arc::new(Identity { tenant, client }));
        Self { tenant, default, allowed, warned: AtomicBool::new(false) }
    }

    /// The tenant tokens are asked from.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// The identity that `selector` means.
    pub(crate) fn resolve(&self, selector: Option<&Selector>) -> Result<Arc<Identity>, Unresolved> {
        let tenant = self.tenant.as_ref().ok_or(Unresolved::Misconfigured("AZURE_TENANT_ID is not set"))?;
        match selector {
            None => self.default(),
            Some(Selector::ClientId(client)) => self.client(tenant, client),
            Some(Selector::ObjectId(_) | Selector::ResourceId(_)) => {
                self.warn_once();
                self.default()
            }
        }
    }

    fn default(&self) -> Result<Arc<Identity>, Unresolved> {
        let several = self.allowed.as_ref().is_some_and(|allowed| allowed.len() > 1);
        match &self.default {
            Some(identity) => Ok(Arc::clone(identity)),
            None if several => Err(Rejection::MultipleIdentities.into()),
            None => Err(Unresolved::Misconfigured("AZURE_CLIENT_ID is not set and the request has no client_id")),
        }
    }

    fn client(&self, tenant: &TenantId, client: &str) -> Result<Arc<Identity>, Unresolved> {
        if let Some(identity) = self.default.as_ref().filter(|identity| identity.client.as_str() == client) {
            return Ok(Arc::clone(identity));
        }
        let client = ClientId::parse(client).map_err(|_| Rejection::IdentityNotFound)?;
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&client)) {
            return Err(Rejection::IdentityNotFound.into());
        }
        Ok(Arc::new(Identity { tenant: tenant.clone(), client }))
    }

    /// Entra cannot be asked by object or resource id. The default identity answers, as it did in pod identity.
    fn warn_once(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("an app selects its identity by object_id or resource id; the default identity answers");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaa-0000-4000-8000-000000000000";
    const B: &str = "bbbbbbbb-0000-4000-8000-000000000000";

    fn identities(default: Option<&str>, allowed: Option<&[&str]>) -> Identities {
        let parse = |id: &str| ClientId::parse(id).unwrap();
        let allowed = allowed.map(|ids| ids.iter().map(|id| parse(id)).collect());
        Identities::new(Some(TenantId::parse("contoso.com").unwrap()), default.map(parse), allowed)
    }

    fn resolved(identities: &Identities, selector: Option<&Selector>) -> String {
        match identities.resolve(selector) {
            Ok(identity) => identity.client.to_string(),
            Err(error) => error.to_string(),
        }
    }

    fn client(id: &str) -> Selector {
        Selector::ClientId(id.to_owned())
    }

    #[test]
    fn without_a_selector_the_default_identity_answers() {
        assert_eq!(resolved(&identities(Some(A), None), None), A);
    }

    #[test]
    fn any_client_id_is_tried_when_no_list_is_set() {
        assert_eq!(resolved(&identities(Some(A), None), Some(&client(B))), B);
        assert_eq!(resolved(&identities(None, None), Some(&client(B))), B);
    }

    #[test]
    fn a_client_id_outside_the_list_does_not_exist() {
        let identities = identities(Some(A), Some(&[A]));
        assert_eq!(resolved(&identities, Some(&client(B))), Rejection::IdentityNotFound.to_string());
    }

    #[test]
    fn the_default_identity_is_allowed_whatever_the_list_says() {
        assert_eq!(resolved(&identities(Some(A), Some(&[B])), Some(&client(A))), A);
    }

    #[test]
    fn the_only_allowed_identity_is_the_default() {
        assert_eq!(resolved(&identities(None, Some(&[B])), None), B);
    }

    #[test]
    fn with_several_identities_and_no_default_the_app_must_choose() {
        let identities = identities(None, Some(&[A, B]));
        assert_eq!(resolved(&identities, None), Rejection::MultipleIdentities.to_string());
    }

    #[test]
    fn object_and_resource_ids_mean_the_default_identity() {
        let identities = identities(Some(A), None);
        assert_eq!(resolved(&identities, Some(&Selector::ObjectId(B.to_owned()))), A);
        assert_eq!(resolved(&identities, Some(&Selector::ResourceId("/subscriptions/x".to_owned()))), A);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(resolved(&identities(None, None), None).contains("AZURE_CLIENT_ID"));
        assert!(resolved(&Identities::new(None, None, None), Some(&client(A))).contains("AZURE_TENANT_ID"));
    }
}
