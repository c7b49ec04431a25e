//! What to do about a pod that was not let in, by the API server's own words.

const MUTATION: &str = "mutation.azure-workload-identity.io";

/// `message` is that of the API server's answer or of a controller's event.
pub(crate) fn fix(message: &str) -> &'static str {
    if message.contains("failed calling webhook") && message.contains(MUTATION) {
        "see to the webhook's pods and log: kubectl logs -n azure-workload-identity-system \
         -l azure-workload-identity.io/system=true (docs/operations.md)"
    } else if message.contains("failed calling webhook") {
        "see to the webhook that the message names: it keeps every pod from being created"
    } else if message.contains(MUTATION) {
        "the webhook names what is wrong: mend it and create the pod anew (docs/annotations.md)"
    } else if message.contains("violates PodSecurity") {
        "if it is for NET_ADMIN: annotate the pod azure.workload.identity/proxy-redirect: \"none\" (docs/no-redirect.md), \
         or let the namespace enforce privileged"
    } else {
        "whoever looks after what the message names has to let the pod in; if it is for azwi-proxy-init's NET_ADMIN, \
         azure.workload.identity/proxy-redirect: \"none\" does without (docs/no-redirect.md)"
    }
}
