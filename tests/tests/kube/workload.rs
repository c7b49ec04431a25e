//! Pods and service accounts as users write them, and how to look at what has become of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use azwi_tests::cluster::eventually;
use azwi_tests::webhook::Installation;
use serde_json::{Value, json};

pub(crate) const CLIENT_ID: &str = "22222222-2222-4222-8222-222222222222";

/// A namespace of a test's own in an installation that it may share.
pub(crate) struct Place {
    pub(crate) installation: Arc<Installation>,
    pub(crate) namespace: String,
}

impl Place {
    /// With the service account `app`, which has an identity.
    pub(crate) fn new() -> Result<Self> {
        Self::of(Installation::shared()?)
    }

    pub(crate) fn of(installation: Arc<Installation>) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        installation.cluster.namespace(&namespace)?;
        installation.cluster.create(&account(&namespace, "app", &json!({ "client-id": CLIENT_ID })))?;
        Ok(Self { installation, namespace })
    }

    /// A labelled pod of `app` named `web` with these annotations, whose prefix is left out.
    pub(crate) fn pod(&self, annotations: &Value) -> Value {
        pod(&self.namespace, "web", annotations)
    }

    /// Changes the annotation of `app`; returns once its pods are of the new identity.
    pub(crate) fn is_given_a_new_client_id(&self) -> Result<()> {
        let other = "33333333-3333-4333-8333-333333333333";
        let annotation = format!("azure.workload.identity/client-id={other}");
        let arguments =
            ["annotate", "--overwrite", "serviceaccount", "app", &annotation, "--namespace", &self.namespace];
        self.installation.cluster.kubectl(&arguments)?;
        // The watch tells the webhook in a moment; until then the pods are of the identity before.
        eventually(|| {
            let mut pod = self.pod(&json!({}));
            pod["metadata"]["name"] = Value::Null;
            pod["metadata"]["generateName"] = "web-".into();
            let created = self.installation.cluster.create(&pod)?;
            Ok(variables(container(&created, "app")).contains(&("AZURE_CLIENT_ID", other)))
        })
    }

    /// What becomes of [`Self::pod`].
    pub(crate) fn created(&self, annotations: &Value) -> Result<Value> {
        self.installation.cluster.create(&self.pod(annotations))
    }
}

pub(crate) fn account(namespace: &str, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": name, "namespace": namespace, "annotations": prefixed(annotations) },
    })
}

pub(crate) fn pod(namespace: &str, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": { "azure.workload.identity/use": "true" },
            "annotations": prefixed(annotations),
        },
        "spec": {
            "serviceAccountName": "app",
            "initContainers": [{ "name": "prepare", "image": "registry.example/prepare:1" }],
            "containers": [
                { "name": "app", "image": "registry.example/app:1" },
                { "name": "other", "image": "registry.example/other:1" },
            ],
        },
    })
}

fn prefixed(annotations: &Value) -> Value {
    let entries = annotations.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (format!("azure.workload.identity/{key}"), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The names of the containers of a pod: `initContainers` or `containers`.
pub(crate) fn names<'a>(pod: &'a Value, kind: &str) -> Vec<&'a str> {
    containers(pod, kind).filter_map(|container| container["name"].as_str()).collect()
}

/// One container of a pod, of whatever kind.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let all = containers(pod, "initContainers").chain(containers(pod, "containers"));
    all.into_iter().find(|container| container["name"] == name).unwrap_or(&Value::Null)
}

fn containers<'a>(pod: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    pod["spec"][kind].as_array().into_iter().flatten()
}

/// The variables of a container, in order.
pub(crate) fn variables(container: &Value) -> Vec<(&str, &str)> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables.filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?))).collect()
}

/// The volume that the webhook adds.
pub(crate) fn volume(pod: &Value) -> &Value {
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let is_ours = |name: &str| name.starts_with("azure-workload-identity-reserved-");
    volumes.find(|volume| volume["name"].as_str().is_some_and(is_ours)).unwrap_or(&Value::Null)
}

/// The service account token in it.
pub(crate) fn token(pod: &Value) -> &Value {
    &volume(pod)["projected"]["sources"][0]["serviceAccountToken"]
}

/// Whether a container has that volume.
pub(crate) fn has_mount(container: &Value) -> bool {
    let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts.any(|mount| mount["mountPath"] == "/var/run/secrets/azure/wi" && mount["readOnly"] == true)
}
