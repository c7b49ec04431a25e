//! What forbids the redirect's `NET_ADMIN`: Pod Security's baseline, and constraints of Gatekeeper.

use azwi_conventions::annotation;
use serde_json::Value;

use super::check::Check;
use super::objects::{Objects, entry, kind, list, name, text};

const NET_ADMIN: &str = "NET_ADMIN";
const CONSTRAINTS: &str = "constraints.gatekeeper.sh/";

pub(crate) fn checks(subject: &str, objects: &Objects, namespace: &str, pod: &Value) -> Vec<Check> {
    if !is_redirected(pod) {
        return Vec::new();
    }
    let checks = [pod_security(subject, objects, namespace), gatekeeper(subject, objects, namespace)];
    checks.into_iter().flatten().collect()
}

/// Whether there is to be an init container that redirects the metadata service's address.
pub(crate) fn is_redirected(pod: &Value) -> bool {
    let asked_for = entry(pod, "annotations", annotation::INJECT_PROXY_SIDECAR);
    let has_sidecar = asked_for.is_some_and(|value| !value.eq_ignore_ascii_case("false"));
    has_sidecar && entry(pod, "annotations", annotation::PROXY_REDIRECT) != Some("none")
}

fn pod_security(subject: &str, objects: &Objects, namespace: &str) -> Option<Check> {
    const NAME: &str = "pod security";
    if let Some(why) = objects.why_unread("Namespace") {
        return Some(Check::unknown(subject, NAME, why));
    }
    let found = objects.of_kind("Namespace").find(|object| name(object) == namespace)?;
    Some(match entry(found, "labels", "pod-security.kubernetes.io/enforce") {
        Some(level @ ("baseline" | "restricted")) => Check::fails(
            subject,
            NAME,
            format!("namespace {namespace} enforces {level}, which forbids {NET_ADMIN}"),
            format!("{}, or let the namespace enforce privileged", without_redirect()),
        ),
        level => {
            let level = level.unwrap_or("privileged, or what the cluster has for all");
            Check::holds(subject, NAME, format!("namespace {namespace} enforces {level}"))
        }
    })
}

/// Of the constraints that list the capabilities a container may have, of the Gatekeeper library and of Azure Policy.
fn gatekeeper(subject: &str, objects: &Objects, namespace: &str) -> Option<Check> {
    const NAME: &str = "gatekeeper";
    if let Some(why) = objects.why_unread("Constraint") {
        return Some(Check::unknown(subject, NAME, why));
    }
    let mut constraints = objects.all().filter(|object| is_about_capabilities(object)).peekable();
    constraints.peek()?;
    Some(match constraints.find(|constraint| concerns(constraint, namespace) && forbids(constraint)) {
        Some(constraint) => Check::fails(
            subject,
            NAME,
            format!("{} {} does not allow {NET_ADMIN}", kind(constraint), name(constraint)),
            format!(
                "{}, or let whoever looks after the constraint add {NET_ADMIN} to allowedCapabilities or leave the \
                 namespace out",
                without_redirect()
            ),
        ),
        None => Check::holds(subject, NAME, format!("no constraint forbids {NET_ADMIN} here")),
    })
}

fn is_about_capabilities(object: &Value) -> bool {
    text(object, "/apiVersion").starts_with(CONSTRAINTS) && kind(object).to_ascii_lowercase().ends_with("capabilities")
}

fn concerns(constraint: &Value, namespace: &str) -> bool {
    let has = |pointer: &str| list(constraint, pointer).iter().any(|one| one.as_str() == Some(namespace));
    let only = !list(constraint, "/spec/match/namespaces").is_empty();
    !has("/spec/match/excludedNamespaces") && (!only || has("/spec/match/namespaces"))
}

fn forbids(constraint: &Value) -> bool {
    let is_enforced = matches!(text(constraint, "/spec/enforcementAction"), "" | "deny");
    let allowed = list(constraint, "/spec/parameters/allowedCapabilities");
    is_enforced && !allowed.iter().any(|one| matches!(one.as_str(), Some(NET_ADMIN | "*")))
}

fn without_redirect() -> String {
    format!("annotate the pod {}: \"none\" (docs/no-redirect.md)", annotation::PROXY_REDIRECT)
}
