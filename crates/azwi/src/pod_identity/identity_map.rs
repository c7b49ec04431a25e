//! The identity map of a service account: what apps may call an identity, to what Entra calls it.

use std::collections::BTreeMap;

use azwi_identity::{IdentityMap, TenantId};
use serde_json::{Map, Value, json};

use super::identity::{Holder, Identity};

/// What `map` becomes with all ids of `identities` in it, of service account of `tenant`; `None` if there is nothing for it.
/// What it has already stays.
///
/// # Errors
/// It is no identity map, or has one of the ids with another client id.
pub(super) fn with(
    map: Option<&str>,
    identities: &[&Identity<'_>],
    tenant: Option<&TenantId>,
) -> Result<Option<String>, String> {
    let written = map.unwrap_or("{}");
    let known = IdentityMap::from_json(written).map_err(|error| error.to_string())?;
    let mut entries: Map<String, Value> = serde_json::from_str(written).map_err(|error| error.to_string())?;
    let mut is_new = false;
    for (id, identity) in ids(identities) {
        match known.get(&id) {
            Some(mapped) if mapped.client == identity.client => {}
            Some(mapped) => {
                return Err(format!(
                    "{id:?} stands for {} there, and in pod identity for {}",
                    mapped.client, identity.client
                ));
            }
            None => {
                is_new = true;
                entries.insert(id, value(identity, tenant));
            }
        }
    }
    match map {
        Some(map) if !is_new => Ok(Some(map.to_owned())),
        _ => Ok((!entries.is_empty()).then(|| render(entries))),
    }
}

/// By lower case, so that no two are the same to those who compare.
fn ids<'d, 'a>(identities: &[&'d Identity<'a>]) -> Vec<(String, &'d Identity<'a>)> {
    let mut ids = BTreeMap::new();
    for identity in identities {
        if let Holder::UserAssigned { resource, written, object_id } = &identity.holder {
            let all = [Some(resource.as_str()), Some(written.as_str()), object_id.as_deref()];
            for id in all.into_iter().flatten() {
                ids.entry(id.to_ascii_lowercase()).or_insert_with(|| (id.to_owned(), *identity));
            }
        }
    }
    ids.into_values().collect()
}

/// A client id; with its tenant, if it is not that of the service account.
fn value(identity: &Identity<'_>, tenant: Option<&TenantId>) -> Value {
    match identity.tenant.as_ref().filter(|own| Some(*own) != tenant) {
        Some(own) => json!({"client_id": identity.client.as_str(), "tenant_id": own.as_str()}),
        None => identity.client.as_str().into(),
    }
}

/// In one order, whatever order the map keeps.
fn render(entries: Map<String, Value>) -> String {
    let entries: BTreeMap<_, _> = entries.into_iter().collect();
    let entries: Vec<_> = entries.iter().map(|(id, value)| format!("{}: {value}", Value::from(id.as_str()))).collect();
    format!("{{{}}}", entries.join(", "))
}
