//! How the injected containers fare, by what kubelet reports of them.

use azwi_conventions::container::{PROXY, PROXY_INIT};
use serde_json::Value;

use super::check::Check;
use super::objects::{Objects, kind, list, name, namespace, text};

const NAME: &str = "sidecar runs";
const SEE_DOCS: &str = "docs/errors.md has the sidecar's reasons; once that is mended, delete the pod";

/// Of a pod that has a sidecar.
pub(crate) fn runs(subject: &str, objects: &Objects, pod: &Value) -> Option<Check> {
    let status = status(pod, PROXY);
    let has_sidecar = ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .flat_map(|containers| list(pod, containers))
        .any(|container| text(container, "/name") == PROXY);
    // What has ended well needs no sidecar any more.
    if !has_sidecar || text(pod, "/status/phase") == "Succeeded" {
        return None;
    }
    if let Some(ended) = self::status(pod, PROXY_INIT).and_then(failure) {
        let evidence = format!("{PROXY_INIT}: {ended}");
        let fix = format!("kubectl logs {subject} -c {PROXY_INIT}; docs/redirect.md has what it needs");
        return Some(Check::fails(subject, NAME, with_event(evidence, objects, pod, PROXY_INIT), fix));
    }
    let Some(status) = status else {
        let why = "kubelet has not reported on it";
        return Some(match event(objects, pod, "") {
            Some(message) => Check::fails(subject, NAME, format!("{why}: {message}"), "kubectl describe the pod"),
            None => Check::unknown(subject, NAME, why),
        });
    };
    let restarts = status.get("restartCount").and_then(Value::as_u64).unwrap_or_default();
    if status.get("ready").and_then(Value::as_bool) == Some(true) {
        return Some(Check::holds(subject, NAME, format!("ready, {restarts} restarts")));
    }
    let reason = failure(status).unwrap_or_else(|| "not ready".to_owned());
    let evidence = with_event(format!("{reason}, {restarts} restarts"), objects, pod, PROXY);
    Some(Check::fails(subject, NAME, evidence, SEE_DOCS))
}

/// Why pods of a workload are not even created.
pub(crate) fn creation(subject: &str, objects: &Objects, workload: &Value) -> Option<Check> {
    let is_its = |event: &&Value| {
        let involved = objects.namespaced(
            text(event, "/involvedObject/kind"),
            namespace(event),
            text(event, "/involvedObject/name"),
        );
        involved.is_some_and(|involved| std::ptr::eq(objects.root(involved), workload))
    };
    let refused = events(objects).filter(|event| text(event, "/reason") == "FailedCreate").filter(is_its);
    let message = text(refused.max_by_key(|event| time(event))?, "/message");
    Some(Check::fails(subject, "pods are created", message, super::refusal::fix(message)))
}

fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let kinds = ["/status/containerStatuses", "/status/initContainerStatuses"];
    kinds.into_iter().flat_map(|kind| list(pod, kind)).find(|status| text(status, "/name") == container)
}

/// What a container waits for, or how it ended, or ended before.
fn failure(status: &Value) -> Option<String> {
    let of = |state: &str| {
        let state = status.get(state)?;
        if let Some(waiting) = state.get("waiting").filter(|waiting| text(waiting, "/reason") != "PodInitializing") {
            return Some(format!("waits, {}", said(waiting)));
        }
        let ended = state.get("terminated")?;
        let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
        (code != 0).then(|| format!("ended with exit code {code}, {}", said(ended)))
    };
    let parts: Vec<_> = ["state", "lastState"].into_iter().filter_map(of).collect();
    (!parts.is_empty()).then(|| parts.join("; before that "))
}

fn said(state: &Value) -> String {
    let (reason, message) = (text(state, "/reason"), text(state, "/message").trim());
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

fn with_event(evidence: String, objects: &Objects, pod: &Value, container: &str) -> String {
    match event(objects, pod, container) {
        Some(message) => format!("{evidence}: {message}"),
        None => evidence,
    }
}

/// The last warning about a container of a pod; about the pod as such if it is unnamed.
fn event<'a>(objects: &'a Objects, pod: &Value, container: &str) -> Option<&'a str> {
    let is_its = |event: &&Value| {
        let path = text(event, "/involvedObject/fieldPath");
        let is_about = if container.is_empty() { path.is_empty() } else { path.ends_with(&format!("{{{container}}}")) };
        is_about
            && text(event, "/involvedObject/kind") == kind(pod)
            && text(event, "/involvedObject/name") == name(pod)
            && namespace(event) == namespace(pod)
    };
    let last = events(objects).filter(is_its).max_by_key(|event| time(event))?;
    Some(text(last, "/message").trim())
}

fn events(objects: &Objects) -> impl Iterator<Item = &Value> {
    objects.of_kind("Event").filter(|event| text(event, "/type") == "Warning")
}

fn time(event: &Value) -> &str {
    match text(event, "/lastTimestamp") {
        "" => text(event, "/metadata/creationTimestamp"),
        time => time,
    }
}
