//! A service account of the API, as far as we look at it.
//!
//! Lists of them are the most that is ever in memory here, so what is not needed is not even read: managed fields alone
//! are several times as large as all else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

/// Name, namespace, version and annotations.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Raw")]
pub(super) struct Object(pub(super) ObjectMeta);

#[derive(Deserialize)]
struct Raw {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl From<Raw> for Object {
    fn from(Raw { metadata }: Raw) -> Self {
        let Metadata { name, namespace, resource_version, annotations } = metadata;
        Self(ObjectMeta { name, namespace, resource_version, annotations, ..ObjectMeta::default() })
    }
}

impl Resource for Object {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    /// The rest is not even sent.
    fn metadata_api() -> bool {
        true
    }

    fn kind((): &()) -> Cow<'_, str> {
        ServiceAccount::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ServiceAccount::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ServiceAccount::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ServiceAccount::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_needed_is_not_kept() {
        let metadata = json!({
            "name": "cart", "namespace": "demo", "resourceVersion": "7", "annotations": { "a": "b" },
            "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:metadata": {} } }], "labels": { "x": "y" },
        });
        let object = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata });
        let Object(read) = serde_json::from_value(object).unwrap();
        assert_eq!((read.name.as_deref(), read.namespace.as_deref()), (Some("cart"), Some("demo")));
        assert_eq!(read.resource_version.as_deref(), Some("7"));
        assert_eq!(read.annotations.unwrap()["a"], "b");
        assert!(read.managed_fields.is_none() && read.labels.is_none());
    }
}
