//! A pod of `examples/`, changed as little as podman needs to run it here.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::podman::{APP_IMAGE, architecture};

/// Where the containers find the service account token and the emulator's certificate authority, as the examples have it.
pub(crate) const TOKENS: &str = "/var/run/secrets/azure/wi/token";

/// What takes the place of a cluster.
pub(crate) struct Cluster<'a> {
    /// With the token and `ca.crt`.
    pub(crate) tokens: &'a Path,
    /// The emulator, as pods reach it.
    pub(crate) authority: &'a str,
}

/// The pod in `examples/NAME`.
///
/// - Images are those of this build, which no registry has; the app is ours.
/// - The kubelet's token volume becomes a directory, for podman projects no tokens.
/// - Entra is the emulator.
/// - The native sidecar becomes a container, for podman 4 waits until all init containers have ended.
pub(crate) fn example(name: &str, cluster: &Cluster<'_>) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(path)?)?;
    let mut pod = documents.into_iter().find(|document| document["kind"] == "Pod").context("no pod in it")?;
    let spec = &mut pod["spec"];
    spec["restartPolicy"] = json!("Never");
    spec["volumes"] = json!([{
        "name": spec["volumes"][0]["name"],
        "hostPath": { "path": cluster.tokens, "type": "Directory" },
    }]);
    let (sidecar, init): (Vec<_>, Vec<_>) = list(&spec["initContainers"])?.into_iter().partition(is_sidecar);
    let containers = sidecar.into_iter().chain(list(&spec["containers"])?).map(|container| fit(container, cluster));
    spec["containers"] = containers.collect();
    spec["initContainers"] = init.into_iter().map(|container| fit(container, cluster)).collect();
    Ok(pod)
}

fn list(value: &Value) -> Result<Vec<Value>> {
    value.as_array().cloned().context("no list")
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn fit(mut container: Value, cluster: &Cluster<'_>) -> Value {
    let image = match container["name"].as_str() {
        Some(ours @ ("azwi-proxy" | "azwi-proxy-init")) => format!("localhost/{ours}:{}", architecture()),
        _ => APP_IMAGE.to_owned(),
    };
    container["image"] = json!(image);
    container["imagePullPolicy"] = json!("Never");
    if container["name"] == "azwi-proxy" {
        container["args"] = json!([format!("--ca-file={TOKENS}/ca.crt")]);
        if let Some(variables) = container["env"].as_array_mut() {
            variables.push(json!({ "name": "AZURE_AUTHORITY_HOST", "value": cluster.authority }));
        }
    }
    if let Some(fields) = container.as_object_mut() {
        fields.remove("restartPolicy");
    }
    container
}
