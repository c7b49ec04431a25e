//! The plain manifest in `deploy/`, which is the chart as it is by default: what it asks of the webhook's image is what is in
//! that image.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]
#![expect(clippy::indexing_slicing, reason = "JSON holds null where it has no such field")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use azwi_tests::binaries::binary;
use serde_json::{Value, json};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The only object of its kind.
fn object(kind: &str) -> Value {
    let filled =
        [("${AZURE_TENANT_ID}", "contoso.com"), ("${AZURE_ENVIRONMENT:-AzurePublicCloud}", "AzurePublicCloud")];
    let text = filled.iter().fold(file("deploy/azure-wi-webhook.yaml"), |text, (from, to)| text.replace(from, to));
    let objects = serde_saphyr::from_multiple::<Value>(&text).unwrap();
    let [object] = objects.into_iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>().try_into().unwrap();
    object
}

fn container() -> Value {
    object("Deployment")["spec"]["template"]["spec"]["containers"][0].clone()
}

/// What the last instruction of that name in a Dockerfile says.
fn instruction(dockerfile: &str, name: &str) -> String {
    let text = file(dockerfile);
    let last = text.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    last.to_owned()
}

/// The webhook with the Deployment's arguments and environment, but at free ports, and without a cluster.
fn started() -> Output {
    let container = container();
    let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
    let args = args.map(|arg| match arg.split_once("-addr=:") {
        Some((flag, _)) => format!("{flag}-addr=127.0.0.1:0"),
        None => arg.to_owned(),
    });
    let config = object("ConfigMap")["data"].clone();
    let variables = config.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
    // Where it starts, it must not run for ever.
    let mut command = Command::new("timeout");
    command.arg("10").arg(binary("azwi-webhook").unwrap()).args(args);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("KUBECONFIG", "/nonexistent").envs(variables);
    command.output().unwrap()
}

#[test]
fn the_command_is_the_images_program() {
    let entrypoint: Value = serde_json::from_str(&instruction("Dockerfile.webhook", "ENTRYPOINT")).unwrap();
    assert_eq!(container()["command"], entrypoint);
}

#[test]
fn the_user_is_the_images_and_not_root() {
    let security = &container()["securityContext"];
    let user = format!("{}:{}", security["runAsUser"], security["runAsGroup"]);
    assert_eq!(user, instruction("Dockerfile.webhook", "USER"));
    assert_eq!(security["runAsNonRoot"], true);
}

#[test]
fn the_arguments_and_the_environment_are_understood() {
    let output = started();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && log.contains("there is no cluster"), "{log}");
}

#[test]
fn the_three_images_are_those_of_this_version_under_the_names_that_they_are_built_with() {
    let config = &object("ConfigMap")["data"];
    for (found, name) in [
        (&container()["image"], "azwi-webhook"),
        (&config["PROXY_IMAGE"], "azwi-proxy"),
        (&config["PROXY_INIT_IMAGE"], "azwi-proxy-init"),
    ] {
        assert_eq!(*found, json!(format!("registry.example/{name}:{}", env!("CARGO_PKG_VERSION"))));
        assert!(file("docs/images.md").contains(&format!("\n| `{name}` |")), "{name}");
    }
}
