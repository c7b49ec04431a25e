//! A cluster's objects as JSON, and the questions that the checks ask of them.

use serde_json::Value;

pub(crate) struct Objects(Vec<Value>);

impl Objects {
    /// A `List` stands for its items.
    pub(crate) fn new(documents: Vec<Value>) -> Self {
        let items = |document: Value| match document.get("items").and_then(Value::as_array) {
            Some(items) => items.clone(),
            None => vec![document],
        };
        Self(documents.into_iter().flat_map(items).collect())
    }

    pub(crate) fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| kind(object) == wanted)
    }

    pub(crate) fn namespaced<'a>(&'a self, wanted: &'a str, namespace: &str, name: &str) -> Option<&'a Value> {
        self.of_kind(wanted).find(|object| self::namespace(object) == namespace && self::name(object) == name)
    }

    /// Pods, and workloads that make pods and whose pods are not among the objects.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|object| pod_spec(object).is_some())
    }

    /// `az … federated-credential list` prints them, in either of its forms.
    pub(crate) fn credentials(&self) -> Vec<&Value> {
        let nested = |object: &Value| object.as_array().is_some();
        let arrays = self.0.iter().filter(|object| nested(object)).filter_map(Value::as_array).flatten();
        let plain = self.0.iter().filter(|object| !nested(object));
        arrays.chain(plain).filter(|object| object.get("subject").is_some() && object.get("issuer").is_some()).collect()
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

/// A label or annotation; keys have slashes, so that a JSON pointer would not do.
pub(crate) fn entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}

/// The pod itself, or the template that a workload makes its pods of.
pub(crate) fn pod(object: &Value) -> Option<&Value> {
    match kind(object) {
        "Pod" => Some(object),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template"),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => object.pointer("/spec/template"),
        _ => None,
    }
}

fn pod_spec(object: &Value) -> Option<&Value> {
    pod(object)?.get("spec")
}
