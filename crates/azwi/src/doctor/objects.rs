//! A cluster's objects as JSON, and the questions that the checks ask of them.

use serde_json::Value;

/// Owners of owners that are followed: a pod's replica set, and that one's deployment.
const GENERATIONS: usize = 3;

#[derive(Default)]
pub(crate) struct Objects {
    all: Vec<Value>,
    /// Kinds that could not be read, and why.
    unread: Vec<(&'static str, String)>,
}

impl Objects {
    /// A `List` stands for its items.
    pub(crate) fn new(documents: Vec<Value>) -> Self {
        let items = |document: Value| match document.get("items").and_then(Value::as_array) {
            Some(items) => items.clone(),
            None => vec![document],
        };
        Self { all: documents.into_iter().flat_map(items).collect(), unread: Vec::new() }
    }

    pub(crate) fn extend(&mut self, objects: Vec<Value>) {
        self.all.extend(objects);
    }

    /// Nobody may conclude from there being none that there is none.
    pub(crate) fn lack(&mut self, kind: &'static str, why: String) {
        self.unread.push((kind, why));
    }

    /// Why objects of a kind may be missing here.
    pub(crate) fn why_unread(&self, kind: &str) -> Option<&str> {
        self.unread.iter().find(|(unread, _)| *unread == kind).map(|(_, why)| why.as_str())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.all.iter()
    }

    pub(crate) fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Value> {
        self.all.iter().filter(move |object| kind(object) == wanted)
    }

    pub(crate) fn namespaced(&self, wanted: &str, namespace: &str, name: &str) -> Option<&Value> {
        let is_it = |object: &&Value| {
            kind(object) == wanted && self::namespace(object) == namespace && self::name(object) == name
        };
        self.all.iter().find(is_it)
    }

    /// Pods and what makes pods.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.all.iter().filter(|object| pod_spec(object).is_some())
    }

    /// The workload that an object was made for in the end: itself, if for none.
    pub(crate) fn root<'a>(&'a self, object: &'a Value) -> &'a Value {
        let mut root = object;
        for _ in 0..GENERATIONS {
            match self.owner(root) {
                Some(owner) => root = owner,
                None => break,
            }
        }
        root
    }

    fn owner(&self, object: &Value) -> Option<&Value> {
        let is_controller = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
        let owner = list(object, "/metadata/ownerReferences").iter().find(is_controller)?;
        self.namespaced(text(owner, "/kind"), namespace(object), text(owner, "/name"))
    }

    /// What `az … federated-credential list` printed, which is a list even of none.
    pub(crate) fn credentials(&self) -> Option<Vec<&Value>> {
        let mut lists = self.all.iter().filter_map(Value::as_array).peekable();
        lists.peek()?;
        Some(lists.flatten().filter(|credential| credential.get("subject").is_some()).collect())
    }
}

pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    match text(object, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    }
}

/// As `kubectl` takes it.
pub(crate) fn reference(object: &Value) -> String {
    format!("{}/{}", kind(object).to_ascii_lowercase(), name(object))
}

/// A label or annotation; keys have slashes, so that a JSON pointer would not do.
pub(crate) fn entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}

/// The pod itself, or the template that a workload makes its pods of.
pub(crate) fn pod(object: &Value) -> Option<&Value> {
    match kind(object) {
        "Pod" => Some(object),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template"),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            object.pointer("/spec/template")
        }
        _ => None,
    }
}

/// Of a pod or template.
pub(crate) fn service_account_name(pod: &Value) -> &str {
    match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
}

/// A variable's value in the first container that has it.
pub(crate) fn variable<'a>(pod: &'a Value, wanted: &str) -> Option<&'a str> {
    let containers = ["/spec/containers", "/spec/initContainers"].into_iter().flat_map(|kind| list(pod, kind));
    let mut variables = containers.flat_map(|container| list(container, "/env"));
    variables.find(|variable| text(variable, "/name") == wanted)?.get("value")?.as_str()
}

fn pod_spec(object: &Value) -> Option<&Value> {
    pod(object)?.get("spec")
}
