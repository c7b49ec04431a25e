//! One folder of `tests/golden` is one case: `cluster.yaml` goes in, and `azure.json` where Azure was asked; what is in
//! `planned` comes out.
//!
//! `UPDATE_GOLDEN=1 cargo test -p azwi --test pod_identity` writes what comes out anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use azwi::pod_identity::{Files, Issuer, Outcome, Plan, Settings, plan};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

const ISSUER: &str = "https://issuer.example/cluster/";

/// A case's folder.
struct Case(PathBuf);

impl Case {
    fn named(name: &str) -> Self {
        Self(folder().join(name))
    }

    fn objects(&self) -> Result<Vec<Value>> {
        let path = self.0.join("cluster.yaml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())
    }

    fn azure(&self) -> Result<Vec<Value>> {
        let path = self.0.join("azure.json");
        if path.exists() { Ok(vec![serde_json::from_str(&fs::read_to_string(path)?)?]) } else { Ok(Vec::new()) }
    }

    fn plan(&self) -> Result<Plan> {
        Ok(plan(&self.objects()?, &self.azure()?, &Settings::new(Issuer::parse(ISSUER)?)))
    }

    fn written(&self) -> Result<Files> {
        let root = self.0.join("planned");
        let mut files = Files::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
                    files.insert(name, fs::read_to_string(&path)?);
                }
            }
        }
        Ok(files)
    }

    fn write(&self, files: &Files) -> Result<()> {
        let root = self.0.join("planned");
        drop(fs::remove_dir_all(&root));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().context("no folder")?)?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let files = self.plan()?.files()?;
        if is_update() {
            self.write(&files)?;
        }
        let written = self.written()?;
        assert_eq!(files.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
        for (path, text) in files {
            assert_eq!(Some(&text), written.get(&path), "{}/planned/{path}", self.0.display());
        }
        Ok(())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[expect(clippy::disallowed_methods, reason = "to be said where the tests are started, and nowhere else")]
fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

macro_rules! cases {
    ($($name:ident)*) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() -> Result<()> {
                Case::named(stringify!($name)).check()
            }
        )*
    };
}

cases! {
    a_deployment_gets_label_sidecar_and_identities
    pods_of_the_default_service_account_get_one_of_their_own
    every_kind_has_its_own_way
    pods_of_an_unknown_owner_are_changed_by_hand
    several_identities_of_a_selector_are_all_kept
    identities_that_cannot_be_migrated_are_told_with_the_reason
    pods_of_an_exception_stay_as_they_are
    azure_knows_object_ids_and_credentials_that_are_there
    the_twenty_first_credential_has_no_place
    an_application_has_its_credentials_at_graph
    identities_of_aks_count_in_their_namespace
    workloads_of_one_service_account_must_agree
    what_is_in_the_way_of_a_sidecar_is_told
    a_service_account_that_says_otherwise_is_not_overruled
    a_workload_that_has_everything_is_left_as_it_is
    a_migrated_workload_is_forgotten_when_pod_identity_is_gone
}

#[test]
fn every_folder_is_a_case_and_every_case_has_its_folder() -> Result<()> {
    let folders: BTreeSet<String> = fs::read_dir(folder())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    assert_eq!(folders, CASES.iter().map(|&name| name.to_owned()).collect());
    Ok(())
}

/// What Kubernetes does not know it drops, and says nothing.
#[test]
fn every_field_of_a_patch_is_one_that_kubernetes_knows() -> Result<()> {
    let mut count = 0;
    for name in CASES {
        for (path, text) in Case::named(name).plan()?.files()?.iter().filter(|(path, _)| path.ends_with(".yaml")) {
            let object: Value = serde_saphyr::from_str(text)?;
            let template = object.pointer("/spec/jobTemplate/spec/template").or(object.pointer("/spec/template"));
            if let Some(template) = template {
                let known: PodTemplateSpec = serde_json::from_value(template.clone())?;
                let mut known = serde_json::to_value(known)?;
                // The one list that a pod must have.
                if let Some(spec) = known.get_mut("spec").and_then(Value::as_object_mut) {
                    spec.remove("containers");
                }
                assert_eq!(known, *template, "{name}/{path}");
                count += 1;
            }
        }
    }
    assert!(count > 0, "no case has a patch");
    Ok(())
}

/// Which cases need nobody is a promise of the report.
#[test]
fn a_plain_deployment_needs_nobody() -> Result<()> {
    let plan = Case::named("a_deployment_gets_label_sidecar_and_identities").plan()?;
    assert_eq!(plan.outcomes().into_keys().collect::<Vec<_>>(), [Outcome::Ready]);
    Ok(())
}
