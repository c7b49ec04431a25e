//! Kubernetes objects as the API server prints them, and the pod templates in them, which have the same shape.
//!
//! Read leniently: a field that is not there or is something else counts as not there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::name::{is_namespace, is_subdomain};

/// Who an object says controls it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
}

/// Something with `metadata` and `spec`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a>(pub(super) &'a Value);

impl<'a> Object<'a> {
    /// All that have names as the API server allows them; what is in a `List` counts by itself.
    ///
    /// Names become paths of files and words of commands, so nothing else may pass.
    pub(super) fn all(values: &'a [Value]) -> Vec<Self> {
        values.iter().flat_map(flat).filter(|object| object.has_good_names()).collect()
    }

    fn has_good_names(self) -> bool {
        is_subdomain(self.name()) && is_namespace(self.namespace())
    }

    pub(super) fn api_version(self) -> &'a str {
        self.text("/apiVersion")
    }

    /// The part of `apiVersion` before the slash; empty for the core group.
    pub(super) fn group(self) -> &'a str {
        group(self.api_version())
    }

    pub(super) fn kind(self) -> &'a str {
        self.text("/kind")
    }

    pub(super) fn name(self) -> &'a str {
        self.text("/metadata/name")
    }

    /// `default` where none is said, as with `kubectl`.
    pub(super) fn namespace(self) -> &'a str {
        Some(self.text("/metadata/namespace")).filter(|namespace| !namespace.is_empty()).unwrap_or("default")
    }

    pub(super) fn labels(self) -> BTreeMap<&'a str, &'a str> {
        self.strings("/metadata/labels")
    }

    pub(super) fn annotations(self) -> BTreeMap<&'a str, &'a str> {
        self.strings("/metadata/annotations")
    }

    pub(super) fn label(self, key: &str) -> Option<&'a str> {
        self.labels().get(key).copied()
    }

    pub(super) fn annotation(self, key: &str) -> Option<&'a str> {
        self.annotations().get(key).copied()
    }

    /// At most one of its owners is its controller.
    pub(super) fn controller(self) -> Option<Owner<'a>> {
        let owner = self
            .list("/metadata/ownerReferences")
            .iter()
            .find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
        let field = |name| owner.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(Owner { api_version: field("apiVersion"), kind: field("kind"), name: field("name") })
    }

    pub(super) fn at(self, pointer: &str) -> Option<&'a Value> {
        self.0.pointer(pointer)
    }

    /// Empty if there is none.
    pub(super) fn text(self, pointer: &str) -> &'a str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn list(self, pointer: &str) -> &'a [Value] {
        self.at(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn strings(self, pointer: &str) -> BTreeMap<&'a str, &'a str> {
        let fields = self.at(pointer).and_then(Value::as_object).into_iter().flatten();
        fields.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// A field of `spec` whose name may be in any case: the custom resources of pod identity were read so, and its first
    /// versions wrote `ResourceID` and `AzureIdentity`.
    pub(super) fn of_spec(self, name: &str) -> Option<&'a Value> {
        let mut fields = self.at("/spec")?.as_object()?.iter();
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The same as text, without space around it; empty if there is none.
    pub(super) fn text_of_spec(self, name: &str) -> &'a str {
        self.of_spec(name).and_then(Value::as_str).unwrap_or_default().trim()
    }
}

pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn flat(value: &Value) -> Vec<Object<'_>> {
    match value.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().map(Object).collect(),
        None => vec![Object(value)],
    }
}
