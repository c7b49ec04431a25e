//! Which files the sidecar can still read once it has restricted itself.
//!
//! Without Landlock in the kernel nothing here would mean anything: `cargo xtask test landlock` looks first.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::{DEMO, RESOURCE, SUBJECT, Stage, alone};
use azwi_tests::tls_server::{Authority, TlsServer, token_answer};
use serde_json::Value;

/// Whether the sidecar reads a token that lies somewhere else than it knew at its start.
fn reads_elsewhere(args: &[&str]) -> Result<bool> {
    let stage = Stage::with(&[], args)?;
    let elsewhere = tempfile::tempdir()?;
    stage.entra.write_token(&elsewhere.path().join("token"), SUBJECT)?;
    fs::remove_file(stage.token_file())?;
    symlink(elsewhere.path().join("token"), stage.token_file())?;
    let response = stage.proxy.ask("GET", "/readyz", &[])?;
    ensure!(response.status == 200 || response.body.contains("Permission denied"), "{}", response.body);
    Ok(response.status == 200)
}

#[test]
fn a_file_that_was_not_foreseen_cannot_be_read() -> Result<()> {
    assert!(!reads_elsewhere(&[])?);
    assert!(reads_elsewhere(&["--sandbox=off"])?);
    Ok(())
}

/// Fills a projected volume as a kubelet does: each rotation puts all `files`, by their path in the volume, into a new
/// directory, to which `..data` then leads in place of the old one. Only the first part of a path is a link of its own.
fn project(volume: &Path, timestamp: &str, files: &[(&str, String)]) -> Result<()> {
    let payload = volume.join(timestamp);
    for (path, content) in files {
        let file = payload.join(path);
        fs::create_dir_all(file.parent().context("no directory")?)?;
        fs::write(file, content)?;
    }
    symlink(timestamp, volume.join("..data_tmp"))?;
    let before = fs::read_link(volume.join("..data"));
    fs::rename(volume.join("..data_tmp"), volume.join("..data"))?;
    if let Ok(before) = before {
        return Ok(fs::remove_dir_all(volume.join(before))?);
    }
    for entry in fs::read_dir(payload)? {
        let name = entry?.file_name();
        symlink(Path::new("..data").join(&name), volume.join(name))?;
    }
    Ok(())
}

/// A sidecar whose token is at `path` in its volume, through two rotations.
fn reads_what_is_rotated(path: &str) -> Result<()> {
    let volume = tempfile::tempdir()?;
    project(volume.path(), "..2026_11_22_10", &[(path, "stale".to_owned())])?;
    let token_file = volume.path().join(path).to_string_lossy().into_owned();
    let stage = Stage::with(&[("AZURE_FEDERATED_TOKEN_FILE", &token_file)], &[])?;
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 503);
    for timestamp in ["..2026_11_22_11", "..2026_11_22_12"] {
        project(volume.path(), timestamp, &[(path, stage.entra.token(SUBJECT)?)])?;
        assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.body, "ok");
    }
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

#[test]
fn a_token_that_a_kubelet_rotates_goes_on_being_read() -> Result<()> {
    reads_what_is_rotated("token")
}

/// Where the webhook of azure-workload-identity has it in the volume.
#[test]
fn a_token_in_a_directory_that_a_kubelet_replaces_goes_on_being_read() -> Result<()> {
    reads_what_is_rotated("token/azure-identity-token")
}

/// Where an identity binding of AKS has it in the volume, by azure-workload-identity's webhook.
#[test]
fn a_certificate_authority_in_a_directory_that_a_kubelet_replaces_goes_on_being_read() -> Result<()> {
    let (directory, volume) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let rotate = |timestamp, authority: &Authority| {
        project(volume.path(), timestamp, &[("ca-cert/ca.crt", authority.pem().to_owned())])
    };
    let mut authority = Authority::new("first")?;
    rotate("..2026_11_22_10", &authority)?;
    let server = TlsServer::start(authority.certify(&["localhost"])?, &token_answer())?;
    let url = format!("https://localhost:{}/", server.port());
    let ca_file = volume.path().join("ca-cert/ca.crt").to_string_lossy().into_owned();
    let env = [("AZURE_KUBERNETES_TOKEN_PROXY", url.as_str()), ("AZURE_KUBERNETES_CA_FILE", &ca_file)];
    let proxy = alone(directory.path(), &env, &[])?;
    for timestamp in ["..2026_11_22_11", "..2026_11_22_12"] {
        authority = Authority::new(timestamp)?;
        server.replace_certificate(authority.certify(&["localhost"])?);
        rotate(timestamp, &authority)?;
        let response = proxy.token(&format!("resource=https://{}.example", timestamp.trim_start_matches('.')))?;
        assert_eq!(response.status, 200, "{timestamp}: {}", response.body);
    }
    Ok(())
}

#[test]
fn a_token_whose_first_directory_is_not_there_yet_does_not_open_the_whole_file_system() -> Result<()> {
    let proxy = Proxy::start(&[("AZURE_FEDERATED_TOKEN_FILE", "/not-there/x/token")], &[])?;
    let report = proxy.log.wait_for(&[("message", "sandbox")]).context("nothing about a sandbox")?;
    let said = |what: &str| report.get(what).and_then(Value::as_str).unwrap_or_default();
    assert_eq!((said("readable"), said("out_of_reach")), ("", "/not-there/x/token"));
    Ok(())
}

#[test]
fn a_token_whose_directory_appears_after_the_start_is_read() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let volume = directory.path().join("not/yet");
    let token_file = volume.join("token").to_string_lossy().into_owned();
    let stage = Stage::with(&[("AZURE_FEDERATED_TOKEN_FILE", &token_file)], &[])?;
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 503);
    fs::create_dir_all(&volume)?;
    stage.entra.write_token(&volume.join("token"), SUBJECT)?;
    assert_eq!(stage.token()?.status, 200);
    Ok(())
}

/// A sidecar whose authority only the roots in `env` can vouch for.
fn without_ca_file(stage: &Stage, env: &[(&str, &str)]) -> Result<Proxy> {
    let token_file = stage.token_file().to_string_lossy().into_owned();
    let usual = [
        ("AZURE_CLIENT_ID", DEMO),
        ("AZURE_TENANT_ID", stage.entra.tenant()),
        ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
        ("AZURE_AUTHORITY_HOST", stage.entra.authority()),
    ];
    Proxy::start(&usual.iter().chain(env).copied().collect::<Vec<_>>(), &[])
}

#[test]
fn the_roots_that_a_variable_names_are_there_for_the_first_exchange() -> Result<()> {
    let stage = Stage::new()?;
    let ca_file = stage.entra.ca_file().to_string_lossy().into_owned();
    let proxy = without_ca_file(&stage, &[("SSL_CERT_FILE", &ca_file)])?;
    assert_eq!(proxy.token(RESOURCE)?.status, 200);
    Ok(())
}

#[test]
fn the_systems_roots_are_all_there_for_the_first_exchange() -> Result<()> {
    let stage = Stage::new()?;
    let mut proxy = without_ca_file(&stage, &[])?;
    // They do not vouch for the emulator, but they have been looked at.
    assert!(proxy.token(RESOURCE)?.field("error_description").contains("certificate"));
    proxy.terminate()?;
    proxy.wait()?;
    let log = proxy.log.whole();
    assert!(!log.contains("root certificate cannot be used"), "{log}");
    Ok(())
}
