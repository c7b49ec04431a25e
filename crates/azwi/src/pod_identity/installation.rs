//! How pod identity runs in the cluster, as far as its own pods tell.

use serde_json::Value;

use super::object::Object;

const COMPONENTS: [&str; 2] = ["nmi", "mic"];

/// Whether an identity counts only for pods of its own namespace: `--forceNamespaced`, or the mode in which AKS runs it.
///
/// `None` if no pod of pod identity is there to tell.
pub(super) fn is_namespaced(objects: &[Object<'_>]) -> Option<bool> {
    let pods = objects.iter().filter(|object| matches!(object.kind(), "Pod" | "DaemonSet" | "Deployment"));
    let containers = pods
        .flat_map(|object| object.list("/spec/containers").iter().chain(object.list("/spec/template/spec/containers")));
    let mut components = containers.filter(|container| is_component(container)).peekable();
    components.peek()?;
    Some(components.any(forces_namespaces))
}

/// Whether AKS made it and would make it again.
pub(super) fn is_of_aks(object: Object<'_>) -> bool {
    object.label("kubernetes.azure.com/managedby") == Some("aks")
        || object.label("addonmanager.kubernetes.io/mode").is_some()
}

/// Images are called `…/aad-pod-identity/nmi:v1.8.17`.
fn is_component(container: &Value) -> bool {
    let field = |name| container.get(name).and_then(Value::as_str).unwrap_or_default();
    COMPONENTS.contains(&field("name")) && field("image").contains("pod-identity")
}

fn forces_namespaces(container: &Value) -> bool {
    let words = |name| container.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let by_flag = words("args").chain(words("command")).any(|word| {
        matches!(word.trim_start_matches('-'), "forceNamespaced" | "forceNamespaced=true" | "operation-mode=managed")
    });
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let by_variable = |variable: &Value| {
        let field = |name| variable.get(name).and_then(Value::as_str);
        field("name") == Some("FORCENAMESPACED") && field("value") == Some("true")
    };
    by_flag || variables.into_iter().any(by_variable)
}
