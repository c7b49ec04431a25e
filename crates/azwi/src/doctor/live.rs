//! What a running cluster is asked: its objects, whether it lets the pod in, and a token of its service account.

use azwi_conventions::container::{PROXY, PROXY_INIT};
use azwi_conventions::volume::NAME_PREFIX;
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterError};
use crate::webhook;

use super::check::Check;
use super::objects::{Objects, kind, pod, text};
use super::refusal;
use super::workload::token;

/// Of the log, as Kubernetes takes it: what matters now.
const LOG: &str = "tailLines=500&sinceSeconds=900";

/// Kinds in a namespace, with their list.
const NAMESPACED: [(&str, &str, &str); 10] = [
    ("ServiceAccount", "api/v1", "serviceaccounts"),
    ("Event", "api/v1", "events"),
    ("ReplicationController", "api/v1", "replicationcontrollers"),
    ("Deployment", "apis/apps/v1", "deployments"),
    ("StatefulSet", "apis/apps/v1", "statefulsets"),
    ("DaemonSet", "apis/apps/v1", "daemonsets"),
    ("ReplicaSet", "apis/apps/v1", "replicasets"),
    ("Job", "apis/batch/v1", "jobs"),
    ("CronJob", "apis/batch/v1", "cronjobs"),
    ("Pod", "api/v1", "pods"),
];
const CONSTRAINTS: &str = "apis/constraints.gatekeeper.sh/v1beta1";

/// All that the checks look at. What one may not read is lacking, and said to be.
///
/// # Errors
/// There is no cluster.
pub(crate) async fn objects(cluster: &Cluster, namespace: &str) -> Result<Objects, ClusterError> {
    let mut objects = Objects::default();
    for (kind, group, plural) in NAMESPACED {
        let path = format!("{group}/namespaces/{namespace}/{plural}");
        take(&mut objects, kind, cluster.list(&path).await)?;
    }
    take(&mut objects, webhook::KIND, cluster.list(webhook::LIST).await)?;
    let found = cluster.get(&format!("api/v1/namespaces/{namespace}")).await;
    take(&mut objects, "Namespace", found.map(|found| found.into_iter().collect()))?;
    take(&mut objects, "Constraint", constraints(cluster).await)?;
    Ok(objects)
}

fn take(
    objects: &mut Objects,
    kind: &'static str,
    found: Result<Vec<Value>, ClusterError>,
) -> Result<(), ClusterError> {
    match found {
        Ok(found) => objects.extend(found),
        Err(error @ ClusterError::Refused { .. }) => objects.lack(kind, error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Gatekeeper's constraints about capabilities, whatever they are called here.
async fn constraints(cluster: &Cluster) -> Result<Vec<Value>, ClusterError> {
    let Some(group) = cluster.get(CONSTRAINTS).await? else { return Ok(Vec::new()) };
    let resources = group.get("resources").and_then(Value::as_array).into_iter().flatten();
    let names = resources.filter_map(|resource| resource.get("name")?.as_str());
    let mut found = Vec::new();
    for name in names.filter(|name| name.ends_with("capabilities")) {
        match cluster.list(&format!("{CONSTRAINTS}/{name}")).await {
            // Uninstalled since.
            Err(error) if error.is("NotFound") => {}
            other => found.extend(other?),
        }
    }
    Ok(found)
}

/// Has the API server admit a pod like the target's without keeping it: the webhook is asked, reached or not, trusted or
/// not, and so is everybody else who may refuse pods. Returns the pod as it came out.
///
/// # Errors
/// There is no cluster.
pub(crate) async fn admission(
    cluster: &Cluster,
    subject: &str,
    namespace: &str,
    target: &Value,
) -> Result<(Check, Option<Value>), ClusterError> {
    const NAME: &str = "admission";
    let path = format!("api/v1/namespaces/{namespace}/pods?dryRun=All");
    Ok(match cluster.create(&path, &like(target)).await {
        Ok(admitted) if token(&admitted).is_some() => {
            let evidence = "the API server lets such a pod in, and the webhook sets it up (dry run)";
            (Check::holds(subject, NAME, evidence), Some(admitted))
        }
        Ok(_) => {
            let evidence = "the API server lets such a pod in, but no webhook has set it up (dry run)";
            let fix = "see to label and webhook; a webhook with failurePolicy Ignore is passed over when it is down";
            (Check::fails(subject, NAME, evidence, fix), None)
        }
        // What concerns one pod more, or whoever asks here, says nothing of the pod in question.
        Err(ClusterError::Refused { message, .. })
            if message.contains("cannot create resource \"pods\"") || message.contains("exceeded quota") =>
        {
            (Check::unknown(subject, NAME, message), None)
        }
        Err(ClusterError::Refused { message, .. }) => {
            let fix = refusal::fix(&message);
            (Check::fails(subject, NAME, message, fix), None)
        }
        Err(error) => return Err(error),
    })
}

/// A pod to be created as the target was: without what only the cluster may write, and what a webhook has added.
fn like(target: &Value) -> Value {
    let of = |name: &str| pod(target).and_then(|pod| pod.pointer(name)).cloned().unwrap_or_default();
    let mut spec = of("/spec");
    if kind(target) == "Pod" {
        for field in ["nodeName", "priority", "preemptionPolicy", "ephemeralContainers"] {
            spec.as_object_mut().map(|spec| spec.remove(field));
        }
        unmutate(&mut spec);
    }
    let [labels, annotations] = ["/metadata/labels", "/metadata/annotations"].map(of);
    let metadata = json!({ "generateName": "azwi-doctor-", "labels": labels, "annotations": annotations });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
}

/// Takes the sidecar, its redirect and the token away again. The variables stay: they do no harm.
fn unmutate(spec: &mut Value) {
    let is_ours = |container: &Value| [PROXY, PROXY_INIT].contains(&text(container, "/name"));
    let is_volume = |volume: &Value| text(volume, "/name").starts_with(NAME_PREFIX);
    for containers in ["initContainers", "containers"] {
        let Some(containers) = spec.get_mut(containers).and_then(Value::as_array_mut) else { continue };
        containers.retain(|container| !is_ours(container));
        for container in containers {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| !is_volume(mount));
            }
        }
    }
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !is_volume(volume));
    }
}

/// The end of a container's log.
///
/// # Errors
/// The API server refuses, or does not reach kubelet.
pub(crate) async fn log(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Result<String, ClusterError> {
    cluster.text(&format!("api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&{LOG}")).await
}
