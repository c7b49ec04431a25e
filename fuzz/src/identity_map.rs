//! The operator's identity map: whatever it holds is found, in any case, and stands for one client in one tenant.

use azwi_identity::IdentityMap;
use serde_json::Value;

/// Any text is a map.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let map = match IdentityMap::from_json(text) {
        Ok(map) => map,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    for id in json.as_object().into_iter().flat_map(|entries| entries.keys()) {
        let mapped = map.get(id);
        assert!(mapped.is_some(), "{id:?}");
        assert_eq!((map.get(&id.to_ascii_uppercase()), map.get(&id.to_ascii_lowercase())), (mapped, mapped), "{id:?}");
        assert_eq!(mapped.and_then(|mapped| map.entry_of(&mapped.client)), mapped, "{id:?}");
    }
}
