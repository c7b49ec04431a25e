//! Which client id an object id or an ARM resource id stands for: Entra cannot be asked by these.
//!
//! JSON, given by the operator: keys are object ids or resource ids, compared without regard to ASCII case as ARM does;
//! values are client ids, or objects with a `client_id` and the `tenant_id` it lives in.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use thiserror::Error;

use crate::identity::{ClientId, IdentityError, TenantId};

/// A client id and, if it is not the pod's, its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// What Entra is asked as.
    pub client: ClientId,
    /// Where it lives.
    pub tenant: Option<TenantId>,
}

/// What object ids and resource ids stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityMap {
    /// By id, lower case.
    by_id: HashMap<String, Mapped>,
    by_client: HashMap<ClientId, Mapped>,
}

/// Why a text is no identity map.
#[derive(Debug, Error)]
pub enum IdentityMapError {
    /// It is no object, or what stands for an id is neither a client id nor an object of the right fields.
    #[error("not a JSON object of object ids or resource ids to client ids: {0}")]
    Json(serde_json::Error),
    /// An entry cannot be.
    #[error("{id:?}: {why}")]
    Entry {
        /// What it is an entry of, as it stands in the text.
        id: String,
        /// What is wrong with it.
        why: EntryError,
    },
}

/// Why an entry cannot be.
#[derive(Debug, Error)]
pub enum EntryError {
    /// It names no identity or tenant.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A client has one tenant, and by another entry it is another one.
    #[error("{0} is in another tenant according to another entry")]
    AnotherTenant(ClientId),
    /// There is one of the same id.
    #[error("there twice; upper and lower case count as the same")]
    Twice,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "must be a client id, or {\"client_id\": …, \"tenant_id\": …}")]
enum Value {
    Client(String),
    ClientInTenant { client_id: String, tenant_id: Option<String> },
}

/// As they stand in the text: of two with the same id, neither is lost without a word.
struct Entries(Vec<(String, Value)>);

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
        while let Some(id) = map.next_key::<String>()? {
            let value = map.next_value().map_err(|error: A::Error| A::Error::custom(format!("{id:?}: {error}")))?;
            entries.push((id, value));
        }
        Ok(Entries(entries))
    }
}

impl IdentityMap {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub fn from_json(json: &str) -> Result<Self, IdentityMapError> {
        let Entries(entries) = serde_json::from_str(json).map_err(IdentityMapError::Json)?;
        let mut map = Self::default();
        for (id, value) in entries {
            map.insert(&id, value).map_err(|why| IdentityMapError::Entry { id, why })?;
        }
        Ok(map)
    }

    fn insert(&mut self, id: &str, value: Value) -> Result<(), EntryError> {
        let mapped = mapped(value)?;
        let known = self.by_client.entry(mapped.client.clone()).or_insert_with(|| mapped.clone());
        if *known != mapped {
            return Err(EntryError::AnotherTenant(mapped.client));
        }
        if self.by_id.insert(id.to_ascii_lowercase(), mapped).is_some() {
            return Err(EntryError::Twice);
        }
        Ok(())
    }

    /// What an object id or resource id stands for.
    pub fn get(&self, id: &str) -> Option<&Mapped> {
        self.by_id.get(&id.to_ascii_lowercase())
    }

    /// All client ids that something stands for, each once.
    pub fn clients(&self) -> impl Iterator<Item = &ClientId> {
        self.by_client.keys()
    }

    /// The entry of a client id, whatever it is mapped from.
    pub fn entry_of(&self, client: &ClientId) -> Option<&Mapped> {
        self.by_client.get(client)
    }
}

fn mapped(value: Value) -> Result<Mapped, IdentityError> {
    let (client, tenant) = match value {
        Value::Client(client) => (client, None),
        Value::ClientInTenant { client_id, tenant_id } => (client_id, tenant_id),
    };
    let tenant = tenant.map(|tenant| TenantId::parse(&tenant)).transpose()?;
    Ok(Mapped { client: ClientId::parse(&client)?, tenant })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "aaaaaaaa-0000-4000-8000-000000000000";

    fn map(json: &str) -> Result<IdentityMap, String> {
        IdentityMap::from_json(json).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_are_found_in_any_case() {
        let map = map(&format!(r#"{{"/subscriptions/S/userAssignedIdentities/Demo":"{CLIENT}"}}"#)).unwrap();
        let found = map.get("/SUBSCRIPTIONS/s/userassignedidentities/demo").unwrap();
        assert_eq!((found.client.as_str(), &found.tenant), (CLIENT, &None));
        assert_eq!(map.get("/subscriptions/S"), None);
    }

    #[test]
    fn an_identity_may_live_in_another_tenant() {
        let json = format!(r#"{{"id":{{"client_id":"{CLIENT}","tenant_id":"contoso.com"}}}}"#);
        let map = map(&json).unwrap();
        assert_eq!(map.get("id").unwrap().tenant, Some(TenantId::parse("contoso.com").unwrap()));
        assert!(map.entry_of(&ClientId::parse(CLIENT).unwrap()).is_some());
    }

    #[test]
    fn a_bad_entry_is_named() {
        for (json, hint) in [
            (r#"{"one":"app"}"#, r#""one": "app" is not a GUID"#),
            (
                r#"{"one":{"client_id":"aaaaaaaa-0000-4000-8000-000000000000","tenant_id":"t"}}"#,
                r#""one": "t" is neither"#,
            ),
            (
                r#"{"A":"aaaaaaaa-0000-4000-8000-000000000000","a":"aaaaaaaa-0000-4000-8000-000000000000"}"#,
                "there twice",
            ),
            (
                r#"{"1":"aaaaaaaa-0000-4000-8000-000000000000","2":{"client_id":"aaaaaaaa-0000-4000-8000-000000000000","tenant_id":"contoso.com"}}"#,
                "in another tenant",
            ),
            ("[]", "not a JSON object"),
            (r#"{"one":{"tenant_id":"contoso.com"}}"#, r#""one": must be a client id, or {"client_id""#),
            (r#"{"one":1}"#, r#""one": must be a client id"#),
            (r#"{"one":{"client_id":"x"}}"#, r#""one": "x" is not a GUID"#),
            (
                r#"{"a":"aaaaaaaa-0000-4000-8000-000000000000","a":"bbbbbbbb-0000-4000-8000-000000000000"}"#,
                "there twice",
            ),
            ("{", "not a JSON object"),
        ] {
            let error = map(json).unwrap_err();
            assert!(error.contains(hint), "{json}: {error}");
        }
    }
}
