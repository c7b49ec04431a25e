//! From AAD Pod Identity to workload identity, as somebody goes through it who has workloads of all kinds.
//!
//! Nothing here makes pods of templates, so a test does what a controller would.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::cluster::{Answer, Cluster, directory_of, run};
use azwi_tests::emulator::Emulator;
use azwi_tests::jwt;
use azwi_tests::webhook::TENANT;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chain::{entra, project, sidecar};
use crate::readme::{root, shell};
use crate::workload::{CLIENT_ID, Place, names};

const RESOURCE_ID: &str = "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cart";
/// All of a sort that a cluster can have changed.
const TEMPLATES: [(&str, &str); 4] = [
    ("deployment/web", "/spec/template"),
    ("statefulset/ledger", "/spec/template"),
    ("daemonset/agent", "/spec/template"),
    ("cronjob/report", "/spec/jobTemplate/spec/template"),
];

/// A namespace whose workloads have an identity of pod identity.
struct Shop {
    place: Place,
    directory: TempDir,
}

impl Shop {
    fn new() -> Result<Self> {
        static INSTALLING: Mutex<()> = Mutex::new(());
        let place = Place::new()?;
        let guard = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = directory_of("crds")?.join("aad-pod-identity.yaml");
        let kinds = kinds.to_str().context("not UTF-8")?;
        place.installation.cluster.kubectl(&["apply", "--filename", kinds])?;
        place.installation.cluster.kubectl(&["wait", "--for=condition=Established", "--filename", kinds])?;
        drop(guard);
        let shop = Self { place, directory: TempDir::new()? };
        shop.fill()?;
        Ok(shop)
    }

    fn fill(&self) -> Result<()> {
        self.create("v1", "ServiceAccount", "cart", &json!({}))?;
        let group = "aadpodidentity.k8s.io/v1";
        let identity = json!({ "type": 0, "resourceID": RESOURCE_ID, "clientID": CLIENT_ID });
        self.create(group, "AzureIdentity", "cart", &json!({ "spec": identity }))?;
        let binding = json!({ "azureIdentity": "cart", "selector": self.selector() });
        self.create(group, "AzureIdentityBinding", "cart", &json!({ "spec": binding }))?;
        let template = self.template("cart");
        let selector = json!({ "matchLabels": { "app": "shop" } });
        let spec = json!({ "spec": { "selector": selector, "template": template } });
        let web = self.create("apps/v1", "Deployment", "web", &spec)?;
        self.replica_set("web-1", &spec, &web)?;
        self.create("apps/v1", "DaemonSet", "agent", &spec)?;
        let of_default = json!({ "selector": selector, "serviceName": "ledger", "template": self.template("default") });
        self.create("apps/v1", "StatefulSet", "ledger", &json!({ "spec": of_default }))?;
        let mut job = template.clone();
        job["spec"]["restartPolicy"] = "Never".into();
        let job = json!({ "schedule": "0 4 * * *", "jobTemplate": { "spec": { "template": job } } });
        self.create("batch/v1", "CronJob", "report", &json!({ "spec": job }))?;
        self.pod("debug", &template)?;
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": "canary", "uid": "rollout" },
        });
        self.replica_set("canary-1", &spec, &rollout)
    }

    /// It, and the pod that a controller makes of it.
    fn replica_set(&self, name: &str, spec: &Value, owner: &Value) -> Result<()> {
        let mut whole = spec.clone();
        whole["metadata"] = controlled_by(owner);
        let set = self.create("apps/v1", "ReplicaSet", name, &whole)?;
        let mut pod = self.template("cart");
        pod["metadata"]["ownerReferences"] = controlled_by(&set)["ownerReferences"].clone();
        self.pod(&format!("{name}-a"), &pod).map(drop)
    }

    /// Each namespace's own, for pod identity's selectors count everywhere.
    fn selector(&self) -> &str {
        &self.place.namespace
    }

    fn template(&self, account: &str) -> Value {
        json!({
            "metadata": { "labels": { "app": "shop", "aadpodidbinding": self.selector() } },
            "spec": {
                "serviceAccountName": account,
                "containers": [{ "name": "app", "image": "registry.example/app:1" }],
            },
        })
    }

    fn create(&self, api_version: &str, kind: &str, name: &str, rest: &Value) -> Result<Value> {
        let mut object = rest.clone();
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        object["metadata"]["name"] = name.into();
        object["metadata"]["namespace"] = self.place.namespace.as_str().into();
        self.place.installation.cluster.create(&object)
    }

    fn pod(&self, name: &str, template: &Value) -> Result<Value> {
        self.create("v1", "Pod", name, template)
    }

    fn get(&self, object: &str) -> Result<Value> {
        self.place.installation.cluster.get(object, &self.place.namespace)
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.place.installation.cluster.kubectl(&[arguments, &["--namespace", &self.place.namespace]].concat())
    }

    fn azwi(&self, arguments: &[&str], stdin: &str) -> Result<Answer> {
        self.azwi_of(&self.place.installation.cluster.kubeconfig(), arguments, stdin)
    }

    fn azwi_of(&self, kubeconfig: &Path, arguments: &[&str], stdin: &str) -> Result<Answer> {
        let mut command = Command::new(binary("azwi")?);
        command.env("KUBECONFIG", kubeconfig).current_dir(self.directory.path());
        run(command.arg("podidentity").args(arguments).args(["--namespace", &self.place.namespace]), stdin)
    }

    fn detect(&self) -> Result<String> {
        self.azwi(&["detect", "--output-dir", "plan"], "")?.good()
    }

    fn migrate(&self, flags: &[&str]) -> Result<String> {
        self.azwi(&[&["migrate"], flags].concat(), "")?.good()
    }

    fn planned(&self, file: &str) -> Result<String> {
        let path = self.directory.path().join("plan").join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// What is told, as it would be in any cluster.
    fn anywhere(&self, told: &str) -> Result<String> {
        let identities: Value = serde_json::from_str(&self.planned("federated-credentials.json")?)?;
        let credentials =
            identities.as_array().into_iter().flatten().filter_map(|identity| identity["credentials"].as_array());
        let names = credentials.flatten().filter_map(|credential| credential["name"].as_str());
        let told = names.fold(told.to_owned(), |told, name| {
            let readable = name.rsplit_once('-').map_or(name, |(readable, _)| readable);
            told.replace(name, &format!("{readable}-HASH"))
        });
        Ok(told
            .replace(&self.place.installation.cluster.url(), "https://issuer.example")
            .replace(self.selector(), "shop"))
    }

    /// What is left of pod identity, and what is said of workload identity: all that `migrate` may change.
    fn everything(&self) -> Result<String> {
        let kinds = "azureidentities,azureidentitybindings,serviceaccounts,pods,\
                     deployments,statefulsets,daemonsets,replicasets,cronjobs";
        self.kubectl(&["get", kinds, "--output=json"])
    }

    /// Does what controllers do when templates have changed, and what somebody does who has read the report.
    fn replace_pods(&self) -> Result<()> {
        self.scale_to_zero()?;
        self.pod("web-2-a", &self.get("deployment/web")?["spec"]["template"])?;
        let mut new = self.get("replicaset/canary-1")?;
        new["metadata"] = json!({ "ownerReferences": new["metadata"]["ownerReferences"] });
        let template = &mut new["spec"]["template"]["metadata"];
        template["labels"]["azure.workload.identity/use"] = "true".into();
        template["annotations"]["azure.workload.identity/inject-proxy-sidecar"] = "true".into();
        self.create("apps/v1", "ReplicaSet", "canary-2", &new).map(drop)
    }

    fn scale_to_zero(&self) -> Result<()> {
        self.kubectl(&["delete", "pod", "web-1-a", "canary-1-a", "debug", "--now"]).map(drop)
    }
}

fn controlled_by(owner: &Value) -> Value {
    let (api_version, kind, metadata) = (&owner["apiVersion"], &owner["kind"], &owner["metadata"]);
    json!({ "ownerReferences": [{
        "apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": true,
    }] })
}

fn is_migrated(template: &Value) -> bool {
    let metadata = &template["metadata"];
    metadata["labels"]["azure.workload.identity/use"] == "true"
        && metadata["annotations"]["azure.workload.identity/inject-proxy-sidecar"] == "true"
}

#[test]
fn detect_tells_of_each_workload_what_is_to_be_done() -> Result<()> {
    let shop = Shop::new()?;
    let before = shop.everything()?;
    let told = shop.detect()?;
    for (workload, outcome) in [
        ("Deployment web", "ready"),
        ("StatefulSet ledger", "ready"),
        ("DaemonSet agent", "ready"),
        ("CronJob report", "ready"),
        ("Pod debug", "needs a person"),
        ("Rollout canary", "to be changed by hand"),
    ] {
        let line = format!("{}: {workload}: {outcome}\n", shop.place.namespace);
        assert!(told.contains(&line), "no {line} in {told}");
    }
    assert_eq!(shop.everything()?, before);
    Ok(())
}

#[test]
fn the_commands_of_its_report_are_those_that_kubectl_takes() -> Result<()> {
    let shop = Shop::new()?;
    shop.detect()?;
    let report = shop.planned("report.md")?;
    let mut commands: Vec<_> = report.lines().filter(|line| line.starts_with("kubectl ")).collect();
    commands.sort_unstable();
    commands.dedup();
    assert!(commands.len() >= 6, "{report}");
    let mut shell = shell(&commands.join("\n"))?;
    shell.current_dir(shop.directory.path().join("plan"));
    run(shell.env("KUBECONFIG", shop.place.installation.cluster.kubeconfig()), "")?.good()?;
    for (workload, template) in TEMPLATES {
        let object = shop.get(workload)?;
        assert!(is_migrated(object.pointer(template).context("no template")?), "{workload}");
    }
    Ok(())
}

#[test]
fn its_folder_is_a_component_for_a_kustomization() -> Result<()> {
    let shop = Shop::new()?;
    shop.detect()?;
    let mut resources = Vec::new();
    for (workload, _) in TEMPLATES {
        let file = format!("{}.json", workload.replace('/', "-"));
        fs::write(shop.directory.path().join(&file), shop.get(workload)?.to_string())?;
        resources.push(file);
    }
    let kustomization = json!({ "resources": resources, "components": [format!("plan/{}", shop.place.namespace)] });
    fs::write(shop.directory.path().join("kustomization.yaml"), kustomization.to_string())?;
    let built = shop.place.installation.cluster.kubectl(&["kustomize", &shop.directory.path().to_string_lossy()])?;
    let built: Vec<Value> = serde_saphyr::from_multiple(&built)?;
    for (workload, template) in TEMPLATES {
        let is_it = |object: &&Value| {
            let kind = object["kind"].as_str().unwrap_or_default().to_ascii_lowercase();
            format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default()) == workload
        };
        let object = built.iter().find(is_it).context("lost")?;
        assert!(is_migrated(object.pointer(template).context("no template")?), "{workload}: {object}");
    }
    assert!(built.iter().any(|object| object["kind"] == "ServiceAccount" && object["metadata"]["name"] == "ledger"));
    Ok(())
}

#[test]
fn who_may_read_one_namespace_alone_is_told_the_same_of_it() -> Result<()> {
    let shop = Shop::new()?;
    let namespace = &shop.place.namespace;
    let account = format!("--serviceaccount={namespace}:app");
    shop.kubectl(&["create", "rolebinding", "app", "--clusterrole=cluster-admin", &account])?;
    let kubeconfig = shop.place.installation.cluster.kubeconfig_of(namespace, "app")?;
    let told = shop.azwi_of(&kubeconfig, &["detect", "--output-dir", "plan"], "")?.good()?;
    assert_eq!(told, shop.detect()?);
    Ok(())
}

#[test]
fn who_may_not_read_it_is_told_what_is_forbidden() -> Result<()> {
    let shop = Shop::new()?;
    let kubeconfig = shop.place.installation.cluster.kubeconfig_of(&shop.place.namespace, "app")?;
    let told = shop.azwi_of(&kubeconfig, &["detect", "--output-dir", "plan"], "")?.bad()?;
    assert!(told.contains("Forbidden: pods is forbidden"), "{told}");
    assert!(!shop.directory.path().join("plan").exists());
    Ok(())
}

#[test]
fn migrate_changes_nothing_that_nobody_says_yes_to() -> Result<()> {
    let shop = Shop::new()?;
    let before = shop.everything()?;
    assert!(shop.migrate(&[])?.contains("Nothing is changed"));
    shop.azwi(&["migrate"], &format!("y\n{}", "n\n".repeat(6)))?.good()?;
    assert_eq!(shop.everything()?, before);
    Ok(())
}

#[test]
fn migrate_takes_a_yes_for_one_workload_as_one_for_no_other() -> Result<()> {
    let shop = Shop::new()?;
    // The credentials are there; and the first, which is the daemon set.
    shop.azwi(&["migrate"], &format!("y\ny\n{}", "n\n".repeat(5)))?.good()?;
    assert!(is_migrated(&shop.get("daemonset/agent")?["spec"]["template"]));
    assert!(!is_migrated(&shop.get("deployment/web")?["spec"]["template"]));
    Ok(())
}

#[test]
fn yes_leaves_alone_what_needs_a_person() -> Result<()> {
    let shop = Shop::new()?;
    let told = shop.migrate(&["--yes"])?;
    for (workload, template) in TEMPLATES {
        let object = shop.get(workload)?;
        assert!(is_migrated(object.pointer(template).context("no template")?), "{workload}: {told}");
    }
    assert_eq!(shop.get("statefulset/ledger")?["spec"]["template"]["spec"]["serviceAccountName"], "ledger");
    assert_eq!(told.matches("--yes --reviewed").count(), 2, "{told}");
    let next = format!("azwi podidentity migrate --namespace {} --cleanup\n", shop.place.namespace);
    assert!(told.ends_with(&next), "{told}");
    Ok(())
}

/// `migrate.txt` is what somebody reads who says yes.
#[test]
fn migrate_tells_of_each_step_what_it_is_and_what_is_done() -> Result<()> {
    let shop = Shop::new()?;
    shop.detect()?;
    let told = shop.anywhere(&shop.azwi(&["migrate"], &"y\n".repeat(7))?.good()?)?;
    assert_eq!(told, include_str!("migrate.txt"), "{told}");
    Ok(())
}

#[test]
fn migrate_goes_on_where_it_was_and_ends() -> Result<()> {
    let shop = Shop::new()?;
    shop.migrate(&["--yes"])?;
    let before = shop.everything()?;
    let told = shop.migrate(&["--yes"])?;
    assert_eq!(told.matches("nothing to change").count(), 4, "{told}");
    assert_eq!(shop.everything()?, before);
    Ok(())
}

#[test]
fn an_unmodified_app_of_a_migrated_pod_gets_a_token_by_its_resource_id() -> Result<()> {
    let shop = Shop::new()?;
    shop.detect()?;
    shop.migrate(&["--yes"])?;
    let pod = shop.pod("web-2-a", &shop.get("deployment/web")?["spec"]["template"])?;
    assert_eq!(names(&pod, "initContainers"), ["azwi-proxy-init", "azwi-proxy"]);
    let credentials: Value = serde_json::from_str(&shop.planned("federated-credentials.json")?)?;
    let mut credentials = credentials[0]["credentials"].as_array().context("no credentials")?.iter();
    let of_cart = format!("system:serviceaccount:{}:cart", shop.place.namespace);
    let credential = credentials.find(|credential| credential["subject"] == *of_cart).context("none of cart")?;
    assert_eq!(credential["issuer"], shop.place.installation.cluster.url());
    let entra = entra(&shop.place, credential["subject"].as_str().context("no subject")?)?;
    let directory = TempDir::new()?;
    let sidecar = sidecar(&pod, &project(&shop.place, &pod, &directory)?, &entra)?;
    let answer = sidecar.token(&format!("resource=https://vault.azure.net&mi_res_id={RESOURCE_ID}"))?;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(jwt::claims(&answer.field("access_token"))["appid"], CLIENT_ID);
    Ok(())
}

#[test]
fn nothing_of_pod_identity_is_deleted_that_a_pod_may_need() -> Result<()> {
    let shop = Shop::new()?;
    let told = shop.migrate(&["--yes", "--reviewed", "--cleanup"])?;
    assert!(told.contains("Nothing to delete"), "{told}");
    shop.get("azureidentity/cart")?;
    shop.get("azureidentitybinding/cart").map(drop)
}

#[test]
fn nothing_is_deleted_that_a_rollout_needs_when_it_has_pods_again() -> Result<()> {
    let shop = Shop::new()?;
    shop.migrate(&["--yes"])?;
    shop.scale_to_zero()?;
    let told = shop.migrate(&["--yes", "--cleanup"])?;
    assert!(told.contains("Nothing to delete"), "{told}");
    shop.get("azureidentitybinding/cart").map(drop)
}

#[test]
fn nothing_is_deleted_that_a_pod_needs_which_has_the_label_but_no_token() -> Result<()> {
    let shop = Shop::new()?;
    shop.migrate(&["--yes"])?;
    shop.replace_pods()?;
    // One of a migrated workload, which the webhook was not asked about: it is at creation only.
    let mut pod = shop.get("deployment/web")?["spec"]["template"].clone();
    pod["metadata"]["ownerReferences"] = controlled_by(&shop.get("replicaset/web-1")?)["ownerReferences"].clone();
    pod["metadata"]["labels"]["azure.workload.identity/use"] = "no".into();
    shop.pod("web-2-b", &pod)?;
    shop.kubectl(&["label", "--overwrite", "pod/web-2-b", "azure.workload.identity/use=true"])?;
    let told = shop.migrate(&["--yes", "--cleanup"])?;
    assert!(told.contains("Nothing to delete"), "{told}");
    shop.get("azureidentitybinding/cart").map(drop)
}

#[test]
fn nothing_is_migrated_where_no_webhook_would_set_pods_up() -> Result<()> {
    let cluster = Cluster::shared()?;
    let mut command = Command::new(binary("azwi")?);
    command.args(["podidentity", "migrate", "--yes", "--kubeconfig"]).arg(cluster.kubeconfig());
    let answer = run(&mut command, "")?;
    assert!(!answer.is_good);
    assert!(answer.stderr.starts_with("azwi: no webhook of this cluster is asked about pods"), "{}", answer.stderr);
    Ok(())
}

#[test]
fn pod_identity_is_deleted_only_on_request_and_when_all_pods_are_replaced() -> Result<()> {
    let shop = Shop::new()?;
    shop.migrate(&["--yes"])?;
    shop.replace_pods()?;
    shop.migrate(&["--yes"])?;
    shop.get("azureidentity/cart")?;
    let told = shop.migrate(&["--yes", "--cleanup"])?;
    assert!(told.contains("azureidentitybinding/cart deleted\nazureidentity/cart deleted"), "{told}");
    let left = shop.kubectl(&["get", "azureidentities,azureidentitybindings", "--output=name"])?;
    assert_eq!(left, "");
    assert!(shop.detect()?.starts_with("No workload has identities of pod identity here."));
    Ok(())
}

/// The blocks that a shell can run; those that need Azure are written as a console's.
#[test]
fn the_commands_of_the_guide_lead_from_one_to_the_other() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/migrate-from-pod-identity.md"))?;
    let blocks: Vec<_> = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [before @ .., after] = blocks.as_slice() else { anyhow::bail!("no blocks in the guide") };
    let shop = Shop::new()?;
    let run = |script: &str| {
        let mut shell = shell(&format!("PATH=\"$AZWI:$PATH\"\n{script}"))?;
        shell.env("AZWI", binary("azwi")?.parent().context("no directory")?).env("NAMESPACE", &shop.place.namespace);
        shell.env("KUBECONFIG", shop.place.installation.cluster.kubeconfig()).current_dir(shop.directory.path());
        run(&mut shell, "")?.good()
    };
    run(&before.join("\n"))?;
    shop.replace_pods()?;
    run(after)?;
    assert!(shop.get("azureidentity/cart").is_err());
    Ok(())
}

const OPERATOR: &str = "66666666-6666-4666-8666-666666666666";
const SECRET: &str = "of the operator";

/// Azure as it was before anybody thought of federation: the identity, and an operator who may change it.
fn azure(shop: &Shop, credentials: &Value) -> Result<Emulator<'static>> {
    let ca = shop.place.installation.cluster.ca_file();
    let config = json!({
        "tenants": [{
            "id": TENANT,
            "subscriptions": ["11111111-1111-4111-8111-111111111111"],
            "applications": [
                {
                    "name": "cart", "client_id": CLIENT_ID, "kind": "managed_identity", "resource_id": RESOURCE_ID,
                    "federated_identity_credentials": credentials,
                },
                { "name": "operator", "client_id": OPERATOR, "kind": "app_registration", "secrets": [SECRET], "federated_identity_credentials": [] },
            ],
        }],
    });
    Emulator::start_with(Some(&config.to_string()), &["--issuer-ca", ca.to_str().context("not UTF-8")?])
}

impl Shop {
    /// As the operator.
    fn azwi_with(&self, azure: &Emulator<'_>, arguments: &[&str], stdin: &str) -> Result<Answer> {
        let mut command = Command::new(binary("azwi")?);
        let url = azure.authority().trim_end_matches('/');
        for name in ["AZURE_AUTHORITY_HOST", "AZURE_GRAPH_ENDPOINT", "AZURE_RESOURCE_MANAGER_ENDPOINT"] {
            command.env(name, url);
        }
        command.env("SSL_CERT_FILE", azure.ca_file()).env("AZURE_CLIENT_SECRET", SECRET);
        command.current_dir(self.directory.path()).arg("podidentity").args(arguments).arg("--kubeconfig");
        command.arg(self.place.installation.cluster.kubeconfig()).args([
            "--namespace",
            &self.place.namespace,
            "--azure",
        ]);
        command.args(["--auth-method=client_secret", "--azure-tenant-id", TENANT, "--client-id", OPERATOR]);
        run(&mut command, stdin)
    }
}

#[test]
fn with_azure_migrate_creates_the_credentials_by_which_migrated_pods_get_tokens() -> Result<()> {
    let shop = Shop::new()?;
    let azure = azure(&shop, &json!([]))?;
    let told = shop.azwi_with(&azure, &["migrate", "--yes"], "")?.good()?;
    assert_eq!(
        told.matches("federated identity credential ").count(),
        4,
        "two service accounts, each said and done: {told}"
    );
    let pod = shop.pod("web-2-a", &shop.get("deployment/web")?["spec"]["template"])?;
    let directory = TempDir::new()?;
    let sidecar = sidecar(&pod, &project(&shop.place, &pod, &directory)?, &azure)?;
    let answer = sidecar.token(&format!("resource=https://vault.azure.net&mi_res_id={RESOURCE_ID}"))?;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(jwt::claims(&answer.field("access_token"))["appid"], CLIENT_ID);
    Ok(())
}

#[test]
fn with_azure_migrate_finds_what_it_has_created() -> Result<()> {
    let shop = Shop::new()?;
    let azure = azure(&shop, &json!([]))?;
    shop.azwi_with(&azure, &["migrate", "--yes"], "")?.good()?;
    let told = shop.azwi_with(&azure, &["migrate", "--yes"], "")?.good()?;
    assert!(!told.contains("federated identity credential "), "{told}");
    Ok(())
}

#[test]
fn with_azure_a_no_to_a_workload_writes_no_credential_for_it() -> Result<()> {
    let shop = Shop::new()?;
    let azure = azure(&shop, &json!([]))?;
    let told = shop.azwi_with(&azure, &["migrate"], &"n\n".repeat(7))?.good()?;
    assert!(told.contains("  - federated identity credential "), "{told}");
    assert!(!told.contains(" created\n"), "{told}");
    shop.azwi_with(&azure, &["detect", "--output-dir", "plan"], "")?.good()?;
    let planned = shop.planned("federated-credentials.json")?;
    assert!(planned.contains(r#""state": "create""#) && !planned.contains(r#""state": "exists""#), "{planned}");
    Ok(())
}

#[test]
fn with_azure_a_credential_of_another_audience_is_changed() -> Result<()> {
    let shop = Shop::new()?;
    let issuer = shop.place.installation.cluster.url();
    let subject = format!("system:serviceaccount:{}:cart", shop.place.namespace);
    let other = json!([{ "name": "old", "issuer": issuer, "subject": subject, "audience": "api://other" }]);
    let azure = azure(&shop, &other)?;
    let told = shop.azwi_with(&azure, &["migrate", "--yes"], "")?.good()?;
    assert!(told.contains("federated identity credential old changed\n"), "{told}");
    Ok(())
}

#[test]
fn with_azure_a_migrated_workload_whose_credential_is_missing_gets_it() -> Result<()> {
    let shop = Shop::new()?;
    shop.migrate(&["--yes"])?;
    let azure = azure(&shop, &json!([]))?;
    let told = shop.azwi_with(&azure, &["migrate", "--yes"], "")?.good()?;
    assert_eq!(told.matches(" created\n").count(), 2, "one of each service account: {told}");
    Ok(())
}

#[test]
fn with_azure_an_identity_that_is_not_there_is_told_and_others_go_on() -> Result<()> {
    let shop = Shop::new()?;
    let config = json!({ "tenants": [{ "id": TENANT, "applications": [
        { "name": "operator", "client_id": OPERATOR, "kind": "app_registration", "secrets": [SECRET], "federated_identity_credentials": [] },
    ] }] });
    let azure = Emulator::start_with(Some(&config.to_string()), &[])?;
    let told = shop.azwi_with(&azure, &["migrate", "--yes"], "")?.good()?;
    assert!(told.contains(&format!("Azure has no identity with its clientID {CLIENT_ID}")), "{told}");
    assert!(!is_migrated(&shop.get("deployment/web")?["spec"]["template"]), "{told}");
    Ok(())
}

#[test]
fn with_azure_a_plan_has_what_only_azure_knows() -> Result<()> {
    let shop = Shop::new()?;
    let azure = azure(&shop, &json!([]))?;
    shop.azwi_with(&azure, &["detect", "--output-dir", "plan"], "")?.good()?;
    let identities: Value = serde_json::from_str(&shop.planned("federated-credentials.json")?)?;
    assert!(identities[0]["objectId"].is_string(), "{identities}");
    Ok(())
}
