//! Checks of a pod, of its service account, and of what keeps a pod from having what it needs.

use azwi_conventions::{IDENTITY_BINDING_AUDIENCE, annotation, container, env, label, volume};
use azwi_identity::ClientId;
use serde_json::Value;

use crate::azure::cloud::Cloud;

use super::check::Check;
use super::objects::{
    Objects, entry, kind, list, name, namespace, pod, reference, service_account_name, text, variable,
};
use super::policy::is_redirected;
use super::targets::newest_pod;
use super::{policy, sidecar, webhook};

/// Everything that the objects tell of one pod or workload, in the order of the chain. `now` in seconds since the epoch.
pub(crate) fn checks(objects: &Objects, object: &Value, now: u64) -> Vec<Check> {
    let Some(pod) = pod(object) else { return Vec::new() };
    let subject = reference(object);
    let mut checks = vec![labelled(&subject, pod)];
    checks.extend(service_account(&subject, objects, namespace(object), pod));
    checks.push(webhook::webhook(&subject, objects, namespace(object), now));
    checks.extend(policy::checks(&subject, objects, namespace(object), pod));
    // A template has not been through the webhook.
    if kind(object) == "Pod" {
        checks.push(token_volume(&subject, pod));
        checks.extend(audience(&subject, pod));
        checks.extend(containers(&subject, pod));
        checks.extend(injected(&subject, pod));
        checks.extend(sidecar::runs(&subject, objects, pod));
    } else if newest_pod(objects, object).is_none() {
        checks.extend(sidecar::creation(&subject, objects, object));
    }
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
    let account_name = service_account_name(pod);
    if let Some(why) = objects.why_unread("ServiceAccount") {
        return vec![Check::unknown(subject, "service account", why)];
    }
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

/// The webhook's, in its volume.
pub(crate) fn token(pod: &Value) -> Option<&Value> {
    let sources = list(pod, "/spec/volumes").iter().flat_map(|volume| list(volume, "/projected/sources"));
    let mut tokens = sources.filter_map(|source| source.get("serviceAccountToken"));
    tokens.find(|token| text(token, "/path") == volume::TOKEN_PATH)
}

fn token_volume(subject: &str, pod: &Value) -> Check {
    match token(pod) {
        Some(token) => Check::holds(subject, "token volume", format!("audience {}", text(token, "/audience"))),
        None => Check::fails(
            subject,
            "token volume",
            format!("no projected volume has a service account token at {}", volume::TOKEN_PATH),
            "the webhook was not asked when the pod was created: see to label and webhook, and delete the pod",
        ),
    }
}

/// Each cloud has its own; of one that is not known nothing can be said.
fn audience(subject: &str, pod: &Value) -> Option<Check> {
    let audience = text(token(pod)?, "/audience");
    let authority = variable(pod, env::AZURE_AUTHORITY_HOST)?;
    let wanted = match variable(pod, env::AZURE_KUBERNETES_TOKEN_PROXY) {
        Some(_) => IDENTITY_BINDING_AUDIENCE,
        None => Cloud::at(authority)?.audience,
    };
    let evidence = format!("{audience} for {authority}");
    if audience == wanted {
        return Some(Check::holds(subject, "audience", evidence));
    }
    let fix = format!("the webhook's --audience must be {wanted} (value `audience` of the chart), then delete the pod");
    Some(Check::fails(subject, "audience", evidence, fix))
}

/// Variables and mount, for each container but those that are to stay as they are.
fn containers(subject: &str, pod: &Value) -> Vec<Check> {
    let skipped = entry(pod, "annotations", annotation::SKIP_CONTAINERS).unwrap_or_default();
    let proxy_only =
        entry(pod, "annotations", annotation::PROXY_ONLY).is_some_and(|value| value.eq_ignore_ascii_case("true"));
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
fn injected(subject: &str, pod: &Value) -> Option<Check> {
    let asked_for = entry(pod, "annotations", annotation::INJECT_PROXY_SIDECAR)?;
    if asked_for.eq_ignore_ascii_case("false") {
        return None;
    }
    let position = |list_of: &str, wanted: &str| {
        list(pod, list_of).iter().position(|container| text(container, "/name") == wanted)
    };
    let init = position("/spec/initContainers", container::PROXY_INIT);
    let native = position("/spec/initContainers", container::PROXY);
    let is_redirected = is_redirected(pod);
    let is_present = native.is_some() || position("/spec/containers", container::PROXY).is_some();
    let evidence = if !is_present {
        format!("there is no container {}", container::PROXY)
    } else if is_redirected && init.is_none() {
        format!("there is no init container {}", container::PROXY_INIT)
    } else if is_redirected && native.is_some_and(|native| init > Some(native)) {
        format!("{} stands behind {}", container::PROXY_INIT, container::PROXY)
    } else {
        return Some(Check::holds(subject, "sidecar", "in its place"));
    };
    Some(Check::fails(subject, "sidecar", evidence, "delete the pod, so that the webhook sees it anew"))
}
