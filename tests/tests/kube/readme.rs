//! What README.md tells people to type.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::chart::NAMESPACE;
use azwi_tests::cluster::{Cluster, program, run};
use azwi_tests::emulator::{Emulator, OPERATOR_SECRET, clients};
use azwi_tests::webhook::TENANT;
use serde_json::{Value, json};

use crate::workload::{Place, names};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first block of that language in the section on clusters.
fn block(language: &str) -> Result<String> {
    let page = fs::read_to_string(root().join("README.md"))?;
    let (_, section) = page.split_once("\n## In a cluster\n").context("no section")?;
    let (_, block) = section.split_once(&format!("```{language}\n")).context("no block")?;
    Ok(block.split_once("```").context("no end")?.0.to_owned())
}

/// A shell that finds the programs of the tests first.
pub(crate) fn shell(script: &str) -> Result<Command> {
    let directories = ["helm", "kubectl"].map(|name| Ok(program(name)?.parent().context("no directory")?.to_owned()));
    let directories = directories.into_iter().collect::<Result<Vec<_>>>()?;
    let mut shell = Command::new("sh");
    shell.args(["-euc", script]).current_dir(root());
    shell.env(
        "PATH",
        env::join_paths(directories.into_iter().chain([PathBuf::from("/usr/bin"), PathBuf::from("/bin")]))?,
    );
    Ok(shell)
}

#[test]
fn its_commands_install_the_webhook_and_give_a_service_account_its_identity() -> Result<()> {
    let cluster = Cluster::start()?;
    let entra = Emulator::start()?;
    // Logs in as somebody whom the page does not know.
    let mut shell = shell(&format!("azwi() {{ \"$AZWI\" \"$@\" --auth-method=client_secret; }}\n{}", block("sh")?))?;
    shell.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.directory()).env("AZWI", binary("azwi")?);
    shell.env("AZURE_TENANT_ID", TENANT).env("ISSUER", cluster.url()).env("REGISTRY", "registry.example");
    shell.env("AZURE_CLIENT_ID", clients::OPERATOR).env("AZURE_CLIENT_SECRET", OPERATOR_SECRET);
    shell.env("SSL_CERT_FILE", entra.ca_file());
    for name in ["AZURE_AUTHORITY_HOST", "AZURE_GRAPH_ENDPOINT", "AZURE_RESOURCE_MANAGER_ENDPOINT"] {
        shell.env(name, entra.authority().trim_end_matches('/'));
    }
    run(&mut shell, "")?.good()?;
    let deployment = cluster.get("deployment/azure-wi-webhook-controller-manager", NAMESPACE)?;
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "registry.example/azwi-webhook:dev");
    let account = cluster.get("serviceaccount/cart", "default")?;
    let annotations = &account["metadata"]["annotations"];
    assert!(annotations["azure.workload.identity/client-id"].is_string(), "{annotations}");
    Ok(())
}

#[test]
fn its_two_lines_give_a_pod_the_sidecar() -> Result<()> {
    let lines: Value = serde_saphyr::from_str(&block("yaml")?)?;
    let place = Place::new()?;
    let mut pod = place.pod(&json!({}));
    for kind in ["labels", "annotations"] {
        pod["metadata"][kind] = lines["metadata"][kind].clone();
    }
    let created = place.installation.cluster.create(&pod)?;
    assert_eq!(names(&created, "initContainers"), ["azwi-proxy-init", "azwi-proxy", "prepare"]);
    Ok(())
}
