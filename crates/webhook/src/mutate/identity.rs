//! What to say about a client id or a tenant that is none.

use azwi_conventions::annotation;
use azwi_identity::{ClientId, TenantId};

use super::ServiceAccount;
use super::denial::{Denial, Owner, Quoted, bad_value};

const NO_CLIENT: &str = "no client id: not a GUID";
const NO_TENANT: &str = "no tenant: neither a GUID nor a domain name";

/// The annotations of a service account that say who it is.
struct Said<'a> {
    client_id: &'a str,
    tenant_id: &'a str,
}

impl<'a> Said<'a> {
    fn by(account: &'a ServiceAccount) -> Self {
        Self {
            client_id: account.client_id.as_deref().unwrap_or_default(),
            tenant_id: account.tenant_id.as_deref().unwrap_or_default(),
        }
    }

    fn has_bad_client(&self) -> bool {
        !self.client_id.is_empty() && ClientId::parse(self.client_id).is_err()
    }

    fn has_bad_tenant(&self) -> bool {
        !self.tenant_id.is_empty() && TenantId::parse(self.tenant_id).is_err()
    }
}

/// Refuses what the sidecar would not start with: the pod would never start either.
///
/// # Errors
/// The account's client id is no GUID, or its tenant neither a GUID nor a domain name.
pub(super) fn check_for_sidecar(account: &ServiceAccount) -> Result<(), Denial> {
    let said = Said::by(account);
    if said.has_bad_client() {
        return Err(bad_value(Owner::ServiceAccount, annotation::CLIENT_ID, said.client_id, "a GUID"));
    }
    if said.has_bad_tenant() {
        let must_be = "a GUID or a domain name";
        return Err(bad_value(Owner::ServiceAccount, annotation::TENANT_ID, said.tenant_id, must_be));
    }
    Ok(())
}

/// What is odd about the service account's identity, if anybody `needs` it.
///
/// Only warnings: an app may name its identity itself, in ways that nobody sees from here.
pub(super) fn warnings(account: &ServiceAccount, needs: bool) -> Vec<String> {
    if !needs {
        return Vec::new();
    }
    let said = Said::by(account);
    let mut warnings = Vec::new();
    let is_none = |key: &str, value: &str, why: &str| {
        format!("annotation {key} of the service account is {}, which is {why}", Quoted(value))
    };
    if said.client_id.is_empty() {
        let key = annotation::CLIENT_ID;
        warnings
            .push(format!("the service account has no annotation {key}: apps must name their client id themselves"));
    } else if said.has_bad_client() {
        warnings.push(is_none(annotation::CLIENT_ID, said.client_id, NO_CLIENT));
    }
    if said.has_bad_tenant() {
        warnings.push(is_none(annotation::TENANT_ID, said.tenant_id, NO_TENANT));
    }
    warnings
}
