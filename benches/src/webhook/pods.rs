//! Reviews of pods, as an API server sends them for a Deployment's.

use azwi_tests::api_server::{ACCOUNTS_NAMESPACE as NAMESPACE, account_name};
use azwi_tests::chart::NAMESPACE as WEBHOOK;
use serde_json::{Value, json};

/// Pods of as many service accounts are reviewed in turn.
const PODS: usize = 100;

/// A kind of pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub containers: usize,
    /// Environment variables of each.
    pub variables: usize,
    pub with_sidecar: bool,
}

impl Kind {
    /// Requests with reviews of such pods, all equally long.
    pub(super) fn requests(self) -> Vec<Vec<u8>> {
        (0..PODS).map(|number| request(&self.review(number))).collect()
    }

    fn review(self, number: usize) -> String {
        let (uid, pod) = (format!("b1f1c2d3-5a1f-4a43-9a5c-{number:012}"), self.pod(number));
        // In the order of the API server's fields.
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{uid}",{ABOUT},"object":{pod},"oldObject":null,"dryRun":false,"options":{{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}}}}"#
        )
    }

    fn pod(self, number: usize) -> Value {
        let containers: Vec<Value> = (0..self.containers).map(|index| self.container(index)).collect();
        let fields: serde_json::Map<String, Value> = (0..self.containers).map(|index| self.fields(index)).collect();
        let mut annotations = json!({ "prometheus.io/scrape": "true" });
        if let (true, Some(annotations)) = (self.with_sidecar, annotations.as_object_mut()) {
            annotations.insert("azure.workload.identity/inject-proxy-sidecar".to_owned(), "true".into());
        }
        json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "generateName": "cart-6d4cf56db6-", "namespace": NAMESPACE, "creationTimestamp": null,
                "labels": {
                    "app.kubernetes.io/name": "cart", "azure.workload.identity/use": "true",
                    "pod-template-hash": "6d4cf56db6",
                },
                "annotations": annotations,
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-6d4cf56db6",
                    "uid": "8f0b6f0a-5a1f-4a43-9a5c-0b8f5d3f5a55", "controller": true, "blockOwnerDeletion": true,
                }],
                "managedFields": [{
                    "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                    "time": "2026-11-22T23:00:00Z", "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {
                            "f:generateName": {}, "f:ownerReferences": { ".": {} },
                            "f:labels": { ".": {}, "f:app.kubernetes.io/name": {}, "f:pod-template-hash": {} },
                        },
                        "f:spec": {
                            "f:containers": fields, "f:dnsPolicy": {}, "f:enableServiceLinks": {},
                            "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {},
                            "f:serviceAccountName": {}, "f:terminationGracePeriodSeconds": {},
                        },
                    },
                }],
            },
            "spec": {
                "volumes": [{ "name": "kube-api-access-x7x7x", "projected": { "defaultMode": 420, "sources": [
                    { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                    { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                    { "downwardAPI": { "items": [{
                        "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                    }] } },
                ] } }],
                "containers": containers, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst", "serviceAccountName": account_name(number),
                "serviceAccount": account_name(number), "securityContext": {}, "schedulerName": "default-scheduler",
                "tolerations": [
                    { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                    { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                ],
                "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
            },
            "status": {},
        })
    }

    fn container(self, index: usize) -> Value {
        let variable =
            |n: usize| json!({ "name": format!("SETTING_{n}"), "value": format!("https://cart-{n}.vault.azure.net/") });
        let probe = json!({
            "httpGet": { "path": "/healthz", "port": 8080, "scheme": "HTTP" }, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        });
        json!({
            "name": format!("app-{index}"), "image": "registry.example/cart:1.0",
            "env": (0..self.variables).map(variable).collect::<Vec<_>>(),
            "ports": [{ "containerPort": 8080, "protocol": "TCP" }],
            "resources": { "limits": { "memory": "256Mi" }, "requests": { "cpu": "100m", "memory": "128Mi" } },
            "volumeMounts": [{
                "name": "kube-api-access-x7x7x", "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            }],
            "livenessProbe": probe, "readinessProbe": probe, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
        })
    }

    /// Who manages what of a container.
    fn fields(self, index: usize) -> (String, Value) {
        let variable =
            |n: usize| (format!("k:{{\"name\":\"SETTING_{n}\"}}"), json!({ ".": {}, "f:name": {}, "f:value": {} }));
        let probe = json!({
            ".": {}, "f:failureThreshold": {}, "f:httpGet": { ".": {}, "f:path": {}, "f:port": {}, "f:scheme": {} },
            "f:periodSeconds": {}, "f:successThreshold": {}, "f:timeoutSeconds": {},
        });
        let fields = json!({
            ".": {}, "f:env": (0..self.variables).map(variable).collect::<serde_json::Map<_, _>>(), "f:image": {},
            "f:imagePullPolicy": {}, "f:livenessProbe": probe, "f:name": {}, "f:readinessProbe": probe,
            "f:resources": { ".": {}, "f:limits": { ".": {}, "f:memory": {} } }, "f:terminationMessagePath": {},
            "f:terminationMessagePolicy": {},
        });
        (format!("k:{{\"name\":\"app-{index}\"}}"), fields)
    }
}

/// What a review says of its request.
const ABOUT: &str = r#""kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},"namespace":"shop","operation":"CREATE","userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller","uid":"c5b4f7a2-5a1f-4a43-9a5c-0b8f5d3f5a55","groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"]}"#;

/// As API servers send it.
fn request(review: &str) -> Vec<u8> {
    let head = format!(
        "POST /mutate-v1-pod?timeout=10s HTTP/1.1\r\nHost: azure-wi-webhook-webhook-service.{WEBHOOK}.svc:443\r\n\
         User-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\nAccept: application/json, */*\r\n\
         Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
        review.len()
    );
    (head + review).into_bytes()
}
