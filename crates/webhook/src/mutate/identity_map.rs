//! Whether the sidecar will accept an identity map: it ends at once over a bad one, and the pod would never start.
//!
//! Reads as the sidecar does. What a map means is the sidecar's business alone.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::identity::{is_guid, is_tenant};

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Identity {
    Client(String),
    ClientInTenant { client_id: String, tenant_id: Option<String> },
}

/// As they stand in the text: a map would hide the first of two with the same id.
struct Entries(Vec<(String, Identity)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// # Errors
/// Why the sidecar would not accept it.
pub(super) fn check(json: &str) -> Result<(), String> {
    let Entries(entries) = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let mut ids = HashMap::new();
    let mut tenants = HashMap::new();
    for (id, identity) in entries {
        let (client, tenant) = spelling(identity).map_err(|why| format!("{id:?}: {why}"))?;
        if *tenants.entry(client.clone()).or_insert_with(|| tenant.clone()) != tenant {
            return Err(format!("{id:?}: {client} is in another tenant according to another entry"));
        }
        if ids.insert(id.to_ascii_lowercase(), client).is_some() {
            return Err(format!("{id:?} is there twice; upper and lower case count as the same"));
        }
    }
    Ok(())
}

/// Client id and tenant, in lower case.
fn spelling(identity: Identity) -> Result<(String, Option<String>), String> {
    let (client, tenant) = match identity {
        Identity::Client(client) => (client, None),
        Identity::ClientInTenant { client_id, tenant_id } => (client_id, tenant_id),
    };
    if !is_guid(&client) {
        return Err(format!("{client:?} is no client id: not a GUID"));
    }
    match tenant {
        Some(tenant) if !is_tenant(&tenant) => {
            Err(format!("{tenant:?} is no tenant: neither a GUID nor a domain name"))
        }
        tenant => Ok((client.to_ascii_lowercase(), tenant.map(|tenant| tenant.to_ascii_lowercase()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "aaaaaaaa-0000-4000-8000-000000000000";

    fn check_of(entries: &[(&str, &str)]) -> Result<(), String> {
        let entries: Vec<_> = entries.iter().map(|(id, identity)| format!(r#""{id}":{identity}"#)).collect();
        check(&format!("{{{}}}", entries.join(",")))
    }

    #[test]
    fn object_ids_and_resource_ids_stand_for_client_ids() {
        let client = format!("{CLIENT:?}");
        let in_tenant = format!(r#"{{"client_id":"{CLIENT}","tenant_id":"contoso.com"}}"#);
        assert_eq!(check_of(&[("/subscriptions/s", &client), ("o", &client)]), Ok(()));
        assert_eq!(check_of(&[("o", &in_tenant)]), Ok(()));
        assert_eq!(check("{}"), Ok(()));
    }

    #[test]
    fn an_id_is_there_once_in_whatever_case() {
        let client = format!("{CLIENT:?}");
        assert!(check_of(&[("ABC", &client), ("abc", &client)]).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_client_lives_in_one_tenant() {
        let client = format!("{CLIENT:?}");
        let elsewhere = format!(r#"{{"client_id":"{CLIENT}","tenant_id":"contoso.com"}}"#);
        assert!(check_of(&[("a", &client), ("b", &elsewhere)]).unwrap_err().contains("another tenant"));
    }

    #[test]
    fn what_the_sidecar_would_not_accept_is_refused() {
        for bad in ["", "[]", "null", r#"{"o":7}"#, r#"{"o":"app"}"#, r#"{"o":{}}"#] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let odd_tenant = format!(r#"{{"client_id":"{CLIENT}","tenant_id":"contoso"}}"#);
        let odd_field = format!(r#"{{"client_id":"{CLIENT}","tenant":"contoso.com"}}"#);
        assert!(check_of(&[("o", &odd_tenant)]).is_err());
        assert!(check_of(&[("o", &odd_field)]).is_err());
    }
}
