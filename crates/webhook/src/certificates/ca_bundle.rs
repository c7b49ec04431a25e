//! The `caBundle` of a webhook configuration, changed in place so that all else of it stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Lets every webhook of `configuration` trust the certificates in `pem`; whether that is a change.
pub(super) fn set(configuration: &mut Value, pem: &str) -> bool {
    let bundle = json!(STANDARD.encode(pem));
    let webhooks = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    let configs = webhooks.into_iter().flatten().filter_map(|webhook| webhook.get_mut("clientConfig")?.as_object_mut());
    let mut is_changed = false;
    for config in configs {
        is_changed |= config.insert("caBundle".to_owned(), bundle.clone()).as_ref() != Some(&bundle);
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_set_in_each_webhook_and_nothing_else_changes() {
        let webhook = |name, config: Value| json!({ "name": name, "newField": 1, "clientConfig": config });
        let mut configuration =
            json!({ "webhooks": [webhook("a", json!({ "url": "x" })), webhook("b", json!({ "caBundle": "b2xk" }))] });
        assert!(set(&mut configuration, "new"));
        let wanted = json!({ "webhooks": [
            webhook("a", json!({ "url": "x", "caBundle": "bmV3" })), webhook("b", json!({ "caBundle": "bmV3" })),
        ] });
        assert_eq!(configuration, wanted);
        assert!(!set(&mut configuration, "new"));
    }

    #[test]
    fn a_configuration_without_webhooks_needs_none() {
        assert!(!set(&mut json!({}), "new"));
    }
}
