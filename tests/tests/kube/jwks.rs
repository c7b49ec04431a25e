//! `azwi jwks` beside what the API server publishes of the same keys.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::cluster::Cluster;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512};
use serde_json::Value;
use tempfile::TempDir;

fn sorted(document: &str) -> Result<Vec<Value>> {
    let mut document: Value = serde_json::from_str(document)?;
    let keys = document["keys"].as_array_mut().context("no keys")?;
    keys.sort_by_key(|key| key["kid"].to_string());
    Ok(std::mem::take(keys))
}

#[test]
fn azwi_jwks_says_of_keys_what_the_api_server_says() -> Result<()> {
    let directory = TempDir::new()?;
    let mut files = Vec::new();
    for (index, curve) in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512].iter().enumerate()
    {
        let file = directory.path().join(format!("{index}.pub"));
        fs::write(&file, KeyPair::generate_for(curve)?.public_key_pem())?;
        files.push(file.display().to_string());
    }
    let flags: Vec<_> = files.iter().map(|file| format!("--service-account-key-file={file}")).collect();
    let cluster = Cluster::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    files.push(cluster.directory().join("service-accounts.key").display().to_string());
    let output = Command::new(binary("azwi")?).args(["jwks", "--public-keys", &files.join(",")]).output()?;
    let published = cluster.kubectl(&["get", "--raw=/openid/v1/jwks"])?;
    let keys = sorted(&published)?;
    assert_eq!(keys.len(), 4);
    assert_eq!(sorted(&String::from_utf8(output.stdout)?)?, keys);
    Ok(())
}
