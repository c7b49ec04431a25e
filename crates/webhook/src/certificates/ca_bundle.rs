//! The `caBundle` of a webhook configuration, changed in place so that all else of it stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pem;

/// Whom API servers should trust.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// These authorities, as PEM, and nobody else.
    Only(String),
    /// These authorities; others may be there whose certificates are still served somewhere.
    AtLeast(String),
}

impl Trust {
    /// Instead of a bundle (PEM).
    fn instead_of(&self, bundle: &str) -> String {
        match self {
            Self::Only(pem) => pem.clone(),
            Self::AtLeast(pem) if pem::are_in(pem, bundle) => bundle.to_owned(),
            // Some replica may still serve with one of them. Once nobody does, `Only` is said.
            Self::AtLeast(pem) => pem::with_all_of(pem, bundle),
        }
    }
}

/// Empty if it cannot be read.
fn decoded(bundle: &Value) -> String {
    let bytes = bundle.as_str().and_then(|text| STANDARD.decode(text).ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Lets every webhook of `configuration` trust them; whether that is a change.
pub(super) fn set(configuration: &mut Value, trust: &Trust) -> bool {
    let webhooks = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    let configs = webhooks.into_iter().flatten().filter_map(|webhook| webhook.get_mut("clientConfig")?.as_object_mut());
    let mut is_changed = false;
    for config in configs {
        let bundle = config.get("caBundle").map(decoded).unwrap_or_default();
        let wanted = trust.instead_of(&bundle);
        if wanted != bundle {
            config.insert("caBundle".to_owned(), json!(STANDARD.encode(wanted)));
            is_changed = true;
        }
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n";
    const B: &str = "-----BEGIN CERTIFICATE-----\nB\n-----END CERTIFICATE-----\n";

    fn webhook(name: &str, bundle: Option<&str>) -> Value {
        let mut webhook = json!({ "name": name, "newField": 1, "clientConfig": { "url": "x" } });
        if let Some(bundle) = bundle {
            webhook["clientConfig"]["caBundle"] = json!(STANDARD.encode(bundle));
        }
        webhook
    }

    fn only(pem: &str) -> Trust {
        Trust::Only(pem.to_owned())
    }

    #[test]
    fn it_is_set_in_each_webhook_and_nothing_else_changes() {
        let mut configuration = json!({ "webhooks": [webhook("a", None), webhook("b", Some(B))] });
        assert!(set(&mut configuration, &only(A)));
        assert_eq!(configuration, json!({ "webhooks": [webhook("a", Some(A)), webhook("b", Some(A))] }));
        assert!(!set(&mut configuration, &only(A)));
    }

    #[test]
    fn others_stay_for_as_long_as_they_may() {
        let both = format!("{A}{B}");
        let mut configuration = json!({ "webhooks": [webhook("a", Some(&both))] });
        assert!(!set(&mut configuration, &Trust::AtLeast(B.to_owned())));
        assert!(set(&mut configuration, &only(B)));
        assert_eq!(configuration, json!({ "webhooks": [webhook("a", Some(B))] }));
    }

    #[test]
    fn whoever_comes_in_takes_nobody_away() {
        let mut configuration = json!({ "webhooks": [webhook("a", Some(A))] });
        assert!(set(&mut configuration, &Trust::AtLeast(B.to_owned())));
        assert_eq!(configuration, json!({ "webhooks": [webhook("a", Some(&format!("{B}{A}")))] }));
    }

    #[test]
    fn a_configuration_without_webhooks_needs_none() {
        assert!(!set(&mut json!({}), &only(A)));
    }
}
