//! What a cluster's configuration says of the webhook, whoever's it is: azure-workload-identity's counts as well.

use azwi_conventions::label;
use serde_json::Value;

/// Where the API has it.
pub(crate) const LIST: &str = "apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
pub(crate) const KIND: &str = "MutatingWebhookConfiguration";

/// The webhook that is asked about pods with the label, and the configuration that it is in.
pub(crate) fn registered<'a>(configurations: impl Iterator<Item = &'a Value>) -> Option<(&'a Value, &'a Value)> {
    let webhooks = |configuration: &'a Value| {
        let webhooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
        webhooks.map(move |webhook| (configuration, webhook))
    };
    configurations.flat_map(webhooks).find(|(_, webhook)| selects_label(webhook))
}

fn selects_label(webhook: &Value) -> bool {
    let labels = webhook.pointer("/objectSelector/matchLabels");
    labels.and_then(|labels| labels.get(label::USE)).and_then(Value::as_str) == Some("true")
}
