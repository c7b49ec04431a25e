//! The chart by itself: what helm says of it, and what is made of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use azwi_tests::chart::{self, directory, lint, template, values};
use serde_json::Value;

const TENANT: &str = "azureTenantID=11111111-1111-4111-8111-111111111111";

/// Turns on everything that is off, but for what excludes each other.
const EVERYTHING: &str = "\
    certManager.enabled=true,podMonitor.enabled=true,podMonitor.labels.team=a,networkPolicy.enabled=true,\
    networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus,hostNetwork=true,audience=api://mine,\
    excludedNamespaces={kube-system},imagePullSecrets[0].name=pull,podLabels.team=a,podAnnotations.team=a,\
    mutatingWebhookAnnotations.team=a,tolerations[0].operator=Exists,extraEnv[0].name=A,extraEnv[0].value=b,\
    extraVolumes[0].name=more,extraVolumes[0].emptyDir.medium=Memory,extraVolumeMounts[0].name=more,\
    extraVolumeMounts[0].mountPath=/more,customTokenEndpoint.annotationSuffix=proxy,\
    customTokenEndpoint.audience=api://proxy,customTokenEndpoint.azureKubernetesTokenProxy=https://proxy.example,\
    customTokenEndpoint.azureKubernetesSniName=proxy.example,customTokenEndpoint.azureKubernetesCAConfigMapName=ca";

/// All objects that there can be.
pub(crate) fn everything(namespace: &str) -> Result<String> {
    template(&["--namespace", namespace, "--set", TENANT, "--set", EVERYTHING])
}

#[test]
fn helm_finds_nothing_wrong_with_it() -> Result<()> {
    lint(&["--set", TENANT])?;
    lint(&["--set", TENANT, "--set", EVERYTHING]).map(drop)
}

fn is_in_step(file: &Path, wanted: &str) -> Result<()> {
    let found = fs::read_to_string(file)?;
    let difference = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "{}: {difference:?}: type `cargo xtask chart`", file.display());
    Ok(())
}

#[test]
fn the_table_of_values_is_in_step_with_the_values() -> Result<()> {
    is_in_step(&chart::readme_file(), &chart::readme()?)
}

#[test]
fn the_plain_manifest_is_in_step_with_the_chart() -> Result<()> {
    is_in_step(&chart::manifest_file(), &chart::manifest()?)
}

/// The names that a schema allows, as deep as it tells.
fn allowed(schema: &Value, prefix: &str) -> BTreeSet<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = properties.into_iter().flatten().flat_map(|(name, schema)| {
        let inner = allowed(schema, &format!("{prefix}{name}."));
        if inner.is_empty() { BTreeSet::from([format!("{prefix}{name}")]) } else { inner }
    });
    names.collect()
}

#[test]
fn the_schema_knows_every_value_and_no_other() -> Result<()> {
    let schema: Value = serde_json::from_str(&fs::read_to_string(directory().join("values.schema.json"))?)?;
    let documented: BTreeSet<String> = values()?.into_iter().map(|value| value.name).collect();
    let mut allowed = allowed(&schema, "");
    // It is a parent chart's.
    allowed.remove("global");
    assert_eq!(allowed, documented);
    Ok(())
}

#[test]
fn a_bad_value_is_refused_by_its_name() {
    for (value, name) in [
        ("replicaCount=two", "/replicaCount"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("service.targetPort=70000", "/service/targetPort"),
        ("azureEnvironment=AzureMoon", "/azureEnvironment"),
        ("azureTenantID=my tenant", "/azureTenantID"),
        ("azureTenantID=common", "/azureTenantID"),
        ("logLevel=loud", "/logLevel"),
        ("metricsAddr=8095", "/metricsAddr"),
        ("metricsBackend=statsd", "/metricsBackend"),
        ("podDisruptionBudget.minAvailable=half", "/podDisruptionBudget/minAvailable"),
        (
            "customTokenEndpoint.azureKubernetesTokenProxy=http://plain",
            "/customTokenEndpoint/azureKubernetesTokenProxy",
        ),
        // What Entra is to be asked by must be whole.
        ("customTokenEndpoint.annotationSuffix=proxy", "/customTokenEndpoint"),
        ("customTokenEndpoint.audience=api://proxy", "/customTokenEndpoint"),
        ("certManager.issuerRef.kind=ClusterIssuer", "/certManager/issuerRef"),
        ("certManager.issuerRef.nam=mine", "/certManager/issuerRef"),
        ("resources.limit.cpu=1", "/resources"),
        ("networkPolicy.webhookFrom[0].ipBlok.cidr=10.0.0.0/8", "/networkPolicy/webhookFrom/0"),
        ("nativeSidecar=maybe", "/nativeSidecar"),
        ("failurePolicy=Retry", "/failurePolicy"),
        ("timeoutSeconds=31", "/timeoutSeconds"),
        ("certManager.duration=long", "/certManager/duration"),
        ("tennantID=x", "tennantID"),
    ] {
        let refused = template(&["--set", TENANT, "--set", value]).expect_err(value).to_string();
        assert!(refused.contains(name), "{value}: {refused}");
    }
}

#[test]
fn without_a_tenant_nothing_is_rendered() {
    let refused = template(&[]).unwrap_err().to_string();
    assert!(refused.contains("azureTenantID"), "{refused}");
}

/// Else they would go on with what they had read at their start.
#[test]
fn replicas_are_replaced_where_what_they_read_at_their_start_changes() -> Result<()> {
    let checksum = |tenant: &str| -> Result<String> {
        let rendered = template(&["--set", &format!("azureTenantID={tenant}")])?;
        let line = rendered.lines().find(|line| line.contains("checksum/config: ")).context("no checksum")?;
        Ok(line.to_owned())
    };
    assert_eq!(checksum("one.example")?, checksum("one.example")?);
    assert_ne!(checksum("one.example")?, checksum("other.example")?);
    Ok(())
}

#[test]
fn who_may_ask_is_whom_the_network_policy_is_told() -> Result<()> {
    let policy = ["--set", TENANT, "--set", "networkPolicy.enabled=true"];
    let api_servers = ["--set", "networkPolicy.webhookFrom[0].ipBlock.cidr=10.1.2.3/32"];
    let rendered = template(&[&policy[..], &api_servers].concat())?;
    let from = "- port: healthz\n      from:\n        - ipBlock:\n            cidr: 10.1.2.3/32\n";
    assert!(rendered.contains(from), "{rendered}");
    assert!(!template(&policy)?.contains("from:"));
    Ok(())
}

#[test]
fn values_for_azure_workload_identitys_chart_are_understood() -> Result<()> {
    let values = "replicaCount=3,image.repository=r/w,image.release=v9,image.pullPolicy=Always,service.type=NodePort,\
        service.port=444,service.targetPort=9444,azureEnvironment=AzureUSGovernment,logLevel=debug,\
        metricsAddr=:9999,metricsBackend=prometheus,priorityClassName=high,affinity.nodeAffinity.x=y,\
        mutatingWebhookNamespaceSelector.matchLabels.team=a,podDisruptionBudget.maxUnavailable=1,\
        topologySpreadConstraints=null,revisionHistoryLimit=3,nameOverride=mine";
    let rendered = template(&["--set", TENANT, "--set", values])?;
    for wanted in [
        "replicas: 3",
        "image: r/w:v9",
        "imagePullPolicy: Always",
        "type: NodePort",
        "port: 444",
        "targetPort: 9444",
        "AZURE_ENVIRONMENT: AzureUSGovernment",
        "--log-level=debug",
        "--metrics-addr=:9999",
        "containerPort: 9999",
        "priorityClassName: high",
        "team: a",
        "maxUnavailable: 1",
        "revisionHistoryLimit: 3",
        "app: mine",
    ] {
        assert!(rendered.contains(wanted), "no {wanted} in:\n{rendered}");
    }
    assert!(!rendered.contains("minAvailable") && !rendered.contains("topologySpreadConstraints"), "{rendered}");
    Ok(())
}

#[test]
fn sidecars_have_the_images_of_the_same_release_unless_told_otherwise() -> Result<()> {
    let values = "image.release=v9,proxyImage.repository=r/p,proxyInitImage.repository=r/i,proxyInitImage.release=v8";
    let rendered = template(&["--set", TENANT, "--set", values])?;
    assert!(rendered.contains("PROXY_IMAGE: r/p:v9") && rendered.contains("PROXY_INIT_IMAGE: r/i:v8"), "{rendered}");
    Ok(())
}

#[test]
fn with_cert_manager_the_webhook_may_touch_neither_secret_nor_configuration() -> Result<()> {
    let rendered = template(&["--set", TENANT, "--set", "certManager.enabled=true"])?;
    for wanted in [
        "kind: Certificate",
        "kind: Issuer",
        "secretName: azure-wi-webhook-server-cert",
        "cert-manager.io/inject-ca-from: default/azure-wi-webhook-serving-cert",
        "--disable-cert-rotation",
        "mountPath: /certs",
        "- azure-wi-webhook-webhook-service.default.svc\n",
    ] {
        assert!(rendered.contains(wanted), "no {wanted} in:\n{rendered}");
    }
    for unwanted in ["kind: Secret", "resources: [secrets]", "kind: Role\n", "resources: [mutatingwebhook"] {
        assert!(!rendered.contains(unwanted), "{unwanted} in:\n{rendered}");
    }
    Ok(())
}

#[test]
fn an_issuer_of_ones_own_is_used_as_it_is() -> Result<()> {
    let values = "certManager.enabled=true,certManager.issuerRef.kind=ClusterIssuer,certManager.issuerRef.name=mine";
    let rendered = template(&["--set", TENANT, "--set", values])?;
    let certificate = rendered.split("\n---\n").find(|object| object.contains("kind: Certificate")).context("none")?;
    assert!(certificate.contains("kind: ClusterIssuer") && certificate.contains("name: mine"), "{certificate}");
    assert!(!rendered.contains("kind: Issuer"), "{rendered}");
    Ok(())
}

#[test]
fn excluded_namespaces_come_on_top_of_those_selected() -> Result<()> {
    let values = "mutatingWebhookNamespaceSelector.matchExpressions[0].key=team,\
        mutatingWebhookNamespaceSelector.matchExpressions[0].operator=Exists,excludedNamespaces={a,b}";
    let rendered = template(&["--set", TENANT, "--set", values])?;
    let selector = "matchExpressions: - key: team operator: Exists \
        - key: kubernetes.io/metadata.name operator: NotIn values: - a - b";
    let rendered = rendered.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(rendered.contains(selector), "{rendered}");
    Ok(())
}
