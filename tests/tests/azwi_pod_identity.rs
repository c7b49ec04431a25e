//! `azwi podidentity detect` of files, as somebody uses it who may not read the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use tempfile::TempDir;

const ISSUER: &str = "--service-account-issuer-url=https://issuer.example/cluster/";
/// One with a namespace's files and those for Azure.
const CASE: &str = "a_deployment_gets_label_sidecar_and_identities";
/// One that needs fewer files.
const NOTHING: &str = "pods_of_an_exception_stay_as_they_are";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn golden(case: &str) -> PathBuf {
    root().join("crates/azwi/tests/golden").join(case)
}

fn azwi(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(binary("azwi")?).arg("podidentity").args(arguments).output()?)
}

fn detect(case: &str, folder: &Path, further: &[&str]) -> Result<Output> {
    let cluster = golden(case).join("cluster.yaml");
    let (cluster, folder) = (cluster.display().to_string(), folder.display().to_string());
    azwi(&[&["detect", "--from", &cluster, "--output-dir", &folder, ISSUER], further].concat())
}

fn good(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

fn refusal(output: Output) -> Result<String> {
    assert_eq!(output.status.code(), Some(1));
    Ok(String::from_utf8(output.stderr)?)
}

fn files(root: &Path) -> Result<BTreeMap<String, String>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(root)?.display().to_string(), fs::read_to_string(&path)?);
            }
        }
    }
    files.remove(".azwi-files.json");
    Ok(files)
}

#[test]
fn it_writes_the_plan_and_says_where_to_read_on() -> Result<()> {
    let directory = TempDir::new()?;
    let output = detect(CASE, directory.path(), &[])?;
    good(&output);
    assert_eq!(files(directory.path())?, files(&golden(CASE).join("planned"))?);
    let told = String::from_utf8(output.stdout)?;
    assert_eq!(told, format!("shop: Deployment cart: ready\nRead {}\n", directory.path().join("report.md").display()));
    Ok(())
}

#[test]
fn what_is_no_longer_planned_goes_and_what_is_not_its_own_stays() -> Result<()> {
    let directory = TempDir::new()?;
    good(&detect(CASE, directory.path(), &[])?);
    fs::write(directory.path().join("shop/notes.txt"), "mine")?;
    good(&detect(NOTHING, directory.path(), &[])?);
    let mut expected = files(&golden(NOTHING).join("planned"))?;
    expected.insert("shop/notes.txt".to_owned(), "mine".to_owned());
    assert_eq!(files(directory.path())?, expected);
    Ok(())
}

#[test]
fn what_somebody_has_changed_is_overwritten_only_on_request() -> Result<()> {
    let directory = TempDir::new()?;
    good(&detect(CASE, directory.path(), &[])?);
    let patch = directory.path().join("shop/deployment-cart.yaml");
    fs::write(&patch, "mine")?;
    let told = refusal(detect(CASE, directory.path(), &[])?)?;
    assert!(told.contains("shop/deployment-cart.yaml has been changed"), "{told}");
    assert_eq!(fs::read_to_string(&patch)?, "mine");
    good(&detect(CASE, directory.path(), &["--overwrite"])?);
    assert_ne!(fs::read_to_string(&patch)?, "mine");
    Ok(())
}

#[test]
fn what_was_there_before_is_overwritten_only_on_request() -> Result<()> {
    let directory = TempDir::new()?;
    fs::write(directory.path().join("report.md"), "mine")?;
    let told = refusal(detect(CASE, directory.path(), &[])?)?;
    assert!(told.contains("report.md is there already"), "{told}");
    assert_eq!(files(directory.path())?.len(), 1);
    Ok(())
}

#[test]
fn azure_is_asked_by_files_too() -> Result<()> {
    let directory = TempDir::new()?;
    let case = "azure_knows_object_ids_and_credentials_that_are_there";
    let azure = golden(case).join("azure.json").display().to_string();
    good(&detect(case, directory.path(), &["--azure", &azure])?);
    assert_eq!(files(directory.path())?, files(&golden(case).join("planned"))?);
    Ok(())
}

#[test]
fn what_is_said_to_it_stands_in_the_plan() -> Result<()> {
    let directory = TempDir::new()?;
    let further = ["--proxy-port=8001", "--service-account-token-expiration=2h", "--tenant-id=contoso.com"];
    good(&detect(CASE, directory.path(), &[&further[..], &["--audience=api://AzureADTokenExchangeUSGov"]].concat())?);
    let files = files(directory.path())?;
    let read = |name: &str| files.get(name).with_context(|| name.to_owned());
    assert!(read("shop/deployment-cart.yaml")?.contains("azure.workload.identity/proxy-sidecar-port: \"8001\""));
    let account = read("shop/serviceaccount-cart.yaml")?;
    assert!(account.contains("azure.workload.identity/service-account-token-expiration: \"7200\""), "{account}");
    assert!(account.contains("azure.workload.identity/tenant-id: contoso.com"), "{account}");
    assert!(read("federated-credentials.sh")?.contains("--audiences \"api://AzureADTokenExchangeUSGov\""));
    Ok(())
}

#[test]
fn the_audience_is_that_of_the_cloud() -> Result<()> {
    let directory = TempDir::new()?;
    good(&detect(CASE, directory.path(), &["--azure-env=AzureChinaCloud"])?);
    let files = files(directory.path())?;
    let script = files.get("federated-credentials.sh").context("no script")?;
    assert!(script.contains("--audiences \"api://AzureADTokenExchangeChina\""), "{script}");
    Ok(())
}

#[test]
fn what_cannot_be_read_is_told_by_name() -> Result<()> {
    let directory = TempDir::new()?;
    let (folder, nowhere) = (directory.path().join("plan").display().to_string(), directory.path().join("nowhere"));
    let from = ["detect", "--output-dir", &folder, "--from", &nowhere.display().to_string()];
    assert!(refusal(azwi(&from)?)?.contains("--service-account-issuer-url"));
    let told = refusal(azwi(&[&from[..], &[ISSUER]].concat())?)?;
    assert!(told.contains("nowhere: No such file"), "{told}");
    fs::write(&nowhere, "a: [")?;
    let told = refusal(azwi(&[&from[..], &[ISSUER]].concat())?)?;
    assert!(told.contains("nowhere: "), "{told}");
    assert!(!Path::new(&folder).exists());
    Ok(())
}

fn flags(command: &str) -> Result<BTreeSet<String>> {
    let help = String::from_utf8(azwi(&[command, "--help"])?.stdout)?;
    let names = help.lines().filter_map(|line| Some(line.trim_start().split_once("--")?.1.to_owned()));
    let names = names.map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>());
    Ok(names.filter(|name| !["help", ""].contains(&name.as_str())).collect())
}

#[test]
fn every_flag_is_on_the_page_of_the_command() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/azwi/podidentity.md"))?;
    let all: BTreeSet<_> = flags("detect")?.union(&flags("migrate")?).cloned().collect();
    assert!(all.len() > 10, "{all:?}");
    for flag in all {
        assert!(page.contains(&format!("--{flag}`")) || page.contains(&format!("--{flag} ")), "--{flag}");
    }
    Ok(())
}
