//! Which pods and workloads are looked at.

use std::fmt;
use std::str::FromStr;

use azwi_conventions::{annotation, label};
use serde_json::Value;

use super::objects::{Objects, entry, kind, name, namespace, pod, reference, service_account_name, text};

/// Kinds as the API spells them, with how `kubectl` lets one call them.
const KINDS: [(&str, &[&str]); 8] = [
    ("Pod", &["pod", "pods", "po"]),
    ("Deployment", &["deployment", "deployments", "deploy"]),
    ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
    ("DaemonSet", &["daemonset", "daemonsets", "ds"]),
    ("ReplicaSet", &["replicaset", "replicasets", "rs"]),
    ("ReplicationController", &["replicationcontroller", "replicationcontrollers", "rc"]),
    ("Job", &["job", "jobs"]),
    ("CronJob", &["cronjob", "cronjobs", "cj"]),
];

/// One pod or workload, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    kind: &'static str,
    name: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.to_ascii_lowercase(), self.name)
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not KIND/NAME, such as pod/cart-0 or deployment/cart");
        let (wanted, name) = text.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or_else(wrong)?;
        let is_it = |names: &[&str]| names.contains(&wanted.to_ascii_lowercase().as_str());
        let (kind, _) = KINDS.into_iter().find(|(_, names)| is_it(names)).ok_or_else(wrong)?;
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// What was asked for by name and its newest pod; or of all that ask for an identity in a namespace, or in all: the newest
/// pod of each, and each that has none.
pub(crate) fn targets<'a>(objects: &'a Objects, named: Option<&Named>, within: Option<&str>) -> Vec<&'a Value> {
    let here = objects.workloads().filter(|object| within.is_none_or(|within| namespace(object) == within));
    if let Some(named) = named {
        let mut found = here.filter(|object| kind(object) == named.kind && name(object) == named.name);
        return found.next().map(|object| with_newest_pod(objects, object)).unwrap_or_default();
    }
    let asking: Vec<_> = here.filter(|object| asks(objects, object)).collect();
    let is_root = |object: &&&Value| std::ptr::eq(objects.root(object), **object);
    let roots = asking.iter().filter(is_root).copied();
    let mut targets: Vec<_> = roots.map(|root| newest_pod(objects, root).unwrap_or(root)).collect();
    // Of workloads that do not ask, as their pods were labelled by hand.
    let others = asking.iter().filter(|object| kind(object) == "Pod" && !asks(objects, objects.root(object)));
    targets.extend(others);
    targets
}

fn with_newest_pod<'a>(objects: &'a Objects, object: &'a Value) -> Vec<&'a Value> {
    let newest = newest_pod(objects, object).filter(|pod| !std::ptr::eq(*pod, object));
    std::iter::once(object).chain(newest).collect()
}

/// Of a workload, or the pod itself. Their timestamps sort as text.
pub(crate) fn newest_pod<'a>(objects: &'a Objects, workload: &Value) -> Option<&'a Value> {
    let is_its = |pod: &&Value| reference(objects.root(pod)) == reference(workload) && is_of(pod, workload);
    objects.of_kind("Pod").filter(is_its).max_by_key(|pod| text(pod, "/metadata/creationTimestamp"))
}

fn is_of(pod: &Value, workload: &Value) -> bool {
    namespace(pod) == namespace(workload)
}

/// Whether somebody meant it to have an identity.
fn asks(objects: &Objects, object: &Value) -> bool {
    let Some(pod) = pod(object) else { return false };
    let account = objects.namespaced("ServiceAccount", namespace(object), service_account_name(pod));
    let has_client = account.and_then(|account| entry(account, "annotations", annotation::CLIENT_ID)).is_some();
    has_client || entry(pod, "labels", label::USE).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(kind: &str, name: &str, owner: (&str, &str), age: &str) -> Value {
        let owner = json!([{ "kind": owner.0, "name": owner.1, "controller": true }]);
        let metadata = json!({ "name": name, "ownerReferences": owner, "creationTimestamp": age });
        let pod = json!({ "metadata": { "labels": { label::USE: "true" } }, "spec": {} });
        let mut object = json!({ "kind": kind, "metadata": metadata, "spec": { "template": pod } });
        object["metadata"]["labels"] = json!({ label::USE: "true" });
        object
    }

    fn deployment() -> Objects {
        let mut deployment = owned("Deployment", "web", ("", ""), "");
        deployment["metadata"]["ownerReferences"] = json!([]);
        Objects::new(vec![
            deployment,
            owned("ReplicaSet", "web-1", ("Deployment", "web"), ""),
            owned("Pod", "web-1-old", ("ReplicaSet", "web-1"), "2026-01-01T00:00:00Z"),
            owned("Pod", "web-1-new", ("ReplicaSet", "web-1"), "2026-01-02T00:00:00Z"),
        ])
    }

    #[test]
    fn of_a_deployment_its_template_and_its_newest_pod_are_looked_at() {
        let objects = deployment();
        let named = "deploy/web".parse().unwrap();
        let found: Vec<_> = targets(&objects, Some(&named), None).into_iter().map(name).collect();
        assert_eq!(found, ["web", "web-1-new"]);
    }

    #[test]
    fn without_a_name_one_pod_stands_for_all_of_its_workload() {
        let objects = deployment();
        assert_eq!(targets(&objects, None, None).into_iter().map(name).collect::<Vec<_>>(), ["web-1-new"]);
        assert!(targets(&objects, None, Some("elsewhere")).is_empty());
    }

    #[test]
    fn a_pod_that_nobody_means_to_have_an_identity_is_left_out_unless_named() {
        let objects = Objects::new(vec![json!({ "kind": "Pod", "metadata": { "name": "plain" }, "spec": {} })]);
        assert!(targets(&objects, None, None).is_empty());
        assert_eq!(targets(&objects, Some(&"pod/plain".parse().unwrap()), None).len(), 1);
    }

    #[test]
    fn a_name_without_its_kind_is_refused_with_an_example() {
        for wrong in ["cart", "pod/", "service/cart", ""] {
            assert!(wrong.parse::<Named>().unwrap_err().ends_with("such as pod/cart-0 or deployment/cart"), "{wrong}");
        }
    }
}
