//! What users are told by kubectl when a pod is refused.

use anyhow::Result;
use serde_json::json;

use crate::workload::{Place, account};

const REFUSED: &str = "Error from server: error when creating \"STDIN\": \
    admission webhook \"mutation.azure-workload-identity.io\" denied the request: ";

#[test]
fn a_bad_value_is_told_with_its_annotation_and_what_it_can_be() -> Result<()> {
    let place = Place::new()?;
    for (annotation, value, wanted) in [
        ("inject-proxy-sidecar", "maybe", r#""maybe": must be "true", "false" or empty"#),
        ("proxy-sidecar-port", "0", r#""0": must be a port, 1 to 65535"#),
        ("proxy-redirect", "some", r#""some": must be "none", or not there"#),
        ("proxy-only", "1", r#""1": must be "true" or "false""#),
        ("proxy-log-level", "loud", r#""loud": must be "info", "debug", "trace", "all" or empty"#),
        ("service-account-token-expiration", "60", r#""60": must be 3600 to 86400, in seconds"#),
    ] {
        let mut annotations = json!({ "inject-proxy-sidecar": "true" });
        annotations[annotation] = value.into();
        let told = place.installation.cluster.try_to_create(&place.pod(&annotations))?.bad()?;
        let wanted = format!("{REFUSED}annotation azure.workload.identity/{annotation} of the pod is {wanted}");
        assert_eq!(told, wanted);
    }
    Ok(())
}

#[test]
fn a_bad_value_of_the_service_account_is_told_as_such() -> Result<()> {
    let place = Place::new()?;
    let annotations = json!({ "client-id": "x", "service-account-token-expiration": "soon" });
    place.installation.cluster.create(&account(&place.namespace, "bad", &annotations))?;
    let mut pod = place.pod(&json!({}));
    pod["spec"]["serviceAccountName"] = "bad".into();
    let told = place.installation.cluster.try_to_create(&pod)?.bad()?;
    let wanted =
        "annotation azure.workload.identity/service-account-token-expiration of the service account is \"soon\"";
    assert!(told.starts_with(&format!("{REFUSED}{wanted}")), "{told}");
    Ok(())
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
