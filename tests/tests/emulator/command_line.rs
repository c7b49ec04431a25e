//! The command line: exit codes, messages, and what outlives a process.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use azwi_tests::emulator::{DEMO_SUBJECT, clients};
use azwi_tests::jwt;
use azwi_tests::process::Process;
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{command, form, post, start, start_with, trusting};

fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> Vec<&str> {
    std::str::from_utf8(&output.stderr).unwrap().lines().collect()
}

/// `serve` on free ports, and its ready line.
fn serve(dir: &Path, issuer_address: &str) -> (Process, Value) {
    let mut serve = command();
    serve.args(["serve", "--entra-address=127.0.0.1:0", "--control-address=127.0.0.1:0", "--dir"]).arg(dir);
    serve.args(["--issuer-address", issuer_address]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Process::spawn(&mut serve).unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    child.stdout = Some(stdout.into_inner());
    (child, serde_json::from_str(&line).unwrap())
}

#[test]
fn sigterm_ends_it_with_0_and_nothing_but_the_ready_line_on_stdout() {
    let dir = TempDir::new().unwrap();
    let (mut child, ready) = serve(dir.path(), "127.0.0.1:0");
    assert!(ready["ca_file"].as_str().unwrap().starts_with('/'));
    child.terminate().unwrap();
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn a_restart_keeps_the_keys_and_the_authority() {
    let dir = TempDir::new().unwrap();
    let kept = || ["ca.crt", "ca.key", "cluster.key", "entra.key"].map(|name| fs::read(dir.path().join(name)).unwrap());
    let (mut child, _) = serve(dir.path(), "127.0.0.1:0");
    let before = kept();
    child.terminate().unwrap();
    child.wait().unwrap();
    let (mut child, _) = serve(dir.path(), "127.0.0.1:0");
    assert_eq!(kept(), before);
    child.terminate().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_token_minted_before_a_restart_is_good_after_it() {
    let dir = TempDir::new().unwrap();
    let (mut child, ready) = serve(dir.path(), "127.0.0.1:0");
    let issuer = ready["issuer"].as_str().unwrap();
    let arguments = ["token", "--subject", DEMO_SUBJECT, "--dir", dir.path().to_str().unwrap()];
    let token = String::from_utf8(run(&arguments).stdout).unwrap();
    child.terminate().unwrap();
    child.wait().unwrap();
    let address = issuer.replace("https://localhost", "127.0.0.1");
    let (mut child, ready) = serve(dir.path(), &address);
    let client = trusting(Path::new(ready["ca_file"].as_str().unwrap())).build().unwrap();
    let (authority, tenant) = (ready["authority"].as_str().unwrap(), ready["tenant_id"].as_str().unwrap());
    let url = format!("{authority}{tenant}/oauth2/v2.0/token");
    let response = post(&client, &url, form(clients::DEMO, token.trim())).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    child.terminate().unwrap();
    child.wait().unwrap();
}

#[test]
fn private_keys_are_for_their_owner_only() {
    let emulator = start();
    for name in ["ca.key", "cluster.key", "entra.key"] {
        let mode = fs::metadata(emulator.dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn every_bad_flag_and_field_is_told_at_once_with_64() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("config.json");
    fs::write(&config, r#"{"tenants":[{"id":"x","applications":[]},{"id":1,"applications":[]}]}"#).unwrap();
    let output = run(&[
        "serve",
        "--entra-address=nowhere",
        "--control-address=1.2.3.4",
        "--issuer-ca=/nonexistent",
        "--san=*.*",
        "--san=nämlich",
        "--config",
        config.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(64));
    let errors = stderr(&output);
    let named =
        ["--entra-address", "--control-address", "--issuer-ca", "--config: tenants[0].id", "--config: tenants[1].id"];
    for name in named {
        assert!(errors.iter().any(|error| error.contains(name)), "{name} in {errors:?}");
    }
}

#[test]
fn an_unknown_flag_is_64() {
    assert_eq!(run(&["serve", "--bogus"]).status.code(), Some(64));
}

#[test]
fn an_address_in_use_is_1_and_names_its_flag_and_a_remedy() {
    let emulator = start();
    let dir = TempDir::new().unwrap();
    let address = emulator.control().strip_prefix("http://").unwrap();
    let output = run(&["serve", "--dir", dir.path().to_str().unwrap(), "--entra-address", address]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output)[0];
    assert!(error.contains("--entra-address: cannot listen on") && error.contains("another port"), "{error}");
}

#[test]
fn a_directory_that_is_being_served_is_refused_to_another_serve_with_1() {
    let emulator = start();
    let output = run(&["serve", "--dir", emulator.dir().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output)[0].contains("another `azwi-emulator serve` is using"), "{output:?}");
    emulator.counters().unwrap();
}

#[test]
fn an_address_that_others_reach_needs_a_name_for_its_certificate() {
    let output = run(&["serve", "--entra-address=0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output)[0].contains("--san"), "{output:?}");
}

#[test]
fn the_printed_configuration_is_the_default_one_and_is_accepted() {
    let output = run(&["serve", "--print-config"]);
    let config = String::from_utf8(output.stdout).unwrap();
    let emulator = start_with(Some(&config), &[]);
    assert_eq!(emulator.tenant(), start().tenant());
}

#[test]
fn a_token_before_the_first_serve_is_refused_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let output = run(&["token", "--subject", DEMO_SUBJECT, "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output)[0].contains("run `azwi-emulator serve --dir"), "{output:?}");
}

#[test]
fn a_subject_that_is_no_service_account_is_refused() {
    let output = run(&["token", "--subject", "somebody"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output)[0].contains("--subject"), "{output:?}");
}

#[test]
fn a_token_has_the_shape_that_kubernetes_gives_it() {
    let emulator = start();
    let token = emulator.token("system:serviceaccount:shop:cart").unwrap();
    let claims = jwt::claims(&token);
    let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "kubernetes.io", "nbf", "sub"]);
    assert_eq!(claims["aud"][0], "api://AzureADTokenExchange");
    assert_eq!(claims["kubernetes.io"]["namespace"], "shop");
    assert_eq!(claims["kubernetes.io"]["serviceaccount"]["name"], "cart");
    assert!(claims["kubernetes.io"]["pod"]["uid"].is_string());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[test]
fn control_of_an_emulator_that_has_gone_is_64_and_says_what_to_run() {
    let dir = TempDir::new().unwrap();
    let (mut child, _) = serve(dir.path(), "127.0.0.1:0");
    child.kill().unwrap();
    child.wait().unwrap();
    let output = run(&["counters", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    let error = stderr(&output)[0];
    assert!(error.contains("no emulator answers at http://127.0.0.1:") && error.contains("serve --dir"), "{error}");
}
