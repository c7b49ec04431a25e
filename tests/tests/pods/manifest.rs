//! A pod of `examples/`, changed as little as podman needs to run it here.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use azwi_tests::emulator::clients;
use serde_json::{Value, json};

use crate::podman::{APP_IMAGE, architecture};

/// Where the containers find the service account token and the emulator's certificate authority, as the examples have it.
pub(crate) const TOKENS: &str = "/var/run/secrets/azure/wi/token";

const VOLUME: &str = "azure-identity-token";

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
    spec["volumes"] = json!([{ "name": VOLUME, "hostPath": { "path": cluster.tokens, "type": "Directory" } }]);
    let (sidecar, init): (Vec<_>, Vec<_>) = list(&spec["initContainers"])?.into_iter().partition(is_sidecar);
    let containers = sidecar.into_iter().chain(list(&spec["containers"])?).map(|container| fit(container, cluster));
    spec["containers"] = containers.collect();
    spec["initContainers"] = init.into_iter().map(|container| fit(container, cluster)).collect();
    Ok(pod)
}

/// What a webhook adds where the manifest leaves it to one.
fn of_the_webhook() -> Vec<Value> {
    let file = format!("{TOKENS}/azure-identity-token");
    let variables = [
        ("AZURE_CLIENT_ID", clients::DEMO),
        ("AZURE_TENANT_ID", "11111111-1111-4111-8111-111111111111"),
        ("AZURE_FEDERATED_TOKEN_FILE", &file),
    ];
    variables.map(|(name, value)| json!({ "name": name, "value": value })).to_vec()
}

fn list(value: &Value) -> Result<Vec<Value>> {
    value.as_array().cloned().context("no list")
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn fit(mut container: Value, cluster: &Cluster<'_>) -> Value {
    let image = match container["name"].as_str() {
        Some("azwi-proxy" | "proxy") => format!("localhost/azwi-proxy:{}", architecture()),
        Some("azwi-proxy-init" | "init-networking") => format!("localhost/azwi-proxy-init:{}", architecture()),
        _ => APP_IMAGE.to_owned(),
    };
    container["image"] = json!(image);
    container["imagePullPolicy"] = json!("Never");
    if container["name"] == "azwi-proxy" || container["name"] == "proxy" {
        container["args"] = json!([format!("--ca-file={TOKENS}/ca.crt")]);
        container["volumeMounts"] = json!([{ "name": VOLUME, "mountPath": TOKENS, "readOnly": true }]);
        let mut variables = container["env"].as_array().cloned().unwrap_or_else(of_the_webhook);
        variables.push(json!({ "name": "AZURE_AUTHORITY_HOST", "value": cluster.authority }));
        container["env"] = json!(variables);
    }
    if let Some(fields) = container.as_object_mut() {
        fields.remove("restartPolicy");
    }
    container
}
