//! One test per ✗, each made by breaking that one thing.

use serde_json::json;

use super::*;

const POD: &str = include_str!(
    "../../../webhook/tests/golden/the_sidecar_stands_behind_the_redirect_and_before_the_pods_init_containers/patched.yaml"
);
const ACCOUNT: &str = include_str!(
    "../../../webhook/tests/golden/the_sidecar_stands_behind_the_redirect_and_before_the_pods_init_containers/serviceaccount.yaml"
);

/// What a healthy cluster has: a pod, its service account, the webhook, the namespace.
struct Cluster {
    pod: Value,
    account: Value,
    webhook: Value,
    namespace: Value,
}

impl Cluster {
    fn healthy() -> Self {
        let yaml = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
        let selector = json!({ "matchLabels": { "azure.workload.identity/use": "true" } });
        let mut account = yaml(ACCOUNT);
        account["kind"] = json!("ServiceAccount");
        account["metadata"]["namespace"] = json!("shop");
        Self {
            pod: yaml(POD),
            account,
            webhook: json!({
                "kind": "MutatingWebhookConfiguration",
                "metadata": { "name": "azure-wi-webhook" },
                "webhooks": [{
                    "name": "mutation.azure-workload-identity.io",
                    "objectSelector": selector,
                    "clientConfig": { "caBundle": "LS0t" },
                }],
            }),
            namespace: json!({ "kind": "Namespace", "metadata": { "name": "shop", "labels": {} } }),
        }
    }

    fn checks(&self) -> Vec<Check> {
        let items = [&self.pod, &self.account, &self.webhook, &self.namespace];
        let objects = Objects::new(vec![json!({ "kind": "List", "items": items })]);
        workload::checks(&objects, &self.pod)
    }
}

/// The only check that does not hold, by name and evidence.
fn failing(cluster: &Cluster) -> (String, String) {
    let checks = cluster.checks();
    let failing: Vec<_> = checks.iter().filter(|check| !check.holds).collect();
    assert_eq!(failing.len(), 1, "{failing:#?}");
    (failing[0].name.to_owned(), failing[0].evidence.clone())
}

#[test]
fn of_a_healthy_pod_every_check_holds() {
    let checks = Cluster::healthy().checks();
    assert!(checks.iter().all(|check| check.holds && check.fix.is_none()), "{checks:#?}");
    let names: Vec<_> = checks.iter().map(|check| check.name).collect();
    let wanted =
        ["label", "service account", "client id", "webhook", "token volume", "variables", "sidecar", "pod security"];
    assert_eq!(names, wanted);
}

#[test]
fn a_label_of_another_value_is_shown() {
    let mut cluster = Cluster::healthy();
    cluster.pod["metadata"]["labels"]["azure.workload.identity/use"] = json!("yes");
    assert_eq!(failing(&cluster), ("label".to_owned(), "azure.workload.identity/use: \"yes\"".to_owned()));
}

#[test]
fn a_service_account_that_is_missing_is_named() {
    let mut cluster = Cluster::healthy();
    cluster.account["metadata"]["name"] = json!("other");
    let wanted = "there is no service account shop/cart".to_owned();
    assert_eq!(failing(&cluster), ("service account".to_owned(), wanted));
}

#[test]
fn a_client_id_that_is_missing_or_no_guid_is_told() {
    let mut cluster = Cluster::healthy();
    cluster.account["metadata"]["annotations"]["azure.workload.identity/client-id"] = json!("cart");
    assert!(failing(&cluster).1.ends_with("is no GUID"));
    cluster.account["metadata"]["annotations"] = json!({});
    assert!(failing(&cluster).1.contains("has no annotation"));
}

#[test]
fn a_webhook_that_is_missing_or_has_no_bundle_is_told() {
    let mut cluster = Cluster::healthy();
    cluster.webhook["webhooks"][0]["clientConfig"]["caBundle"] = json!("");
    assert!(failing(&cluster).1.contains("has no caBundle"));
    cluster.webhook["webhooks"] = json!([]);
    assert!(failing(&cluster).1.starts_with("no MutatingWebhookConfiguration"));
}

#[test]
fn a_pod_that_the_webhook_has_not_seen_lacks_the_volume() {
    let mut cluster = Cluster::healthy();
    cluster.pod["spec"]["volumes"] = json!([]);
    assert_eq!(failing(&cluster).0, "token volume");
}

#[test]
fn what_a_container_lacks_is_named() {
    let mut cluster = Cluster::healthy();
    cluster.pod["spec"]["containers"][0]["env"][0]["name"] = json!("OTHER");
    cluster.pod["spec"]["containers"][0]["volumeMounts"] = json!([]);
    let wanted = "container app lacks AZURE_CLIENT_ID, /var/run/secrets/azure/wi".to_owned();
    assert_eq!(failing(&cluster), ("variables".to_owned(), wanted));
}

#[test]
fn a_sidecar_before_its_redirect_is_out_of_order() {
    let mut cluster = Cluster::healthy();
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().swap(0, 1);
    assert_eq!(failing(&cluster).1, "azwi-proxy-init stands behind azwi-proxy");
}

#[test]
fn a_sidecar_or_redirect_that_is_missing_is_named() {
    let mut cluster = Cluster::healthy();
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    assert_eq!(failing(&cluster).1, "there is no init container azwi-proxy-init");
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    assert_eq!(failing(&cluster).1, "there is no container azwi-proxy");
}

#[test]
fn a_namespace_that_forbids_net_admin_is_told() {
    let mut cluster = Cluster::healthy();
    cluster.namespace["metadata"]["labels"] = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    assert_eq!(failing(&cluster).1, "namespace shop enforces restricted, which forbids NET_ADMIN");
}

#[test]
fn of_a_deployment_only_what_its_template_tells_is_checked() {
    let cluster = Cluster::healthy();
    let template = json!({ "metadata": cluster.pod["metadata"], "spec": { "serviceAccountName": "cart" } });
    let metadata = json!({ "name": "cart", "namespace": "shop" });
    let deployment = json!({ "kind": "Deployment", "metadata": metadata, "spec": { "template": template } });
    let objects = Objects::new(vec![cluster.account, cluster.webhook, deployment.clone()]);
    let names: Vec<_> = workload::checks(&objects, &deployment).iter().map(|check| check.name).collect();
    assert_eq!(names, ["label", "service account", "client id", "webhook"]);
}
