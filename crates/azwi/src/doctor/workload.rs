//! Checks of a pod, of its service account, and of what keeps a pod from having what it needs.

use azwi_conventions::{annotation, container, env, label, volume};
use azwi_identity::ClientId;
use serde_json::Value;

use super::check::Check;
use super::objects::{Objects, entry, kind, list, name, namespace, pod, text};

const NET_ADMIN: &str = "NET_ADMIN";

/// Everything that the objects tell of one pod or workload, in the order of the chain.
pub(crate) fn checks(objects: &Objects, object: &Value) -> Vec<Check> {
    let Some(pod) = pod(object) else { return Vec::new() };
    let subject = format!("{}/{}", kind(object).to_ascii_lowercase(), name(object));
    let mut checks = vec![labelled(&subject, pod)];
    checks.extend(service_account(&subject, objects, namespace(object), pod));
    checks.push(webhook(&subject, objects));
    // A template has not been through the webhook.
    if kind(object) == "Pod" {
        checks.push(token_volume(&subject, pod));
        checks.extend(containers(&subject, pod));
        checks.extend(sidecar(&subject, pod));
    }
    checks.extend(privilege(&subject, objects, namespace(object), pod));
    checks
}

fn labelled(subject: &str, pod: &Value) -> Check {
    let key = label::USE;
    match entry(pod, "labels", key) {
        Some("true") => Check::holds(subject, "label", format!("{key}: \"true\"")),
        other => Check::fails(
            subject,
            "label",
            other.map_or_else(|| format!("there is no label {key}"), |value| format!("{key}: \"{value}\"")),
            format!("label the pod (of a workload: its template) {key}: \"true\", and have it created anew"),
        ),
    }
}

fn service_account(subject: &str, objects: &Objects, namespace: &str, pod: &Value) -> Vec<Check> {
    let account_name = match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        name => name,
    };
    let Some(account) = objects.namespaced("ServiceAccount", namespace, account_name) else {
        let evidence = format!("there is no service account {namespace}/{account_name}");
        let fix = format!("kubectl create serviceaccount {account_name} --namespace {namespace}");
        return vec![Check::fails(subject, "service account", evidence, fix)];
    };
    let found = Check::holds(subject, "service account", format!("{namespace}/{account_name}"));
    vec![found, client_id(subject, namespace, account)]
}

fn client_id(subject: &str, namespace: &str, account: &Value) -> Check {
    let (key, account_name) = (annotation::CLIENT_ID, name(account));
    let fix = format!(
        "kubectl annotate serviceaccount {account_name} --namespace {namespace} --overwrite {key}=CLIENT_ID, and have the pod created anew"
    );
    match entry(account, "annotations", key) {
        None => {
            Check::fails(subject, "client id", format!("service account {account_name} has no annotation {key}"), fix)
        }
        Some(value) if ClientId::parse(value).is_err() => {
            Check::fails(subject, "client id", format!("{key}: \"{value}\" is no GUID"), fix)
        }
        Some(value) => Check::holds(subject, "client id", value),
    }
}

/// Whether anybody is asked about pods with the label.
fn webhook(subject: &str, objects: &Objects) -> Check {
    let mut webhooks = objects
        .of_kind("MutatingWebhookConfiguration")
        .flat_map(|configuration| list(configuration, "/webhooks").iter().map(move |webhook| (configuration, webhook)))
        .filter(|(_, webhook)| selects(webhook));
    let Some((configuration, webhook)) = webhooks.next() else {
        let evidence = format!("no MutatingWebhookConfiguration selects pods by {}", label::USE);
        return Check::fails(subject, "webhook", evidence, "install the webhook: docs/install-webhook.md");
    };
    if text(webhook, "/clientConfig/caBundle").is_empty() {
        let evidence = format!("{} has no caBundle for {}", name(configuration), text(webhook, "/name"));
        let fix = "look into the webhook's log: it writes the bundle itself, and may not be allowed to";
        return Check::fails(subject, "webhook", evidence, fix);
    }
    Check::holds(subject, "webhook", format!("{} in {}", text(webhook, "/name"), name(configuration)))
}

fn selects(webhook: &Value) -> bool {
    let labels = webhook.pointer("/objectSelector/matchLabels");
    labels.and_then(|labels| labels.get(label::USE)).and_then(Value::as_str) == Some("true")
}

fn token_volume(subject: &str, pod: &Value) -> Check {
    let sources = list(pod, "/spec/volumes").iter().flat_map(|volume| list(volume, "/projected/sources"));
    let token = sources
        .filter_map(|source| source.get("serviceAccountToken"))
        .find(|token| text(token, "/path") == volume::TOKEN_PATH);
    match token {
        Some(token) => Check::holds(subject, "token volume", format!("audience {}", text(token, "/audience"))),
        None => Check::fails(
            subject,
            "token volume",
            format!("no projected volume has a service account token at {}", volume::TOKEN_PATH),
            "the webhook was not asked when the pod was created: see to label and webhook, and delete the pod",
        ),
    }
}

/// Variables and mount, for each container but those that are to stay as they are.
fn containers(subject: &str, pod: &Value) -> Vec<Check> {
    let skipped = entry(pod, "annotations", annotation::SKIP_CONTAINERS).unwrap_or_default();
    let proxy_only = entry(pod, "annotations", annotation::PROXY_ONLY) == Some("true");
    let is_skipped = |container: &Value| skipped.split(';').any(|skipped| skipped.trim() == text(container, "/name"));
    let apps = list(pod, "/spec/containers").iter().filter(|container| text(container, "/name") != container::PROXY);
    if proxy_only {
        return Vec::new();
    }
    apps.filter(|container| !is_skipped(container)).map(|container| environment(subject, container)).collect()
}

fn environment(subject: &str, container: &Value) -> Check {
    const VARIABLES: [&str; 4] =
        [env::AZURE_CLIENT_ID, env::AZURE_TENANT_ID, env::AZURE_FEDERATED_TOKEN_FILE, env::AZURE_AUTHORITY_HOST];
    let has = |name: &str| list(container, "/env").iter().any(|variable| text(variable, "/name") == name);
    let mounts = list(container, "/volumeMounts");
    let mounted = mounts.iter().any(|mount| text(mount, "/mountPath") == volume::MOUNT_PATH);
    let mount = (!mounted).then_some(volume::MOUNT_PATH);
    let missing: Vec<_> = VARIABLES.into_iter().filter(|name| !has(name)).chain(mount).collect();
    let container = text(container, "/name");
    if missing.is_empty() {
        return Check::holds(subject, "variables", format!("container {container} has all of them, and the token"));
    }
    let evidence = format!("container {container} lacks {}", missing.join(", "));
    let fix = "delete the pod, so that the webhook sees it anew; AZURE_CLIENT_ID comes from the service account";
    Check::fails(subject, "variables", evidence, fix)
}

/// There if it was asked for, and behind the container that redirects to it.
fn sidecar(subject: &str, pod: &Value) -> Option<Check> {
    let asked_for = entry(pod, "annotations", annotation::INJECT_PROXY_SIDECAR)?;
    if asked_for.eq_ignore_ascii_case("false") {
        return None;
    }
    let position = |list_of: &str, wanted: &str| {
        list(pod, list_of).iter().position(|container| text(container, "/name") == wanted)
    };
    let init = position("/spec/initContainers", container::PROXY_INIT);
    let native = position("/spec/initContainers", container::PROXY);
    let redirected = entry(pod, "annotations", annotation::PROXY_REDIRECT) != Some("false");
    let present = native.is_some() || position("/spec/containers", container::PROXY).is_some();
    let fix = "delete the pod, so that the webhook sees it anew";
    if !present {
        return Some(Check::fails(subject, "sidecar", format!("there is no container {}", container::PROXY), fix));
    }
    if redirected && init.is_none() {
        let evidence = format!("there is no init container {}", container::PROXY_INIT);
        return Some(Check::fails(subject, "sidecar", evidence, fix));
    }
    if redirected && native.is_some_and(|native| init > Some(native)) {
        let evidence = format!("{} stands behind {}", container::PROXY_INIT, container::PROXY);
        return Some(Check::fails(subject, "sidecar", evidence, fix));
    }
    Some(Check::holds(subject, "sidecar", "in its place"))
}

/// The redirect needs `NET_ADMIN`, which Pod Security's baseline forbids.
fn privilege(subject: &str, objects: &Objects, namespace: &str, pod: &Value) -> Option<Check> {
    let asked_for = entry(pod, "annotations", annotation::INJECT_PROXY_SIDECAR)?;
    let redirected = entry(pod, "annotations", annotation::PROXY_REDIRECT) != Some("false");
    if asked_for.eq_ignore_ascii_case("false") || !redirected {
        return None;
    }
    let found = objects.of_kind("Namespace").find(|object| name(object) == namespace)?;
    match entry(found, "labels", "pod-security.kubernetes.io/enforce") {
        Some(level @ ("baseline" | "restricted")) => Some(Check::fails(
            subject,
            "pod security",
            format!("namespace {namespace} enforces {level}, which forbids {NET_ADMIN}"),
            format!(
                "annotate the pod {}: \"false\" (docs/no-redirect.md), or let the namespace enforce privileged",
                annotation::PROXY_REDIRECT
            ),
        )),
        level => {
            let level = level.unwrap_or("privileged");
            Some(Check::holds(subject, "pod security", format!("namespace {namespace} enforces {level}")))
        }
    }
}
