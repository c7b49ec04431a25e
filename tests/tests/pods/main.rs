//! The images in real containers: `cargo xtask e2e pods`.
//!
//! podman is no Kubernetes: what it lacks is emulated step by step here, and such tests say so in their names.
//! docs/pods.md lists the differences.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]
#![expect(clippy::indexing_slicing, reason = "JSON holds null where it has no such field")]

mod manifest;
mod podman;

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use azwi_tests::emulator::{DEMO_SUBJECT, Emulator, clients};
use serde_json::{Value, json};

use manifest::{Cluster, TOKENS, example};
use podman::{APP_IMAGE, GATEWAY, Podman, architecture};

const APP: &str = "legacy-app-app";
const PROXY: &str = "legacy-app-azwi-proxy";
/// Waits, and does nothing else: the app is asked by `exec`.
const WAIT: [&str; 2] = ["/usr/bin/catatonit", "-P"];
const ASK: &str = "/unmodified-app";

/// podman, and the emulator where pods reach it.
struct Stage {
    podman: Podman,
    entra: Emulator<'static>,
}

impl Stage {
    fn new() -> Self {
        let podman = Podman::new().unwrap();
        let entra = Emulator::start_with(None, &["--entra-address=0.0.0.0:0", "--san", GATEWAY]).unwrap();
        let stage = Self { podman, entra };
        let tokens = stage.podman.path("tokens");
        fs::create_dir(&tokens).unwrap();
        stage.entra.write_token(&tokens.join("azure-identity-token"), DEMO_SUBJECT).unwrap();
        fs::copy(stage.entra.ca_file(), tokens.join("ca.crt")).unwrap();
        // The sidecar's user is another one.
        for path in [stage.podman.path(""), tokens.clone(), tokens.join("azure-identity-token"), tokens.join("ca.crt")]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        stage
    }

    /// The pod of an example, with an app that waits.
    fn pod(&self, name: &str) -> Value {
        let tokens = self.podman.path("tokens");
        let mut pod = example(name, &Cluster { tokens: &tokens, authority: self.entra.authority() }).unwrap();
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        let app = containers.iter_mut().find(|container| container["image"] == APP_IMAGE).unwrap();
        app["command"] = json!(WAIT);
        pod
    }

    /// With the pod of `pod-sidecar.yaml` running.
    fn playing() -> Self {
        let stage = Self::new();
        stage.podman.play(&stage.pod("pod-sidecar.yaml")).unwrap();
        stage
    }

    /// Two requests of the app, by its SDK; the claims of its tokens.
    fn ask(&self) -> Vec<Value> {
        self.ask_in(APP)
    }

    /// The same of an app in another container.
    fn ask_in(&self, container: &str) -> Vec<Value> {
        claims(&self.podman.run(&["exec", container, ASK]).unwrap())
    }

    /// What `podman inspect` tells of a container.
    fn state(&self, container: &str, what: &str) -> String {
        self.podman.run(&["inspect", "--format", &format!("{{{{.State.{what}}}}}"), container]).unwrap()
    }
}

/// An app that goes on, in one process, whatever becomes of its sidecar.
struct LivingApp {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl LivingApp {
    /// Which has asked twice already.
    fn start(stage: &Stage) -> Self {
        let mut command = stage.podman.command("podman");
        command.args(["exec", "--interactive", APP, ASK, "--stay"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut app = Self { process, answers };
        assert_is_token(&[app.answer(), app.answer()]);
        app
    }

    fn asks_again(&mut self) -> Value {
        writeln!(self.process.stdin.as_mut().unwrap()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        claims(&self.answers.next().unwrap().unwrap()).remove(0)
    }
}

impl Drop for LivingApp {
    /// It ends with its input.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

fn claims(told: &str) -> Vec<Value> {
    told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["claims"].clone()).collect()
}

fn assert_is_token(claims: &[Value]) {
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().all(|claims| claims["appid"] == clients::DEMO), "{claims:?}");
}

#[test]
fn an_unmodified_app_gets_its_tokens_and_entra_is_asked_once() {
    let stage = Stage::playing();
    assert_is_token(&stage.ask());
    assert_eq!(stage.entra.counters().unwrap().exchanges, 1);
}

#[test]
fn in_the_pod_of_the_migration_guide_with_what_a_webhook_would_add_an_app_gets_its_tokens() {
    let stage = Stage::new();
    stage.podman.play(&stage.pod("pod-migrated.yaml")).unwrap();
    stage.podman.run(&["exec", "legacy-app-proxy", "/proxy", "--probe", "--proxy-port=8000"]).unwrap();
    assert_is_token(&stage.ask_in("legacy-app-nginx"));
}

#[test]
fn in_the_pod_with_several_identities_an_app_gets_the_one_that_it_asks_for_by_resource_id() {
    let stage = Stage::new();
    stage.podman.play(&stage.pod("pod-several-identities.yaml")).unwrap();
    assert_is_token(&stage.ask());
    let cart = "/subscriptions/55555555-5555-4555-8555-555555555555/resourceGroups/shop/providers/\
                Microsoft.ManagedIdentity/userAssignedIdentities/cart";
    let told = stage.podman.run(&["exec", APP, ASK, "--resource-id", cart]).unwrap();
    assert!(claims(&told).iter().all(|claims| claims["appid"] == clients::SECOND), "{told}");
}

#[test]
fn the_init_container_needs_net_admin_and_nothing_else() {
    let podman = Podman::new().unwrap();
    let image = format!("localhost/azwi-proxy-init:{}", architecture());
    let bounds = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"];
    let run = |more: &[&str]| podman.output(&[&["run", "--rm"], &bounds[..], more, &[&image]].concat()).unwrap();
    let permitted = run(&["--cap-add=NET_ADMIN"]);
    let log = String::from_utf8_lossy(&permitted.stderr).into_owned();
    assert!(permitted.status.success() && log.contains("\"exemption_shown_by\":\"its rule\""), "{log}");
    let refused = run(&[]);
    let log = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && log.contains("NET_ADMIN"), "{log}");
}

#[test]
fn the_init_container_refuses_the_machines_network() {
    // Else this machine is a container itself, and the init container would find nothing to refuse.
    assert!(Path::new("/proc/sys/net/core/netdev_budget").exists(), "not in the machine's own network");
    let podman = Podman::new().unwrap();
    let image = format!("localhost/azwi-proxy-init:{}", architecture());
    let run = podman.output(&["run", "--rm", "--network=host", "--cap-add=NET_ADMIN", &image]).unwrap();
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(1) && log.contains("hostNetwork"), "{log}");
}

#[test]
fn the_sidecar_runs_read_only_without_a_capability_and_behind_seccomp() {
    let stage = Stage::playing();
    let read_only = stage.podman.run(&["inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", PROXY]).unwrap();
    assert_eq!(read_only, "true");
    let status = fs::read_to_string(format!("/proc/{}/status", stage.state(PROXY, "Pid"))).unwrap();
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(value("Uid:").split_whitespace().next(), Some("1501"));
    assert_eq!([value("CapEff:"), value("CapBnd:")], ["0000000000000000", "0000000000000000"]);
    assert_eq!(value("Seccomp:"), "2");
    let options = stage.podman.run(&["inspect", "--format", "{{.HostConfig.SecurityOpt}}", PROXY]).unwrap();
    assert!(options.contains("no-new-privileges"), "{options}");
}

#[test]
fn in_the_order_of_native_sidecars_emulated_step_by_step_an_init_container_of_the_user_gets_a_token() {
    let stage = Stage::new();
    stage.podman.create_pod("legacy-app").unwrap();
    let image = |name| format!("localhost/{name}:{}", architecture());
    let tokens = stage.podman.path("tokens");
    let volume = format!("{}:{TOKENS}:ro", tokens.display());
    let authority = format!("AZURE_AUTHORITY_HOST={}", stage.entra.authority());
    let tenant = format!("AZURE_TENANT_ID={}", stage.entra.tenant());
    let (client, file) = (format!("AZURE_CLIENT_ID={}", clients::DEMO), format!("{TOKENS}/azure-identity-token"));
    let file = format!("AZURE_FEDERATED_TOKEN_FILE={file}");
    let locked = ["--pod=legacy-app", "--cap-drop=all", "--read-only"];
    let run = |more: &[&str]| stage.podman.run(&[&["run"], &locked[..], more].concat()).unwrap();

    run(&["--rm", "--cap-add=NET_ADMIN", &image("azwi-proxy-init")]);
    let variables = ["--env", &authority, "--env", &tenant, "--env", &client, "--env", &file];
    let ca_file = format!("--ca-file={TOKENS}/ca.crt");
    run(&[&["--detach", "--name", PROXY, "--volume", &volume], &variables[..], &[&image("azwi-proxy"), &ca_file]]
        .concat());
    // The startup probe, before which Kubernetes starts nobody.
    stage.podman.run(&["exec", PROXY, "/proxy", "--probe"]).unwrap();
    assert_is_token(&claims(&run(&["--rm", APP_IMAGE])));
}

#[test]
fn a_sidecar_that_is_restarted_serves_the_app_that_goes_on() {
    let stage = Stage::playing();
    let mut app = LivingApp::start(&stage);
    stage.podman.run(&["restart", PROXY]).unwrap();
    assert_eq!(app.asks_again()["appid"], clients::DEMO);
    assert_eq!(stage.entra.counters().unwrap().exchanges, 2);
}

#[test]
fn a_sidecar_that_was_killed_serves_the_apps_next_request_once_it_is_back() {
    let stage = Stage::playing();
    let mut app = LivingApp::start(&stage);
    stage.podman.run(&["kill", "--signal=KILL", PROXY]).unwrap();
    stage.podman.run(&["wait", PROXY]).unwrap();
    assert_eq!(stage.state(PROXY, "ExitCode"), "137");
    stage.podman.run(&["start", PROXY]).unwrap();
    assert_eq!(app.asks_again()["appid"], clients::DEMO);
}

#[test]
fn a_pod_is_stopped_in_less_than_two_seconds() {
    let stage = Stage::playing();
    assert_is_token(&stage.ask());
    let told = Instant::now();
    stage.podman.run(&["pod", "stop", "legacy-app"]).unwrap();
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    assert_eq!(stage.state(PROXY, "ExitCode"), "0");
}

#[test]
fn a_job_ends_when_its_app_has_and_its_sidecar_is_told_to_as_emulated_here() {
    let stage = Stage::new();
    let mut pod = stage.pod("pod-sidecar.yaml");
    pod["spec"]["containers"][1]["command"] = json!([ASK]);
    stage.podman.play(&pod).unwrap();
    assert_eq!(stage.podman.run(&["wait", APP]).unwrap(), "0");
    assert_is_token(&claims(&stage.podman.run(&["logs", APP]).unwrap()));
    // What a kubelet does with a native sidecar once all else has ended.
    stage.podman.run(&["stop", PROXY]).unwrap();
    assert_eq!(stage.state(PROXY, "ExitCode"), "0");
}
