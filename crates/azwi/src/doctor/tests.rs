//! One test per ✗, each made by breaking that one thing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::json;

use super::*;

const POD: &str = include_str!(
    "../../../webhook/tests/golden/the_sidecar_stands_behind_the_redirect_and_before_the_pods_init_containers/patched.yaml"
);
const ACCOUNT: &str = include_str!(
    "../../../webhook/tests/golden/the_sidecar_stands_behind_the_redirect_and_before_the_pods_init_containers/serviceaccount.yaml"
);

/// A caBundle that is valid from year to year.
fn bundle(from: i32, until: i32) -> Value {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    STANDARD.encode(certificate.pem()).into()
}

/// What a healthy cluster has: a pod, its service account, the webhook, the namespace; and what else there is.
struct Place {
    pod: Value,
    account: Value,
    webhook: Value,
    namespace: Value,
    others: Vec<Value>,
}

impl Place {
    fn healthy() -> Self {
        let yaml = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
        let selector = json!({ "matchLabels": { "azure.workload.identity/use": "true" } });
        let mut account = yaml(ACCOUNT);
        account["kind"] = json!("ServiceAccount");
        account["metadata"]["namespace"] = json!("shop");
        let mut pod = yaml(POD);
        let ready = json!({ "name": "azwi-proxy", "ready": true, "restartCount": 0, "state": { "running": {} } });
        let done = json!({ "name": "azwi-proxy-init", "state": { "terminated": { "exitCode": 0 } } });
        pod["status"] = json!({ "initContainerStatuses": [done, ready] });
        Self {
            pod,
            account,
            webhook: json!({
                "kind": "MutatingWebhookConfiguration",
                "metadata": { "name": "azure-wi-webhook" },
                "webhooks": [{
                    "name": "mutation.azure-workload-identity.io",
                    "objectSelector": selector,
                    "namespaceSelector": { "matchExpressions": [
                        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] },
                    ] },
                    "clientConfig": { "caBundle": bundle(2020, 4000) },
                }],
            }),
            namespace: json!({ "kind": "Namespace", "metadata": { "name": "shop", "labels": {} } }),
            others: Vec::new(),
        }
    }

    fn checks(&self) -> Vec<Check> {
        let mut items = self.others.clone();
        items.extend([&self.pod, &self.account, &self.webhook, &self.namespace].map(Value::clone));
        let objects = Objects::new(vec![json!({ "kind": "List", "items": items })]);
        workload::checks(&objects, &self.pod, now())
    }
}

/// The only check that does not hold, by name and evidence.
fn failing(cluster: &Place) -> (String, String) {
    let checks = cluster.checks();
    let failing: Vec<_> = checks.iter().filter(|check| check.is_failing()).collect();
    assert_eq!(failing.len(), 1, "{failing:#?}");
    (failing[0].name.to_owned(), failing[0].evidence.clone())
}

#[test]
fn of_a_healthy_pod_every_check_holds() {
    let checks = Place::healthy().checks();
    assert!(checks.iter().all(|check| check.holds == Some(true) && check.fix.is_none()), "{checks:#?}");
    let names: Vec<_> = checks.iter().map(|check| check.name).collect();
    let first = ["label", "service account", "client id", "webhook", "pod security"];
    let then = ["token volume", "audience", "variables", "sidecar", "sidecar runs"];
    assert_eq!(names, [first, then].concat());
}

#[test]
fn a_label_of_another_value_is_shown() {
    let mut cluster = Place::healthy();
    cluster.pod["metadata"]["labels"]["azure.workload.identity/use"] = json!("yes");
    assert_eq!(failing(&cluster), ("label".to_owned(), "azure.workload.identity/use: \"yes\"".to_owned()));
}

#[test]
fn a_service_account_that_is_missing_is_named() {
    let mut cluster = Place::healthy();
    cluster.account["metadata"]["name"] = json!("other");
    let wanted = "there is no service account shop/cart".to_owned();
    assert_eq!(failing(&cluster), ("service account".to_owned(), wanted));
}

#[test]
fn a_client_id_that_is_missing_or_no_guid_is_told() {
    let mut cluster = Place::healthy();
    cluster.account["metadata"]["annotations"]["azure.workload.identity/client-id"] = json!("cart");
    assert!(failing(&cluster).1.ends_with("is no GUID"));
    cluster.account["metadata"]["annotations"] = json!({});
    assert!(failing(&cluster).1.contains("has no annotation"));
}

#[test]
fn a_webhook_that_is_missing_or_has_no_bundle_is_told() {
    let mut cluster = Place::healthy();
    cluster.webhook["webhooks"][0]["clientConfig"]["caBundle"] = json!("");
    assert!(failing(&cluster).1.ends_with("there is no caBundle"));
    cluster.webhook["webhooks"] = json!([]);
    assert!(failing(&cluster).1.starts_with("no MutatingWebhookConfiguration"));
}

#[test]
fn a_pod_that_the_webhook_has_not_seen_lacks_the_volume() {
    let mut cluster = Place::healthy();
    cluster.pod["spec"]["volumes"] = json!([]);
    assert_eq!(failing(&cluster).0, "token volume");
}

#[test]
fn what_a_container_lacks_is_named() {
    let mut cluster = Place::healthy();
    cluster.pod["spec"]["containers"][0]["env"][0]["name"] = json!("OTHER");
    cluster.pod["spec"]["containers"][0]["volumeMounts"] = json!([]);
    let wanted = "container app lacks AZURE_CLIENT_ID, /var/run/secrets/azure/wi".to_owned();
    assert_eq!(failing(&cluster), ("variables".to_owned(), wanted));
}

#[test]
fn a_sidecar_before_its_redirect_is_out_of_order() {
    let mut cluster = Place::healthy();
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().swap(0, 1);
    assert_eq!(failing(&cluster).1, "azwi-proxy-init stands behind azwi-proxy");
}

#[test]
fn a_sidecar_or_redirect_that_is_missing_is_named() {
    let mut cluster = Place::healthy();
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    assert_eq!(failing(&cluster).1, "there is no init container azwi-proxy-init");
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    assert_eq!(failing(&cluster).1, "there is no container azwi-proxy");
}

#[test]
fn a_namespace_that_forbids_net_admin_is_told() {
    let mut cluster = Place::healthy();
    cluster.namespace["metadata"]["labels"] = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    assert_eq!(failing(&cluster).1, "namespace shop enforces restricted, which forbids NET_ADMIN");
}

#[test]
fn of_a_deployment_only_what_its_template_tells_is_checked() {
    let cluster = Place::healthy();
    let template = json!({ "metadata": cluster.pod["metadata"], "spec": { "serviceAccountName": "cart" } });
    let metadata = json!({ "name": "cart", "namespace": "shop" });
    let deployment = json!({ "kind": "Deployment", "metadata": metadata, "spec": { "template": template } });
    let objects = Objects::new(vec![cluster.account, cluster.webhook, deployment.clone()]);
    let names: Vec<_> = workload::checks(&objects, &deployment, now()).iter().map(|check| check.name).collect();
    assert_eq!(names, ["label", "service account", "client id", "webhook"]);
}

#[test]
fn a_bundle_that_has_expired_or_is_no_certificate_is_told() {
    let mut cluster = Place::healthy();
    cluster.webhook["webhooks"][0]["clientConfig"]["caBundle"] = bundle(2019, 2020);
    assert!(failing(&cluster).1.contains("caBundle has expired, Jan  1 00:00:00 2020"), "{}", failing(&cluster).1);
    cluster.webhook["webhooks"][0]["clientConfig"]["caBundle"] = bundle(3000, 4000);
    assert!(failing(&cluster).1.contains("caBundle is valid from Jan  1 00:00:00 3000"), "{}", failing(&cluster).1);
    cluster.webhook["webhooks"][0]["clientConfig"]["caBundle"] = json!("LS0t");
    assert!(failing(&cluster).1.ends_with("caBundle holds no certificate"));
}

#[test]
fn a_namespace_that_the_webhook_leaves_out_is_told() {
    let mut cluster = Place::healthy();
    cluster.namespace["metadata"]["labels"] = json!({ "kubernetes.io/metadata.name": "kube-system" });
    assert!(failing(&cluster).1.contains("its namespaceSelector leaves out namespace shop"));
}

#[test]
fn an_audience_of_another_cloud_is_told_with_the_right_one() {
    let mut cluster = Place::healthy();
    let volumes = cluster.pod["spec"]["volumes"].as_array_mut().unwrap();
    let volume = volumes.iter_mut().find(|volume| volume["projected"].is_object()).unwrap();
    volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] = json!("api://AzureADTokenExchangeChina");
    assert_eq!(failing(&cluster).0, "audience");
}

#[test]
fn without_the_redirect_no_init_container_is_missed_and_nothing_forbids_it() {
    let mut cluster = Place::healthy();
    cluster.pod["metadata"]["annotations"]["azure.workload.identity/proxy-redirect"] = json!("none");
    cluster.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    cluster.namespace["metadata"]["labels"] = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    assert!(cluster.checks().iter().all(|check| !check.is_failing()), "{:#?}", cluster.checks());
}

fn constraint(parameters: &Value, matching: &Value) -> Value {
    json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sPSPCapabilities",
        "metadata": { "name": "capabilities" }, "spec": { "match": matching, "parameters": parameters },
    })
}

#[test]
fn a_constraint_of_gatekeeper_that_forbids_net_admin_is_told() {
    let mut cluster = Place::healthy();
    cluster.others = vec![constraint(&json!({ "allowedCapabilities": ["CHOWN"] }), &json!({}))];
    let wanted = "K8sPSPCapabilities capabilities does not allow NET_ADMIN".to_owned();
    assert_eq!(failing(&cluster), ("gatekeeper".to_owned(), wanted));
}

#[test]
fn a_constraint_that_allows_it_or_is_about_others_holds() {
    let mut cluster = Place::healthy();
    for (parameters, matching) in [
        (json!({ "allowedCapabilities": ["NET_ADMIN"] }), json!({})),
        (json!({ "allowedCapabilities": [] }), json!({ "excludedNamespaces": ["shop"] })),
        (json!({ "allowedCapabilities": [] }), json!({ "namespaces": ["elsewhere"] })),
    ] {
        cluster.others = vec![constraint(&parameters, &matching)];
        let check = cluster.checks().into_iter().find(|check| check.name == "gatekeeper").unwrap();
        assert_eq!(check.holds, Some(true));
    }
}

#[test]
fn an_init_container_that_failed_is_told_with_its_last_words() {
    let mut cluster = Place::healthy();
    let ended = json!({ "exitCode": 71, "reason": "Error", "message": "nf_tables: Operation not permitted" });
    cluster.pod["status"]["initContainerStatuses"][0]["state"] = json!({ "terminated": ended });
    let wanted = "azwi-proxy-init: ended with exit code 71, Error: nf_tables: Operation not permitted".to_owned();
    assert_eq!(failing(&cluster), ("sidecar runs".to_owned(), wanted));
}

#[test]
fn a_sidecar_that_is_not_ready_is_told_with_kubelets_last_warning_of_it() {
    let mut cluster = Place::healthy();
    cluster.pod["status"]["initContainerStatuses"][1]["ready"] = json!(false);
    cluster.pod["status"]["initContainerStatuses"][1]["restartCount"] = json!(3);
    let event = |time: &str, message: &str| {
        let involved = json!({
            "kind": "Pod", "namespace": "shop", "name": cluster.pod["metadata"]["name"],
            "fieldPath": "spec.initContainers{azwi-proxy}",
        });
        json!({
            "kind": "Event", "type": "Warning", "metadata": { "namespace": "shop" }, "reason": "FailedPostStartHook",
            "lastTimestamp": time, "message": message, "involvedObject": involved,
        })
    };
    cluster.others = vec![event("2026-01-02T00:00:00Z", "no tenant"), event("2026-01-01T00:00:00Z", "earlier")];
    assert_eq!(failing(&cluster).1, "not ready, 3 restarts: no tenant");
}

#[test]
fn a_workload_whose_pods_are_refused_is_told_why() {
    let owner = json!([{ "kind": "Deployment", "name": "cart", "controller": true }]);
    let deployment =
        json!({ "kind": "Deployment", "metadata": { "name": "cart" }, "spec": { "template": { "spec": {} } } });
    let message = "pods \"cart-1-\" is forbidden: violates PodSecurity \"baseline:latest\": non-default capabilities";
    let involved = json!({ "kind": "ReplicaSet", "name": "cart-1" });
    let event = json!({
        "kind": "Event", "type": "Warning", "reason": "FailedCreate", "message": message, "involvedObject": involved,
        "metadata": {},
    });
    let replicas = json!({
        "kind": "ReplicaSet", "metadata": { "name": "cart-1", "ownerReferences": owner },
        "spec": { "template": { "spec": {} } },
    });
    let objects = Objects::new(vec![deployment.clone(), replicas, event]);
    let workload = objects.of_kind("Deployment").next().unwrap();
    let checks = workload::checks(&objects, workload, now());
    let check = checks.iter().find(|check| check.name == "pods are created").unwrap();
    assert_eq!((check.holds, check.evidence.as_str()), (Some(false), message));
    assert!(check.fix.as_ref().unwrap().contains("proxy-redirect: \"none\""));
}

#[test]
fn what_could_not_be_read_is_not_said_to_be_missing() {
    let mut objects = Objects::new(vec![Place::healthy().pod]);
    for kind in ["ServiceAccount", "MutatingWebhookConfiguration", "Namespace"] {
        objects.lack(kind, format!("{kind}: forbidden"));
    }
    let pod = objects.of_kind("Pod").next().unwrap();
    let checks = workload::checks(&objects, pod, now());
    assert!(checks.iter().all(|check| !check.is_failing()), "{checks:#?}");
    let unknown: Vec<_> = checks.iter().filter(|check| check.holds.is_none()).map(|check| check.name).collect();
    assert_eq!(unknown, ["service account", "webhook", "pod security"]);
}
