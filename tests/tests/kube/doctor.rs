//! `azwi doctor` with a real API server: a chain that holds, and one test for each thing in a cluster that breaks it.

use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::cluster::{Cluster, eventually};
use azwi_tests::emulator::{Emulator, OPERATOR_SECRET, clients};
use azwi_tests::tls_server::{Authority, TlsServer};
use azwi_tests::webhook::{Installation, TENANT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::{put_certificate, service};
use crate::chain;
use crate::workload::{CLIENT_ID, Place, account};

const CONFIGURATION: &str = "mutatingwebhookconfiguration/azure-wi-webhook-mutating-webhook-configuration";
const ERROR: &str = r#"{"level":"ERROR","message":"token refused","aadsts":700213}"#;

/// A cluster, an Entra ID that knows it, and what doctor says of a pod there.
struct Clinic {
    place: Place,
    entra: Emulator<'static>,
}

/// What doctor said.
struct Report {
    checks: Vec<Value>,
    exit_code: Option<i32>,
}

impl Clinic {
    fn new() -> Result<Self> {
        Self::of(Installation::shared()?)
    }

    fn of(installation: Arc<Installation>) -> Result<Self> {
        let place = Place::of(installation)?;
        let entra = chain::entra(&place, &format!("system:serviceaccount:{}:app", place.namespace))?;
        Ok(Self { place, entra })
    }

    fn cluster(&self) -> &Cluster {
        &self.place.installation.cluster
    }

    /// A pod with a sidecar, which asks this Entra.
    fn pod(&self) -> Value {
        let mut pod = self.place.pod(&json!({ "inject-proxy-sidecar": "true" }));
        pod["spec"]["containers"][0]["env"] =
            json!([{ "name": "AZURE_AUTHORITY_HOST", "value": self.entra.authority() }]);
        pod
    }

    /// What makes such pods, but for its controller, which is not here.
    fn workload(&self, pod: &Value) -> Result<()> {
        let labels = json!({ "azure.workload.identity/use": "true", "app": "web" });
        let metadata = json!({ "labels": labels, "annotations": pod["metadata"]["annotations"] });
        self.cluster().create(&json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "name": "web", "namespace": self.place.namespace },
            "spec": {
                "serviceName": "web",
                "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": metadata, "spec": pod["spec"] },
            },
        }))?;
        Ok(())
    }

    /// The same, running as far as kubelet's report goes.
    fn running(&self, pod: &Value) -> Result<()> {
        self.cluster().create(pod)?;
        self.report(&json!({ "name": "azwi-proxy", "ready": true, "started": true, "state": { "running": {} } }))
    }

    /// Tells of the sidecar what a kubelet would.
    fn report(&self, sidecar: &Value) -> Result<()> {
        let mut sidecar = sidecar.clone();
        for (name, value) in [("image", json!("x")), ("imageID", json!("x")), ("restartCount", json!(0))] {
            sidecar[name] = value;
        }
        let status = json!({ "status": { "initContainerStatuses": [sidecar] } }).to_string();
        let arguments = ["patch", "pod/web", "--subresource=status", "--type=merge", "--patch", &status];
        self.cluster().kubectl(&[&arguments[..], &["--namespace", &self.place.namespace]].concat()).map(drop)
    }

    /// In the namespace.
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster().kubectl(&[arguments, &["--namespace", &self.place.namespace]].concat())
    }

    fn run(&self, arguments: &[&str], authorities: &[String]) -> Result<Output> {
        let file = self.entra.dir().join("trusted.pem");
        fs::write(&file, authorities.concat())?;
        let mut command = Command::new(binary("azwi")?);
        command.env_clear().env("SSL_CERT_FILE", self.entra.ca_file());
        let url = self.entra.authority().trim_end_matches('/');
        for name in ["AZURE_AUTHORITY_HOST", "AZURE_GRAPH_ENDPOINT", "AZURE_RESOURCE_MANAGER_ENDPOINT"] {
            command.env(name, url);
        }
        command.env("AZURE_CLIENT_SECRET", OPERATOR_SECRET).arg("doctor").args(arguments);
        command.arg("--kubeconfig").arg(self.cluster().kubeconfig()).arg("--ca-file").arg(file);
        Ok(command.args(["--namespace", &self.place.namespace]).output()?)
    }

    fn doctor(&self, arguments: &[&str]) -> Result<Report> {
        let authorities = [fs::read_to_string(self.cluster().ca_file())?, fs::read_to_string(self.entra.ca_file())?];
        let output = self.run(&[arguments, &["--output=json"]].concat(), &authorities)?;
        let checks = serde_json::from_slice(&output.stdout);
        let checks = checks.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(Report { checks, exit_code: output.status.code() })
    }
}

impl Report {
    fn names(&self, holds: &Value) -> Vec<&str> {
        let are = self.checks.iter().filter(|check| check["holds"] == *holds);
        are.filter_map(|check| check["name"].as_str()).collect()
    }

    fn failing(&self) -> Vec<&str> {
        self.names(&json!(false))
    }

    fn evidence(&self, name: &str) -> &str {
        let check = self.checks.iter().find(|check| check["name"] == name);
        check.and_then(|check| check["evidence"].as_str()).unwrap_or_default()
    }
}

#[test]
fn of_a_pod_that_gets_tokens_every_link_holds() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.running(&clinic.pod())?;
    let report = clinic.doctor(&["pod/web"])?;
    let pod = ["label", "service account", "client id", "webhook", "pod security"];
    // The audience is that of a cloud, and this Entra's is none that anybody knows.
    let mutated = ["token volume", "variables", "variables", "sidecar", "sidecar runs", "admission"];
    let federation = ["issuer", "signing key", "Entra's answer"];
    assert_eq!(report.names(&json!(true)), [&pod[..], &mutated, &federation].concat(), "{:#?}", report.checks);
    assert_eq!(report.names(&json!(true)).len(), report.checks.len());
    assert_eq!(report.exit_code, Some(0));
    Ok(())
}

#[test]
fn no_token_is_printed() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.running(&clinic.pod())?;
    let report = clinic.doctor(&["pod/web"])?;
    // What a JWT begins with.
    assert!(!json!(report.checks).to_string().contains("eyJ"), "{:#?}", report.checks);
    Ok(())
}

#[test]
fn a_pod_without_the_label_is_told_so() -> Result<()> {
    let clinic = Clinic::new()?;
    let mut pod = clinic.pod();
    pod["metadata"]["labels"] = json!({ "app": "web" });
    clinic.cluster().create(&pod)?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["label", "token volume", "variables", "variables", "sidecar", "admission"]);
    assert_eq!(report.exit_code, Some(1));
    Ok(())
}

#[test]
fn a_service_account_that_is_gone_is_told() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.running(&clinic.pod())?;
    clinic.kubectl(&["delete", "serviceaccount/app"])?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing()[0], "service account");
    Ok(())
}

#[test]
fn a_service_account_without_a_client_id_is_told() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.cluster().create(&account(&clinic.place.namespace, "plain", &json!({})))?;
    let mut pod = clinic.pod();
    pod["spec"]["serviceAccountName"] = json!("plain");
    pod["metadata"]["annotations"] = json!({});
    clinic.cluster().create(&pod)?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing()[0], "client id", "{:#?}", report.checks);
    Ok(())
}

#[test]
fn a_webhook_that_is_not_registered_is_told() -> Result<()> {
    let clinic = Clinic::of(Arc::new(Installation::new(0, "replicaCount=0")?))?;
    clinic.cluster().kubectl(&["delete", CONFIGURATION])?;
    // Until the API server knows that it is gone, nobody can create a pod.
    eventually(|| Ok(clinic.cluster().try_to_create(&clinic.pod())?.is_good))?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing()[0], "webhook");
    assert!(report.evidence("admission").ends_with("but no webhook has set it up (dry run)"));
    Ok(())
}

#[test]
fn a_webhook_that_does_not_answer_is_told_in_the_api_servers_words() -> Result<()> {
    let clinic = Clinic::of(Arc::new(Installation::new(1, "")?))?;
    clinic.running(&clinic.pod())?;
    clinic.place.installation.replicas[0].kill()?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["admission"], "{:#?}", report.checks);
    assert!(report.evidence("admission").contains("failed calling webhook"), "{}", report.evidence("admission"));
    Ok(())
}

#[test]
fn a_webhook_that_is_passed_over_because_it_is_down_is_told() -> Result<()> {
    let clinic = Clinic::of(Arc::new(Installation::new(1, "failurePolicy=Ignore")?))?;
    clinic.running(&clinic.pod())?;
    clinic.place.installation.replicas[0].kill()?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["admission"], "{:#?}", report.checks);
    assert!(report.evidence("admission").ends_with("but no webhook has set it up (dry run)"));
    Ok(())
}

#[test]
fn a_job_that_has_ended_well_needs_no_sidecar_any_more() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.cluster().create(&clinic.pod())?;
    let status = json!({ "status": { "phase": "Succeeded" } }).to_string();
    clinic.kubectl(&["patch", "pod/web", "--subresource=status", "--type=merge", "--patch", &status])?;
    clinic.report(&json!({ "name": "azwi-proxy", "ready": false, "state": { "terminated": { "exitCode": 0 } } }))?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), [""; 0], "{:#?}", report.checks);
    Ok(())
}

#[test]
fn a_namespace_that_is_not_there_is_told() -> Result<()> {
    let clinic = Clinic::new()?;
    let mut command = Command::new(binary("azwi")?);
    command.env_clear().env("KUBECONFIG", clinic.cluster().kubeconfig()).args(["doctor", "-n", "nowhere"]);
    assert_eq!(String::from_utf8(command.output()?.stderr)?, "azwi: there is no namespace nowhere\n");
    Ok(())
}

#[test]
fn a_webhook_whose_bundle_is_of_another_authority_is_told_in_the_api_servers_words() -> Result<()> {
    let [believed, used] = [Authority::new("believed")?, Authority::new("used")?];
    let values = format!("disableCertRotation=true,caBundle={}", STANDARD.encode(believed.pem()));
    let mut installation = Installation::new(0, &values)?;
    put_certificate(&installation.cluster, &used, &[&service()])?;
    installation.add_replica()?;
    let clinic = Clinic::of(Arc::new(installation))?;
    clinic.workload(&clinic.pod())?;
    let report = clinic.doctor(&["statefulset/web"])?;
    assert_eq!(report.failing(), ["admission"], "{:#?}", report.checks);
    assert!(report.evidence("admission").contains("x509: certificate signed by unknown authority"));
    Ok(())
}

#[test]
fn a_namespace_whose_pod_security_forbids_the_redirect_is_told() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.running(&clinic.pod())?;
    clinic.kubectl(&["label", "namespace", &clinic.place.namespace, "pod-security.kubernetes.io/enforce=baseline"])?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["pod security", "admission"]);
    assert!(report.evidence("admission").contains("violates PodSecurity"), "{}", report.evidence("admission"));
    Ok(())
}

/// Gatekeeper's own, as far as its constraint of capabilities is concerned.
fn install_gatekeeper(cluster: &Cluster) -> Result<()> {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version =
        json!({ "name": "v1beta1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } });
    cluster.create(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "k8spspcapabilities.constraints.gatekeeper.sh" },
        "spec": {
            "group": "constraints.gatekeeper.sh", "scope": "Cluster", "versions": [version],
            "names": { "kind": "K8sPSPCapabilities", "plural": "k8spspcapabilities", "singular": "k8spspcapabilities" },
        },
    }))?;
    eventually(|| Ok(cluster.ask(&["get", "k8spspcapabilities"], "")?.is_good))
}

#[test]
fn a_constraint_of_gatekeeper_that_forbids_the_redirect_is_told() -> Result<()> {
    // For all of a cluster: others that share it would see it.
    let clinic = Clinic::of(Arc::new(Installation::new(1, "")?))?;
    clinic.running(&clinic.pod())?;
    install_gatekeeper(clinic.cluster())?;
    clinic.cluster().create(&json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sPSPCapabilities",
        "metadata": { "name": "few-capabilities" },
        "spec": {
            "match": { "namespaces": [clinic.place.namespace] },
            "parameters": { "allowedCapabilities": ["CHOWN"] },
        },
    }))?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["gatekeeper"], "{:#?}", report.checks);
    Ok(())
}

#[test]
fn a_workload_whose_pods_are_refused_is_told_by_its_controllers_event() -> Result<()> {
    let clinic = Clinic::new()?;
    let namespace = &clinic.place.namespace;
    clinic.kubectl(&["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline"])?;
    let refusal = clinic.cluster().try_to_create(&clinic.pod())?.stderr;
    clinic.workload(&clinic.pod())?;
    clinic.cluster().create(&json!({
        "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreate", "message": refusal.trim(),
        "metadata": { "name": "web.1", "namespace": namespace },
        "involvedObject": { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "namespace": namespace },
    }))?;
    let report = clinic.doctor(&["statefulset/web"])?;
    assert_eq!(report.failing(), ["pod security", "pods are created", "admission"]);
    assert!(report.evidence("pods are created").contains("violates PodSecurity"));
    Ok(())
}

#[test]
fn a_sidecar_that_is_not_ready_is_told_with_kubelets_words() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.cluster().create(&clinic.pod())?;
    let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting" } });
    let ended = json!({ "terminated": { "exitCode": 64, "reason": "Error", "message": "AZURE_TENANT_ID is empty" } });
    let status =
        json!({ "name": "azwi-proxy", "ready": false, "started": false, "state": waiting, "lastState": ended });
    clinic.report(&status)?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["sidecar runs"], "{:#?}", report.checks);
    let wanted = "waits, CrashLoopBackOff: back-off 5m0s restarting; before that ended with exit code 64, Error: \
                  AZURE_TENANT_ID is empty, 0 restarts";
    assert_eq!(report.evidence("sidecar runs"), wanted);
    Ok(())
}

/// A node whose kubelet shows `log`.
fn node(clinic: &Clinic, log: &str) -> Result<TlsServer> {
    let (log, authority) = (log.to_owned(), Authority::new("kubelet")?);
    let kubelet = TlsServer::start_with(authority.certify(&["127.0.0.1"])?, move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{log}", log.len())
    })?;
    let name = format!("node-of-{}", clinic.place.namespace);
    clinic.cluster().create(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } }))?;
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet.port() } },
    } });
    let object = format!("node/{name}");
    clinic.kubectl(&["patch", &object, "--subresource=status", "--type=merge", "--patch", &status.to_string()])?;
    Ok(kubelet)
}

#[test]
fn what_went_wrong_in_the_sidecar_lately_is_told_from_its_log() -> Result<()> {
    let clinic = Clinic::new()?;
    let log = format!("{{\"level\":\"INFO\",\"message\":\"listening\"}}\n{ERROR}\n");
    let _kubelet = node(&clinic, &log)?;
    let mut pod = clinic.pod();
    pod["spec"]["nodeName"] = format!("node-of-{}", clinic.place.namespace).into();
    clinic.running(&pod)?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["sidecar's log"], "{:#?}", report.checks);
    assert_eq!(report.evidence("sidecar's log"), ERROR);
    Ok(())
}

#[test]
fn an_issuer_that_cannot_be_believed_is_told() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.running(&clinic.pod())?;
    let output = clinic.run(&["pod/web"], &[fs::read_to_string(clinic.entra.ca_file())?])?;
    let said = String::from_utf8(output.stdout)?;
    let line = said.lines().find(|line| line.starts_with("✗ serviceaccount/app: issuer: "));
    assert!(line.is_some_and(|line| line.contains("certificate")), "{said}");
    Ok(())
}

#[test]
fn an_issuer_that_publishes_other_keys_is_told() -> Result<()> {
    let authority = Authority::new("elsewhere")?;
    let keys = json!({ "keys": [{ "kid": "of-another-cluster" }] }).to_string();
    let elsewhere = TlsServer::start_with(authority.certify(&["127.0.0.1"])?, move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{keys}", keys.len())
    })?;
    let flag = format!("--service-account-jwks-uri=https://127.0.0.1:{}/keys", elsewhere.port());
    let cluster = Cluster::start_with(&[&flag])?;
    let clinic = Clinic::of(Arc::new(Installation::on(cluster, 1, "")?))?;
    clinic.running(&clinic.pod())?;
    let authorities = [
        fs::read_to_string(clinic.cluster().ca_file())?,
        fs::read_to_string(clinic.entra.ca_file())?,
        authority.pem().to_owned(),
    ];
    let said = String::from_utf8(clinic.run(&["pod/web"], &authorities)?.stdout)?;
    assert!(said.contains("the issuer publishes of-another-cluster\n"), "{said}");
    Ok(())
}

#[test]
fn entras_refusal_is_told_with_its_cause_and_fix() -> Result<()> {
    let place = Place::new()?;
    let entra = chain::entra(&place, &format!("system:serviceaccount:{}:other", place.namespace))?;
    let clinic = Clinic { place, entra };
    clinic.running(&clinic.pod())?;
    let report = clinic.doctor(&["pod/web"])?;
    assert_eq!(report.failing(), ["Entra's answer"], "{:#?}", report.checks);
    let evidence = report.evidence("Entra's answer");
    assert!(evidence.starts_with("no federated credential has this subject: AADSTS700213: "), "{evidence}");
    Ok(())
}

/// An Entra ID with somebody who may ask Graph, where the identity trusts another cluster.
fn with_directory(client_id: &str) -> Result<Clinic> {
    let place = Place::new()?;
    let annotation = format!("azure.workload.identity/client-id={client_id}");
    let arguments = ["annotate", "--overwrite", "serviceaccount/app", &annotation, "--namespace", &place.namespace];
    place.installation.cluster.kubectl(&arguments)?;
    let ca = place.installation.cluster.ca_file();
    let entra = Emulator::start_with(None, &["--issuer-ca", ca.to_str().context("not UTF-8")?])?;
    let clinic = Clinic { place, entra };
    eventually(|| {
        let pod = clinic.place.created(&json!({}));
        clinic.kubectl(&["delete", "pod/web", "--wait=false", "--grace-period=0", "--force"])?;
        Ok(pod?.to_string().contains(client_id))
    })?;
    clinic.running(&clinic.pod())?;
    Ok(clinic)
}

const AS_OPERATOR: [&str; 4] = ["--azure", "--auth-method=client_secret", "--azure-tenant-id", TENANT];

#[test]
fn a_federated_credential_of_azure_that_differs_is_told_by_the_character() -> Result<()> {
    let clinic = with_directory(clients::DEMO)?;
    let report = clinic.doctor(&[&["pod/web", "--client-id", clients::OPERATOR], &AS_OPERATOR[..]].concat())?;
    assert_eq!(report.failing(), ["federated credential", "Entra's answer"], "{:#?}", report.checks);
    let evidence = report.evidence("federated credential");
    assert!(evidence.contains(" differs from \"https://127.0.0.1:"), "{evidence}");
    Ok(())
}

#[test]
fn a_client_id_that_the_tenant_does_not_have_is_told() -> Result<()> {
    let clinic = with_directory("99999999-9999-4999-8999-999999999999")?;
    let report = clinic.doctor(&[&["pod/web", "--client-id", clients::OPERATOR], &AS_OPERATOR[..]].concat())?;
    assert_eq!(report.failing(), ["federated credential", "Entra's answer"], "{:#?}", report.checks);
    assert!(report.evidence("Entra's answer").contains("AADSTS700016"), "{}", report.evidence("Entra's answer"));
    Ok(())
}

#[test]
fn a_namespace_where_nothing_asks_for_an_identity_is_told_so() -> Result<()> {
    let clinic = Clinic::new()?;
    let output = clinic.run(&[], &[])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.starts_with("azwi: nothing to look at: nothing in namespace test-"));
    Ok(())
}

#[test]
fn somebody_who_may_read_little_is_told_what_was_not_seen() -> Result<()> {
    let clinic = Clinic::new()?;
    clinic.running(&clinic.pod())?;
    let namespace = &clinic.place.namespace;
    clinic.kubectl(&["create", "serviceaccount", "reader"])?;
    clinic.kubectl(&["create", "role", "reader", "--verb=get,list", "--resource=pods"])?;
    let reader = format!("--serviceaccount={namespace}:reader");
    clinic.kubectl(&["create", "rolebinding", "reader", "--role=reader", &reader])?;
    let kubeconfig = clinic.cluster().kubeconfig_of(namespace, "reader")?;
    let mut command = Command::new(binary("azwi")?);
    command.env_clear().env("KUBECONFIG", kubeconfig).args(["doctor", "pod/web", "--namespace", namespace]);
    let said = String::from_utf8(command.output()?.stdout)?;
    for name in ["service account", "webhook", "pod security", "admission", "token"] {
        assert!(
            said.lines().any(|line| line.starts_with('?') && line.contains(&format!(": {name}: "))),
            "{name}: {said}"
        );
    }
    assert!(!said.contains('✗'), "{said}");
    Ok(())
}

#[test]
fn the_token_that_entra_gives_a_service_account_is_shown_by_its_claims() -> Result<()> {
    let clinic = Clinic::new()?;
    let mut command = Command::new(binary("azwi")?);
    command.env_clear().env("KUBECONFIG", clinic.cluster().kubeconfig());
    command.args(["token", "--service-account=app", "--namespace", &clinic.place.namespace, "--tenant-id", TENANT]);
    let output = command
        .args(["--authority-host", clinic.entra.authority(), "--ca-file"])
        .arg(clinic.entra.ca_file())
        .output()?;
    let claims: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    assert_eq!(claims["appid"], CLIENT_ID);
    Ok(())
}
