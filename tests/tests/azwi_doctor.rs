//! `azwi doctor` and `azwi token` as they are run.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test, in helpers too")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use azwi_tests::binaries::binary;
use azwi_tests::emulator::{DEMO_SUBJECT, Emulator, clients};
use azwi_tests::tls_server::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

fn azwi(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(binary("azwi").unwrap()).args(arguments).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A deployment that is set up, and its service account.
fn cluster(client_id: &str) -> Value {
    let bundle = STANDARD.encode(Authority::new("webhook").unwrap().pem());
    let selector = json!({ "matchLabels": { "azure.workload.identity/use": "true" } });
    json!({ "kind": "List", "items": [
        {
            "kind": "Deployment",
            "metadata": { "name": "demo" },
            "spec": { "template": {
                "metadata": { "labels": { "azure.workload.identity/use": "true" } },
                "spec": { "serviceAccountName": "demo" },
            } },
        },
        {
            "kind": "ServiceAccount",
            "metadata": { "name": "demo", "annotations": { "azure.workload.identity/client-id": client_id } },
        },
        {
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": "azure-wi-webhook" },
            "webhooks": [{ "name": "w", "objectSelector": selector, "clientConfig": { "caBundle": bundle } }],
        },
    ] })
}

fn with_files(files: &[(&str, String)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

#[test]
fn a_chain_that_holds_is_exit_code_0() {
    let dir = with_files(&[("cluster.json", cluster(clients::DEMO).to_string())]);
    let output = azwi(dir.path(), &["doctor", "--offline", "cluster.json"]);
    let wanted = "\
✓ deployment/demo: label: azure.workload.identity/use: \"true\"
✓ deployment/demo: service account: default/demo
✓ deployment/demo: client id: 22222222-2222-4222-8222-222222222222
✓ deployment/demo: webhook: w in azure-wi-webhook, certificate authority until Jan  1 00:00:00 4096 +00:00
";
    assert_eq!((stdout(&output).as_str(), output.status.code()), (wanted, Some(0)));
}

#[test]
fn a_link_that_does_not_hold_is_exit_code_1_with_its_fix() {
    let dir = with_files(&[("cluster.json", cluster("demo").to_string())]);
    let output = azwi(dir.path(), &["doctor", "deployment/demo", "--offline", "cluster.json", "--output", "json"]);
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("azwi: 1 of 4 checks do not hold\n", Some(1)));
    let checks: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failing: Vec<_> = checks.as_array().unwrap().iter().filter(|check| check["holds"] == false).collect();
    assert_eq!((failing.len(), &failing[0]["name"]), (1, &json!("client id")));
    assert!(failing[0]["fix"].as_str().unwrap().starts_with("kubectl annotate serviceaccount demo "));
}

#[test]
fn a_workload_that_is_not_there_is_exit_code_1() {
    let dir = with_files(&[("cluster.json", cluster(clients::DEMO).to_string())]);
    let output = azwi(dir.path(), &["doctor", "pod/other", "--offline", "cluster.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "azwi: there is no pod/other in the files\n");
}

#[test]
fn a_token_is_compared_and_never_shown() {
    let emulator = Emulator::start().unwrap();
    let token = emulator.token(DEMO_SUBJECT).unwrap();
    let credentials = json!([{
        "name": "demo", "issuer": format!("{}/", emulator.issuer()), "subject": DEMO_SUBJECT,
        "audiences": ["api://AzureADTokenExchange"],
    }]);
    let dir = with_files(&[
        ("cluster.json", cluster(clients::DEMO).to_string()),
        ("credentials.json", credentials.to_string()),
        ("token", token.clone()),
    ]);
    let arguments = ["doctor", "--offline", "cluster.json,credentials.json", "--token-file", "token"];
    let output = azwi(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output) + &stderr(&output);
    assert!(said.contains("has a slash too many at the end"), "{said}");
    for part in token.split('.') {
        assert!(!said.contains(part), "{said}");
    }
}

#[test]
fn what_the_files_do_not_have_is_not_said_to_be_missing() {
    let emulator = Emulator::start().unwrap();
    let pod = json!({
        "kind": "Pod", "metadata": { "name": "demo", "labels": { "azure.workload.identity/use": "true" } }, "spec": {},
    });
    let dir = with_files(&[("pod.json", pod.to_string()), ("token", emulator.token(DEMO_SUBJECT).unwrap())]);
    let said = stdout(&azwi(dir.path(), &["doctor", "--offline", "pod.json", "--token-file", "token"]));
    for name in ["pod/demo: service account", "pod/demo: webhook", "token: federated credential"] {
        assert!(said.contains(&format!("? {name}: none in the files: add what ")), "{name}: {said}");
    }
}

fn exchange(emulator: &Emulator<'_>, client_id: &str, more: &[&str]) -> Output {
    let dir = with_files(&[("token", emulator.token(DEMO_SUBJECT).unwrap())]);
    let ca_file = emulator.ca_file();
    let flags = ["token", "--token-file", "token", "--client-id", client_id, "--tenant-id", emulator.tenant()];
    let there = ["--authority-host", emulator.authority(), "--ca-file", ca_file.to_str().unwrap()];
    azwi(dir.path(), &[&flags[..], &there[..], more].concat())
}

#[test]
fn an_access_token_is_shown_by_its_claims() {
    let emulator = Emulator::start().unwrap();
    let output = exchange(&emulator, clients::DEMO, &["--resource", "https://vault.azure.net"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let claims: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&claims["appid"], &claims["aud"]), (&json!(clients::DEMO), &json!("https://vault.azure.net")));
}

#[test]
fn an_access_token_itself_is_shown_to_who_asks_for_it() {
    let emulator = Emulator::start().unwrap();
    let output = exchange(&emulator, clients::DEMO, &["--show-token"]);
    assert_eq!(stdout(&output).trim_end().split('.').count(), 3);
}

#[test]
fn a_refusal_has_entras_words_and_exit_code_1() {
    let emulator = Emulator::start().unwrap();
    let output = exchange(&emulator, clients::ORPHAN, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("azwi: AADSTS700213: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("\n  cause: no federated credential has this subject\n  fix: It is "));
}

/// In a pod as the webhook leaves it.
#[test]
fn without_flags_the_pods_variables_are_used() {
    let emulator = Emulator::start().unwrap();
    let dir = with_files(&[("token", emulator.token(DEMO_SUBJECT).unwrap())]);
    let mut command = Command::new(binary("azwi").unwrap());
    command.env_clear().env("SSL_CERT_FILE", emulator.ca_file()).current_dir(dir.path()).arg("token");
    let variables = [("AZURE_CLIENT_ID", clients::DEMO), ("AZURE_TENANT_ID", emulator.tenant())];
    command
        .envs(variables)
        .env("AZURE_AUTHORITY_HOST", emulator.authority())
        .env("AZURE_FEDERATED_TOKEN_FILE", "token");
    command.arg("--ca-file").arg(emulator.ca_file());
    let output = command.output().unwrap();
    let claims: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!(claims["appid"], clients::DEMO);
}

#[test]
fn what_is_missing_is_named_with_all_ways_to_say_it() {
    let dir = with_files(&[("token", "x".to_owned())]);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary("azwi").unwrap());
        stderr(&command.env_clear().current_dir(dir.path()).arg("token").args(arguments).output().unwrap())
    };
    let nothing = "azwi: --token-file, AZURE_FEDERATED_TOKEN_FILE, or --service-account with a service account's name: one is needed\n";
    assert_eq!(run(&[]), nothing);
    let client = "azwi: --client-id, AZURE_CLIENT_ID or the service account's annotation azure.workload.identity/client-id: one is needed\n";
    assert_eq!(run(&["--token-file=token"]), client);
    let wrong = run(&["--token-file=token", "--client-id=cart", "--tenant-id=x"]);
    assert!(wrong.starts_with("azwi: --client-id: "), "{wrong}");
}
