//! The programs of a cluster that somebody brings along.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use azwi_tests::cluster::{program, run};
use tempfile::TempDir;

const NAMES: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

/// Tells by a line in `used` that it has been run, and does what the real one does.
fn write_program(directory: &TempDir, name: &str) -> Result<()> {
    let (used, real) = (directory.path().join("used"), program(name)?);
    let script = format!("#!/bin/sh\necho {name} >>'{}'\nexec '{}' \"$@\"\n", used.display(), real.display());
    // A file that this process has open for writing could not be run as long as another thread's child inherits it.
    let mut writer = Command::new("sh");
    writer.args(["-c", r#"cat >"$0" && chmod 755 "$0""#]).arg(directory.path().join(name));
    run(&mut writer, &script)?.good().map(drop)
}

#[test]
fn a_cluster_is_made_of_what_kubebuilder_assets_names() -> Result<()> {
    let directory = TempDir::new()?;
    NAMES.into_iter().try_for_each(|name| write_program(&directory, name))?;
    let mut test = Command::new(env::current_exe()?);
    test.args(["--exact", "pods::a_labelled_pod_gets_a_token_for_entra"]).env("KUBEBUILDER_ASSETS", directory.path());
    let told = run(&mut test, "")?.good()?;
    assert!(told.contains("1 passed"), "{told}");
    let used = fs::read_to_string(directory.path().join("used")).context("none was run")?;
    assert_eq!(used.lines().collect::<BTreeSet<_>>(), BTreeSet::from(NAMES));
    Ok(())
}
