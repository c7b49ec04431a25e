//! What users are told by kubectl when a pod is refused, or something of it has no effect: in the words of
//! docs/annotations.md.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use azwi_tests::cluster::Cluster;
use azwi_tests::webhook::Installation;
use serde_json::json;

use crate::workload::{Place, account};

const REFUSED: &str = "Error from server: error when creating \"STDIN\": \
    admission webhook \"mutation.azure-workload-identity.io\" denied the request: ";

const PREFIX: &str = "azure.workload.identity/";

/// With an annotation that is named as on the page.
const ENDPOINT: &str = "customTokenEndpoint.annotationSuffix=SUFFIX,customTokenEndpoint.audience=api://proxy,\
    customTokenEndpoint.azureKubernetesTokenProxy=https://proxy.example";

/// What the page says that is told of a bad value.
struct Complaint {
    /// Without the prefix.
    key: String,
    value: String,
    text: String,
    is_of_account: bool,
    is_warning: bool,
}

impl Complaint {
    /// Of a row of the page's table, if anything is told there.
    fn of(row: &str) -> Option<Self> {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [key, place, .., last] = cells.as_slice() else { return None };
        let text = last.split('`').find(|part| part.starts_with("annotation "))?;
        Some(Self {
            key: key.split('`').nth(1)?.strip_prefix(PREFIX)?.to_owned(),
            value: text.split('"').nth(1)?.to_owned(),
            text: text.to_owned(),
            is_of_account: place.contains("service account"),
            is_warning: last.trim_start().starts_with("a warning"),
        })
    }

    /// What kubectl says where this is wrong, and nothing else.
    fn told(&self, place: &Place) -> Result<String> {
        let mut pod = place.pod(&json!({ "inject-proxy-sidecar": "true" }));
        pod["metadata"]["name"] = self.key.to_lowercase().into();
        if self.is_of_account {
            let mut annotations = json!({ "client-id": "22222222-2222-4222-8222-222222222222" });
            annotations[&self.key] = self.value.as_str().into();
            place.installation.cluster.create(&account(&place.namespace, &self.key, &annotations))?;
            pod["spec"]["serviceAccountName"] = self.key.as_str().into();
        } else {
            pod["metadata"]["annotations"][format!("{PREFIX}{}", self.key)] = self.value.as_str().into();
        }
        let answer = place.installation.cluster.try_to_create(&pod)?;
        assert_eq!(answer.is_good, self.is_warning, "{}: {}", self.key, answer.stderr);
        Ok(answer.stderr.trim().to_owned())
    }
}

#[test]
fn what_the_page_says_of_a_bad_value_is_what_kubectl_says() -> Result<()> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/annotations.md"))?;
    let complaints: Vec<_> = page.lines().filter_map(Complaint::of).collect();
    assert_eq!(complaints.len(), 11);
    let place = Place::of(Arc::new(Installation::new(1, ENDPOINT)?))?;
    for complaint in complaints {
        let start = if complaint.is_warning { "Warning: " } else { REFUSED };
        assert_eq!(complaint.told(&place)?, format!("{start}{}", complaint.text));
    }
    Ok(())
}

/// API servers usually look themselves, before they ask webhooks.
#[test]
fn a_service_account_that_is_not_there_is_told_by_name() -> Result<()> {
    let cluster = Cluster::start_with(&["--disable-admission-plugins=ServiceAccount"])?;
    let place = Place::of(Arc::new(Installation::on(cluster, 1, "logLevel=info")?))?;
    let mut pod = place.pod(&json!({}));
    pod["spec"]["serviceAccountName"] = "nobody".into();
    let told = place.installation.cluster.try_to_create(&pod)?.bad()?;
    assert_eq!(told, format!("{REFUSED}service account {}/nobody not found", place.namespace));
    Ok(())
}

#[test]
fn a_denial_is_a_bad_request() -> Result<()> {
    let place = Place::new()?;
    let pod = place.pod(&json!({ "inject-proxy-sidecar": "maybe" }));
    let told = place.installation.cluster.ask(&["create", "--filename=-", "-v=8"], &pod.to_string())?.bad()?;
    told.lines().find(|line| line.contains("\"code\":400")).with_context(|| told.clone()).map(drop)
}

#[test]
fn a_pod_in_the_nodes_network_gets_no_sidecar() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({ "inject-proxy-sidecar": "true" }));
    pod["spec"]["hostNetwork"] = true.into();
    let told = place.installation.cluster.try_to_create(&pod)?.bad()?;
    assert_eq!(told, format!("{REFUSED}hostNetwork is set to true, cannot inject proxy sidecar"));
    Ok(())
}

#[test]
fn a_pod_for_windows_gets_no_sidecar() -> Result<()> {
    let place = Place::new()?;
    let mut pod = place.pod(&json!({ "inject-proxy-sidecar": "true" }));
    pod["spec"]["os"] = json!({ "name": "windows" });
    let told = place.installation.cluster.try_to_create(&pod)?.bad()?;
    assert!(told.starts_with(&format!("{REFUSED}the pod is for Windows, cannot inject proxy sidecar")), "{told}");
    Ok(())
}
