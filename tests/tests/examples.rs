//! The manifests in `examples/`: understood by Kubernetes, and in accord with the programs that they run.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]
#![expect(clippy::indexing_slicing, reason = "JSON holds null where it has no such field")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use azwi_conventions::{
    DEFAULT_PROXY_PORT, IDENTITY_BINDING_AUDIENCE, PROXY_UID, TOKEN_EXCHANGE_AUDIENCE, annotation, env, label, volume,
};
use azwi_tests::binaries::binary;
use azwi_tests::stage::{RESOURCE, SECOND, Stage};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, Pod, PodSpec, SecurityContext, ServiceAccount, ServiceAccountTokenProjection, VolumeMount,
};
use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn example(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)).unwrap()
}

/// The usual one.
fn text() -> String {
    example("pod-sidecar.yaml")
}

/// The two documents of one, as YAML says them.
fn documents_of(text: &str) -> [Value; 2] {
    serde_saphyr::from_multiple::<Value>(text).unwrap().try_into().unwrap()
}

fn documents() -> [Value; 2] {
    documents_of(&text())
}

fn service_account() -> ServiceAccount {
    let [account, _] = documents();
    serde_json::from_value(account).unwrap()
}

fn pod() -> Pod {
    let [_, pod] = documents();
    serde_json::from_value(pod).unwrap()
}

fn spec() -> PodSpec {
    pod().spec.unwrap()
}

fn init_container(name: &str) -> Container {
    spec().init_containers.unwrap().into_iter().find(|container| container.name == name).unwrap()
}

fn proxy() -> Container {
    init_container("azwi-proxy")
}

fn proxy_init() -> Container {
    init_container("azwi-proxy-init")
}

fn security(container: &Container) -> &SecurityContext {
    container.security_context.as_ref().unwrap()
}

fn capabilities(container: &Container) -> &Capabilities {
    security(container).capabilities.as_ref().unwrap()
}

fn variable(container: &Container, name: &str) -> String {
    let variables = container.env.as_ref().unwrap();
    variables.iter().find(|variable| variable.name == name).and_then(|variable| variable.value.clone()).unwrap()
}

/// The only mount of the sidecar.
fn mount() -> VolumeMount {
    let [mount] = proxy().volume_mounts.unwrap().try_into().unwrap();
    mount
}

/// The only source of the volume that the sidecar mounts.
fn token_projection() -> ServiceAccountTokenProjection {
    let volume = spec().volumes.unwrap().into_iter().find(|volume| volume.name == mount().name).unwrap();
    let [source] = volume.projected.unwrap().sources.unwrap().try_into().unwrap();
    source.service_account_token.unwrap()
}

#[test]
fn kubernetes_knows_every_field() {
    // A field that its types do not know would be lost on the way through them.
    let [account, pod] = documents();
    assert_eq!(serde_json::to_value(service_account()).unwrap(), account);
    assert_eq!(serde_json::to_value(self::pod()).unwrap(), pod);
}

#[test]
fn the_pod_uses_the_service_account_whose_subject_the_instructions_name() {
    let (account, pod) = (service_account().metadata, pod());
    assert_eq!(pod.metadata.namespace, account.namespace);
    assert_eq!(pod.spec.unwrap().service_account_name, account.name);
    let subject = format!("system:serviceaccount:{}:{}", account.namespace.unwrap(), account.name.unwrap());
    assert!(text().contains(&subject));
}

#[test]
fn the_redirect_comes_first_and_the_sidecar_second_and_for_as_long_as_the_pod_lives() {
    let names: Vec<_> = spec().init_containers.unwrap().into_iter().map(|container| container.name).collect();
    assert_eq!(names, ["azwi-proxy-init", "azwi-proxy"]);
    assert_eq!(proxy().restart_policy.as_deref(), Some("Always"));
    assert_eq!(proxy_init().restart_policy, None);
}

#[test]
fn proxy_init_is_root_with_net_admin_and_nothing_else() {
    let container = proxy_init();
    assert_eq!(security(&container).run_as_user, Some(0));
    assert_eq!(security(&container).privileged, Some(false));
    assert_eq!(security(&container).allow_privilege_escalation, Some(false));
    assert_eq!(capabilities(&container).drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(capabilities(&container).add, Some(vec!["NET_ADMIN".to_owned()]));
}

#[test]
fn the_sidecar_runs_as_the_exempt_user_without_any_capability() {
    let container = proxy();
    assert_eq!(security(&container).run_as_user, Some(PROXY_UID.into()));
    assert_eq!(security(&container).run_as_group, Some(PROXY_UID.into()));
    assert_eq!(security(&container).run_as_non_root, Some(true));
    assert_eq!(security(&container).allow_privilege_escalation, Some(false));
    assert_eq!(security(&container).read_only_root_filesystem, Some(true));
    assert_eq!(capabilities(&container).drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(capabilities(&container).add, None);
}

#[test]
fn the_network_is_the_pods_own_for_the_redirect_is_for_everybody_in_it() {
    assert_eq!(spec().host_network, None);
}

#[test]
fn the_port_is_the_one_that_both_programs_take_by_default() {
    let ports: Vec<_> = proxy().ports.unwrap().iter().map(|port| port.container_port).collect();
    assert_eq!(ports, [i32::from(DEFAULT_PROXY_PORT)]);
    assert_eq!((proxy().args, proxy_init().args, proxy_init().env), (None, None, None));
}

#[test]
fn the_sidecars_variables_are_those_it_needs() {
    let names: Vec<_> = proxy().env.unwrap().into_iter().map(|variable| variable.name).collect();
    assert_eq!(names, [env::AZURE_TENANT_ID, env::AZURE_CLIENT_ID, env::AZURE_FEDERATED_TOKEN_FILE]);
}

#[test]
fn the_token_file_is_where_the_sidecar_looks_for_it_and_is_read_only() {
    let mount = mount();
    assert_eq!(mount.read_only, Some(true));
    let file = Path::new(&mount.mount_path).join(token_projection().path);
    assert_eq!(file, Path::new(&variable(&proxy(), env::AZURE_FEDERATED_TOKEN_FILE)));
}

#[test]
fn the_token_is_meant_for_entra_and_lives_as_long_as_a_kubelet_allows_at_least() {
    let token = token_projection();
    assert_eq!(token.audience.as_deref(), Some(TOKEN_EXCHANGE_AUDIENCE));
    // Kubernetes refuses less than ten minutes.
    assert!(token.expiration_seconds.unwrap() >= 600);
}

#[test]
fn the_app_knows_nothing_of_azwi() {
    let [app]: [Container; 1] = spec().containers.try_into().unwrap();
    let app = serde_json::to_value(app).unwrap();
    let fields: Vec<_> = app.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["image", "name"]);
    assert!(!app.to_string().contains("azwi"));
}

#[test]
fn the_sidecar_is_asked_whether_it_is_ready_with_flags_that_it_has() {
    let probe = proxy().startup_probe.unwrap();
    let command = probe.exec.unwrap().command.unwrap();
    let (program, arguments) = command.split_first().unwrap();
    assert_eq!(program, "/proxy");
    assert!(arguments.contains(&"--probe".to_owned()));
    let help = Command::new(binary("azwi-proxy").unwrap()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<_> = help.split_whitespace().collect();
    for argument in arguments {
        let flag = argument.split('=').next().unwrap();
        assert!(flags.contains(&flag), "{flag}");
    }
}

#[test]
fn kubernetes_waits_longer_for_the_probe_than_the_probe_for_the_sidecar() {
    let probe = proxy().startup_probe.unwrap();
    let command = probe.exec.unwrap().command.unwrap();
    let patience = command.iter().find_map(|argument| argument.strip_prefix("--probe-timeout=")).unwrap();
    assert!(probe.timeout_seconds.unwrap() > patience.parse().unwrap());
}

#[test]
fn without_a_redirect_the_pod_is_the_same_but_for_its_first_container_and_a_variable_of_the_app() {
    let [account, mut pod] = documents();
    let spec = &mut pod["spec"];
    assert_eq!(spec["initContainers"].as_array_mut().unwrap().remove(0)["name"], "azwi-proxy-init");
    spec["containers"][0]["env"] = json!([{
        "name": "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "value": format!("http://127.0.0.1:{DEFAULT_PROXY_PORT}"),
    }]);
    assert_eq!(documents_of(&example("pod-no-redirect.yaml")), [account, pod]);
}

/// Of the sidecar that has several identities.
fn identity_map() -> String {
    let [_, pod] = documents_of(&example("pod-several-identities.yaml"));
    let variables = pod["spec"]["initContainers"][1]["env"].as_array().unwrap();
    let map = variables.iter().find(|variable| variable["name"] == env::AZWI_IDENTITY_MAP).unwrap();
    map["value"].as_str().unwrap().to_owned()
}

#[test]
fn with_several_identities_the_pod_is_the_same_but_for_the_sidecars_map() {
    let [account, mut pod] = documents();
    let variables = pod["spec"]["initContainers"][1]["env"].as_array_mut().unwrap();
    variables.push(json!({ "name": env::AZWI_IDENTITY_MAP, "value": identity_map() }));
    assert_eq!(documents_of(&example("pod-several-identities.yaml")), [account, pod]);
}

#[test]
fn the_map_of_several_identities_gives_tokens_by_object_id_and_by_resource_id() {
    let map = identity_map();
    let stage = Stage::with(&[(env::AZWI_IDENTITY_MAP, &map)], &[]).unwrap();
    let ids: serde_json::Map<String, Value> = serde_json::from_str(&map).unwrap();
    assert_eq!(ids.len(), 2);
    for id in ids.keys() {
        let selector = if id.starts_with('/') { "mi_res_id" } else { "object_id" };
        let response = stage.proxy.token(&format!("{RESOURCE}&{selector}={id}")).unwrap();
        assert_eq!((response.status, response.field("client_id")), (200, SECOND.to_owned()), "{id}");
    }
}

#[test]
fn with_an_identity_binding_the_pod_is_the_same_but_for_the_token_proxy_and_its_volume() {
    let [account, mut pod] = documents();
    let sidecar = &mut pod["spec"]["initContainers"][1];
    let bound = documents_of(&example("pod-identity-binding.yaml"));
    let names = |variables: &Value| -> Vec<String> {
        variables.as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
    };
    let variables = bound[1]["spec"]["initContainers"][1]["env"].clone();
    let expected = [env::AZURE_KUBERNETES_TOKEN_PROXY, env::AZURE_KUBERNETES_SNI_NAME, env::AZURE_KUBERNETES_CA_FILE];
    assert_eq!(names(&variables), [&names(&sidecar["env"])[..], &expected.map(str::to_owned)].concat());
    sidecar["env"] = variables;
    sidecar["volumeMounts"][0]["mountPath"] = json!(volume::MOUNT_PATH);
    let sources = &mut pod["spec"]["volumes"][0]["projected"]["sources"];
    sources[0]["serviceAccountToken"]["path"] = json!(volume::TOKEN_PATH);
    sources[0]["serviceAccountToken"]["audience"] = json!(IDENTITY_BINDING_AUDIENCE);
    let item = json!({ "key": "ca.crt", "path": volume::CA_PATH });
    let roots = json!({ "configMap": { "name": "identity-binding-ca", "items": [item] } });
    sources.as_array_mut().unwrap().push(roots);
    assert_eq!(bound, [account, pod]);
}

/// Whether Kubernetes knows all fields of a document, by the way through its types.
fn assert_known<T: Serialize + DeserializeOwned>(document: &Value) {
    let read: T = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(&serde_json::to_value(read).unwrap(), document);
}

/// The names of all that are there.
fn manifests() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let manifests = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    manifests.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn kubernetes_knows_every_field_of_every_example() {
    let manifests = manifests();
    assert!(manifests.len() >= 7, "{manifests:?}");
    for name in &manifests {
        for document in serde_saphyr::from_multiple::<Value>(&example(name)).unwrap() {
            match document["kind"].as_str().unwrap() {
                "ServiceAccount" => assert_known::<ServiceAccount>(&document),
                "Pod" => assert_known::<Pod>(&document),
                "Deployment" => assert_known::<Deployment>(&document),
                "Job" => assert_known::<Job>(&document),
                "CronJob" => assert_known::<CronJob>(&document),
                other => panic!("{name}: {other}"),
            }
        }
    }
}

#[test]
fn labels_and_annotations_are_spelled_as_the_webhook_reads_them() {
    let known = [label::USE, annotation::CLIENT_ID, annotation::INJECT_PROXY_SIDECAR, annotation::PROXY_SIDECAR_PORT];
    for name in ["pod-migrated.yaml", "deployment-webhook.yaml", "jobs-webhook.yaml"] {
        let text = example(name);
        let manifest = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let used: Vec<_> = manifest.filter_map(|line| line.trim().split_once(": ")).collect();
        let used: Vec<_> = used.iter().filter(|(key, _)| key.starts_with(annotation::PREFIX)).collect();
        assert!(used.len() >= 2, "{name}");
        assert!(used.iter().all(|(key, _)| known.contains(key)), "{name}: {used:?}");
    }
}

#[test]
fn on_ones_own_machine_the_script_runs_a_command_beside_the_sidecar_and_leaves_nothing_running() {
    let programs = binary("azwi-proxy").unwrap();
    let programs = programs.parent().unwrap().display().to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/local-development.sh");
    let port = free_port();
    let ask = format!(
        "curl --silent --header Metadata:true \
         $AZURE_POD_IDENTITY_AUTHORITY_HOST/metadata/identity/oauth2/token?{RESOURCE}"
    );
    let mut command = Command::new("timeout");
    command.arg("30").arg(script).args(["sh", "-c", &ask]);
    command.env("PATH", format!("{programs}:/usr/bin:/bin")).env("PROXY_PORT", port.to_string());
    // The output ends only when nobody holds it open any more.
    let output = command.output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && answer["access_token"].is_string(), "{output:?}");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
