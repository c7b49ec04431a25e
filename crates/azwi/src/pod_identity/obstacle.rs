//! What of a pod template is in the way of a sidecar, or makes its change take more than a patch.

use serde_json::Value;

use super::finding::Finding;
use super::object::Object;
use super::workload::{Kind, Rollout, Workload};

/// Labels of namespaces: <https://kubernetes.io/docs/concepts/security/pod-security-admission/>.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// What is in the way of a sidecar that listens on `port`.
pub(super) fn to_sidecar(workload: &Workload<'_>, objects: &[Object<'_>], port: u16) -> Vec<Finding> {
    let templates = workload.templates();
    let network = templates.iter().any(|pod| pod.at("/spec/hostNetwork") == Some(&Value::Bool(true)));
    let windows = templates.iter().copied().any(is_windows);
    let taken = templates.iter().find_map(|pod| takes(*pod, port));
    let network = network.then_some(Finding::HostNetwork);
    let windows = windows.then_some(Finding::Windows);
    [network, windows, taken, pod_security(&workload.id.namespace, objects)].into_iter().flatten().collect()
}

/// What it takes for a changed template to come into pods.
pub(super) fn to_rollout(workload: &Workload<'_>) -> Option<Finding> {
    let (kind, object) = workload.object?;
    match kind.rollout(object) {
        Rollout::ByItself => None,
        Rollout::WhenPodsAreDeleted => Some(Finding::DeletePods),
        Rollout::WhenCreatedAgain => Some(Finding::Recreate { kind: workload.id.kind.clone() }),
    }
}

/// Who would undo a patch.
pub(super) fn to_patch(workload: &Workload<'_>) -> Option<Finding> {
    let (_, object) = workload.object?;
    let helm = object.annotation("meta.helm.sh/release-name").map(|release| format!("Helm, release {release}"));
    let flux = object.label("kustomize.toolkit.fluxcd.io/name").map(|name| format!("Flux, Kustomization {name}"));
    let argo = object
        .annotation("argocd.argoproj.io/tracking-id")
        .map(|id| format!("Argo CD, {}", id.split(':').next().unwrap_or(id)));
    argo.or(flux).or(helm).map(|manager| Finding::ManagedBy { manager })
}

fn is_windows(pod: Object<'_>) -> bool {
    let of_selector = pod.strings("/spec/nodeSelector").get("kubernetes.io/os").copied();
    pod.text("/spec/os/name") == "windows" || of_selector == Some("windows")
}

/// Containers say their ports if they like, so this finds some.
fn takes(pod: Object<'_>, port: u16) -> Option<Finding> {
    let has = |container: &&Value| {
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        ports.into_iter().any(|of| of.get("containerPort").and_then(Value::as_u64) == Some(port.into()))
    };
    let is_other =
        |container: &&Value| container.get("name").and_then(Value::as_str) != Some(azwi_conventions::container::PROXY);
    let container = pod.list("/spec/containers").iter().filter(is_other).find(has)?;
    let container = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Finding::PortTaken { container, port })
}

fn pod_security(namespace: &str, objects: &[Object<'_>]) -> Option<Finding> {
    let object = objects
        .iter()
        .find(|object| object.kind() == "Namespace" && object.group().is_empty() && object.name() == namespace)?;
    let level = object.label(ENFORCE).filter(|level| matches!(*level, "baseline" | "restricted"))?;
    Some(Finding::PodSecurity { namespace: namespace.to_owned(), level: level.to_owned() })
}

/// Whether a known kind is only gone: its owner cannot be asked about it.
pub(super) fn is_only_gone(workload: &Workload<'_>) -> bool {
    Kind::of(&workload.id.api_version, &workload.id.kind).is_some()
}
