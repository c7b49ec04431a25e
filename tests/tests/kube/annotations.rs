//! What each annotation of a pod or a service account does.

use anyhow::Result;
use serde_json::json;

use crate::workload::{CLIENT_ID, Place, account, container, has_mount, names, token, variables};

const SIDECAR: &str = "azwi-proxy";
const INIT: &str = "azwi-proxy-init";

#[test]
fn skip_containers_leaves_those_as_they_are() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "skip-containers": "other; prepare" }))?;
    for (name, is_changed) in [("prepare", false), ("app", true), ("other", false)] {
        let container = container(&pod, name);
        assert_eq!((has_mount(container), variables(container).is_empty()), (is_changed, !is_changed), "{name}");
    }
    Ok(())
}

#[test]
fn service_account_token_expiration_of_the_pod_counts_before_that_of_its_account() -> Result<()> {
    let place = Place::new()?;
    let annotations = json!({ "client-id": CLIENT_ID, "service-account-token-expiration": "7200" });
    place.installation.cluster.create(&account(&place.namespace, "slow", &annotations))?;
    for (name, annotations, seconds) in
        [("of-account", json!({}), 7200), ("of-pod", json!({ "service-account-token-expiration": "86400" }), 86_400)]
    {
        let mut pod = place.pod(&annotations);
        pod["metadata"]["name"] = name.into();
        pod["spec"]["serviceAccountName"] = "slow".into();
        let created = place.installation.cluster.create(&pod)?;
        assert_eq!(token(&created)["expirationSeconds"], seconds, "{name}");
    }
    Ok(())
}

#[test]
fn tenant_id_of_the_account_counts_before_that_of_the_cluster() -> Result<()> {
    let place = Place::new()?;
    let tenant = "99999999-9999-4999-8999-999999999999";
    let annotations = json!({ "client-id": CLIENT_ID, "tenant-id": tenant });
    place.installation.cluster.create(&account(&place.namespace, "guest", &annotations))?;
    let mut pod = place.pod(&json!({}));
    pod["spec"]["serviceAccountName"] = "guest".into();
    let created = place.installation.cluster.create(&pod)?;
    assert!(variables(container(&created, "app")).contains(&("AZURE_TENANT_ID", tenant)));
    Ok(())
}

#[test]
fn inject_proxy_sidecar_puts_redirect_and_sidecar_before_the_users_containers() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "inject-proxy-sidecar": "true" }))?;
    assert_eq!(names(&pod, "initContainers"), [INIT, SIDECAR, "prepare"]);
    assert_eq!(names(&pod, "containers"), ["app", "other"]);
    // This API server's kubelets end such a container with the pod's others.
    assert_eq!(container(&pod, SIDECAR)["restartPolicy"], "Always");
    Ok(())
}

#[test]
fn the_sidecar_has_the_charts_image_and_no_rights() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "inject-proxy-sidecar": "true" }))?;
    let sidecar = container(&pod, SIDECAR);
    assert_eq!(sidecar["image"], "registry.example/azwi-proxy:0.1.0");
    let context = &sidecar["securityContext"];
    assert_eq!((&context["runAsUser"], &context["runAsGroup"]), (&json!(1501), &json!(1501)));
    assert_eq!(
        (&context["readOnlyRootFilesystem"], &context["capabilities"]),
        (&json!(true), &json!({ "drop": ["ALL"] }))
    );
    let init = &container(&pod, INIT)["securityContext"];
    assert_eq!(init["capabilities"]["add"], json!(["NET_ADMIN"]));
    assert_ne!(init["privileged"], true);
    Ok(())
}

#[test]
fn inject_proxy_sidecar_may_be_false() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "inject-proxy-sidecar": "False" }))?;
    assert_eq!(names(&pod, "initContainers"), ["prepare"]);
    Ok(())
}

#[test]
fn proxy_sidecar_port_is_that_of_sidecar_and_redirect() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "inject-proxy-sidecar": "", "proxy-sidecar-port": "8123" }))?;
    assert_eq!(container(&pod, SIDECAR)["ports"][0]["containerPort"], 8123);
    assert_eq!(container(&pod, SIDECAR)["args"][0], "--proxy-port=8123");
    assert!(variables(container(&pod, INIT)).contains(&("PROXY_PORT", "8123")));
    Ok(())
}

#[test]
fn proxy_redirect_none_tells_apps_by_a_variable() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "inject-proxy-sidecar": "true", "proxy-redirect": "none" }))?;
    assert_eq!(names(&pod, "initContainers"), [SIDECAR, "prepare"]);
    let address = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:8000");
    assert!(variables(container(&pod, "app")).contains(&address), "{pod}");
    Ok(())
}

#[test]
fn proxy_only_keeps_the_token_from_apps() -> Result<()> {
    let pod = Place::new()?.created(&json!({ "inject-proxy-sidecar": "true", "proxy-only": "true" }))?;
    assert!(has_mount(container(&pod, SIDECAR)));
    for name in ["prepare", "app", "other"] {
        assert!(!has_mount(container(&pod, name)), "{name}");
    }
    Ok(())
}

#[test]
fn proxy_resources_are_those_of_the_sidecar() -> Result<()> {
    let resources = json!({ "requests": { "cpu": "20m" }, "limits": { "memory": "99Mi" } });
    let annotations = json!({ "inject-proxy-sidecar": "true", "proxy-resources": resources.to_string() });
    let pod = Place::new()?.created(&annotations)?;
    let found = &container(&pod, SIDECAR)["resources"];
    assert_eq!((&found["requests"]["cpu"], &found["limits"]["memory"]), (&json!("20m"), &json!("99Mi")));
    Ok(())
}

#[test]
fn proxy_log_level_counts_before_that_of_the_chart() -> Result<()> {
    for (annotations, wanted) in [
        (json!({ "inject-proxy-sidecar": "true" }), "--log-level=info"),
        (json!({ "inject-proxy-sidecar": "true", "proxy-log-level": "debug" }), "--log-level=debug"),
    ] {
        let pod = Place::new()?.created(&annotations)?;
        assert_eq!(container(&pod, SIDECAR)["args"][1], wanted);
    }
    Ok(())
}

#[test]
fn identity_map_of_the_account_is_the_sidecars() -> Result<()> {
    let place = Place::new()?;
    let map = r#"{"66666666-6666-4666-8666-666666666666":"22222222-2222-4222-8222-222222222222"}"#;
    let annotations = json!({ "client-id": CLIENT_ID, "identity-map": map });
    place.installation.cluster.create(&account(&place.namespace, "several", &annotations))?;
    let mut pod = place.pod(&json!({ "inject-proxy-sidecar": "true" }));
    pod["spec"]["serviceAccountName"] = "several".into();
    let created = place.installation.cluster.create(&pod)?;
    assert!(variables(container(&created, SIDECAR)).contains(&("AZWI_IDENTITY_MAP", map)), "{created}");
    Ok(())
}
