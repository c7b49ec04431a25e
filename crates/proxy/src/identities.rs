//! Which identity answers: the selector of a request, the pod's default, and the list of those allowed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use azwi_entra::{ClientId, TenantId};
use azwi_identity::{IdentityMap, Mapped};
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

/// What an object id or resource id means that no map resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmapped {
    /// The pod's default identity, as in AAD Pod Identity and the Go proxy.
    Default,
    /// Nobody, as in IMDS.
    Reject,
}

/// What a pod was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// Where its identities live.
    pub tenant: Option<TenantId>,
    /// Who answers when a request names nobody; allowed whatever `allowed` says.
    pub default: Option<ClientId>,
    /// Who may be asked for, beside the default and those in the map; `None`: anybody, and Entra decides.
    pub allowed: Option<HashSet<ClientId>>,
    /// Who object ids and resource ids stand for.
    pub map: Option<IdentityMap>,
    /// `None`: with a map, nobody; without one, the default.
    pub unmapped: Option<Unmapped>,
}

/// The identities a pod may use.
pub(crate) struct Identities {
    tenant: Option<TenantId>,
    default: Option<Arc<Identity>>,
    /// The pod was given more than one, and none of them is the default.
    several: bool,
    allowed: Option<HashSet<ClientId>>,
    map: IdentityMap,
    unmapped: Unmapped,
    warned: AtomicBool,
}

impl Identities {
    /// Of what the pod was given.
    pub(crate) fn new(Given { tenant, default, allowed, map, unmapped }: Given) -> Self {
        let unmapped = unmapped.unwrap_or(if map.is_some() { Unmapped::Reject } else { Unmapped::Default });
        let map = map.unwrap_or_default();
        let mut named: HashSet<_> = allowed.iter().flatten().chain(map.clients()).cloned().collect();
        let several = named.len() > 1;
        // As IMDS does for a machine with exactly one identity.
        let default = default.or_else(|| named.drain().next().filter(|_| !several));
        let tenant_of = |client: &ClientId| map.entry_of(client).and_then(|mapped| mapped.tenant.clone());
        let default = default.and_then(|client| {
            let tenant = tenant_of(&client).or_else(|| tenant.clone())?;
            Some(Arc::new(Identity { tenant, client }))
        });
        Self { tenant, default, several, allowed, map, unmapped, warned: AtomicBool::new(false) }
    }

    /// The tenant tokens are asked from.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// The identity that `selector` means.
    pub(crate) fn resolve(&self, selector: Option<&Selector>) -> Result<Arc<Identity>, Unresolved> {
        match selector {
            None => self.default(),
            Some(Selector::ClientId(client)) => self.client(client),
            Some(Selector::ObjectId(id) | Selector::ResourceId(id)) => match self.map.get(id) {
                Some(mapped) => self.mapped(mapped),
                None => self.unmapped(id),
            },
        }
    }

    fn default(&self) -> Result<Arc<Identity>, Unresolved> {
        if self.tenant.is_none() && self.default.is_none() {
            return Err(Unresolved::Misconfigured("AZURE_TENANT_ID is not set"));
        }
        match &self.default {
            Some(identity) => Ok(Arc::clone(identity)),
            None if self.several => Err(Rejection::MultipleIdentities.into()),
            None => Err(Unresolved::Misconfigured("AZURE_CLIENT_ID is not set and the request has no client_id")),
        }
    }

    fn client(&self, client: &str) -> Result<Arc<Identity>, Unresolved> {
        if let Some(identity) = self.default.as_ref().filter(|identity| identity.client.as_str() == client) {
            return Ok(Arc::clone(identity));
        }
        let client = ClientId::parse(client).map_err(|_| Rejection::IdentityNotFound)?;
        if let Some(mapped) = self.map.entry_of(&client) {
            return self.mapped(mapped);
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&client)) {
            return Err(Rejection::IdentityNotFound.into());
        }
        self.identity(client, None)
    }

    fn mapped(&self, mapped: &Mapped) -> Result<Arc<Identity>, Unresolved> {
        self.identity(mapped.client.clone(), mapped.tenant.clone())
    }

    fn identity(&self, client: ClientId, tenant: Option<TenantId>) -> Result<Arc<Identity>, Unresolved> {
        let tenant = tenant.or_else(|| self.tenant.clone());
        let tenant = tenant.ok_or(Unresolved::Misconfigured("AZURE_TENANT_ID is not set"))?;
        Ok(Arc::new(Identity { tenant, client }))
    }

    fn unmapped(&self, id: &str) -> Result<Arc<Identity>, Unresolved> {
        if self.unmapped == Unmapped::Reject {
            return Err(Rejection::IdentityNotFound.into());
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                id,
                client_id = self.default.as_ref().map(|identity| identity.client.as_str()),
                "an app selects its identity by an object id or resource id that --identity-map does not have; the \
                 default identity answers"
            );
        }
        self.default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaa-0000-4000-8000-000000000000";
    const B: &str = "bbbbbbbb-0000-4000-8000-000000000000";

    fn given() -> Given {
        Given { tenant: Some(TenantId::parse("contoso.com").unwrap()), ..Given::default() }
    }

    fn identities(default: Option<&str>, allowed: Option<&[&str]>) -> Identities {
        let parse = |id: &str| ClientId::parse(id).unwrap();
        let allowed = allowed.map(|ids| ids.iter().map(|id| parse(id)).collect());
        Identities::new(Given { default: default.map(parse), allowed, ..given() })
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
    fn identities_of_the_map_count_among_those_the_pod_was_given() {
        let map = |json: &str| Some(IdentityMap::from_json(json).unwrap());
        let one = Identities::new(Given { map: map(&format!(r#"{{"x":"{A}","y":"{A}"}}"#)), ..given() });
        assert_eq!(resolved(&one, None), A);
        let two = Identities::new(Given { map: map(&format!(r#"{{"x":"{A}","y":"{B}"}}"#)), ..given() });
        assert_eq!(resolved(&two, None), Rejection::MultipleIdentities.to_string());
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

    fn mapping(unmapped: Option<Unmapped>) -> Identities {
        let json = format!(r#"{{"/subscriptions/s/demo":{{"client_id":"{B}","tenant_id":"fabrikam.com"}}}}"#);
        let map = Some(IdentityMap::from_json(&json).unwrap());
        let default = Some(ClientId::parse(A).unwrap());
        Identities::new(Given { default, allowed: Some(HashSet::new()), map, unmapped, ..given() })
    }

    #[test]
    fn a_mapped_id_means_its_client_in_its_tenant_and_is_allowed() {
        for selector in [Selector::ResourceId("/Subscriptions/S/Demo".to_owned()), client(B)] {
            let identity = mapping(None).resolve(Some(&selector)).unwrap();
            assert_eq!((identity.client.as_str(), identity.tenant.as_str()), (B, "fabrikam.com"));
        }
    }

    #[test]
    fn with_a_map_an_unmapped_id_does_not_exist_unless_told_otherwise() {
        let unknown = Selector::ObjectId(A.to_owned());
        assert_eq!(resolved(&mapping(None), Some(&unknown)), Rejection::IdentityNotFound.to_string());
        assert_eq!(resolved(&mapping(Some(Unmapped::Default)), Some(&unknown)), A);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(resolved(&identities(None, None), None).contains("AZURE_CLIENT_ID"));
        assert!(resolved(&Identities::new(Given::default()), Some(&client(A))).contains("AZURE_TENANT_ID"));
    }
}
