//! The webhook's golden cases, as a real API server sees them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use azwi_tests::cluster::Cluster;

/// The `patched.yaml` of all cases that have one, but for the one with fields that no API server knows.
fn patched() -> Result<Vec<PathBuf>> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/webhook/tests/golden");
    let mut found = Vec::new();
    for case in fs::read_dir(cases)? {
        let file = case?.path().join("patched.yaml");
        if file.is_file() && !file.parent().is_some_and(|case| case.ends_with("fields_that_nobody_knows_survive")) {
            found.push(file);
        }
    }
    Ok(found)
}

#[test]
fn every_patched_pod_is_accepted_by_a_strict_server() -> Result<()> {
    // Not yet on by default.
    let cluster = Cluster::start_with(&["--feature-gates=ClusterTrustBundle=true,ClusterTrustBundleProjection=true"])?;
    cluster.namespace("shop")?;
    cluster.kubectl(&["create", "serviceaccount", "cart", "--namespace=shop"])?;
    let files = patched()?;
    let mut arguments = vec!["create", "--dry-run=server", "--validate=strict", "--output=name"];
    for file in &files {
        arguments.extend(["--filename", file.to_str().context("the path is not UTF-8")?]);
    }
    let accepted = cluster.kubectl(&arguments)?;
    assert!(files.len() > 30, "{files:?}");
    assert_eq!(accepted.lines().count(), files.len(), "{accepted}");
    Ok(())
}
