//! A review's share of the mutation: what the webhook adds to reading a request and writing an answer.
//!
//! For whoever changes it: `cargo bench -p azwi-webhook --bench mutate`. `read_as_value` is what it must stay far below.

#![expect(clippy::unwrap_used, reason = "a pod of our own that does not do ends the measurement")]

use azwi_webhook::mutate::{Denial, Mutation, Pod, ServiceAccount, Settings, mutate};
use divan::{Bencher, black_box};
use serde_json::Value;
use serde_json::value::RawValue;

fn main() {
    divan::main();
}

fn settings() -> Settings {
    Settings {
        audience: "api://AzureADTokenExchange".to_owned(),
        authority_host: "https://login.microsoftonline.com/".to_owned(),
        tenant_id: "11111111-1111-4111-8111-111111111111".to_owned(),
        proxy_image: "registry.example/proxy:v1".to_owned(),
        proxy_init_image: "registry.example/proxy-init:v1".to_owned(),
        native_sidecar: true,
        log_level: "info".to_owned(),
        token_endpoint: None,
    }
}

fn account() -> ServiceAccount {
    ServiceAccount { client_id: Some("22222222-2222-4222-8222-222222222222".into()), ..ServiceAccount::default() }
}

/// As the API server sends it for a Deployment, with what it says of its managed fields.
fn pod(annotations: &str) -> Box<RawValue> {
    let pod = include_str!("pod.json").replace("\"ANNOTATIONS\":\"\"", annotations);
    RawValue::from_string(pod).unwrap()
}

const PLAIN: &str = r#""prometheus.io/scrape":"true""#;
const SIDECAR: &str = r#""azure.workload.identity/inject-proxy-sidecar":"true""#;

#[divan::bench(args = [PLAIN, SIDECAR])]
fn change(bencher: Bencher<'_, '_>, annotations: &str) {
    let (pod, account, settings) = (pod(annotations), account(), settings());
    bencher.bench_local(|| -> Result<Mutation, Denial> { mutate(&Pod::read(black_box(&pod))?, &account, &settings) });
}

/// A pod that is reviewed again.
#[divan::bench(args = [PLAIN, SIDECAR])]
fn leave(bencher: Bencher<'_, '_>, annotations: &str) {
    let (pod, account, settings) = (pod(annotations), account(), settings());
    let patch = mutate(&Pod::read(&pod).unwrap(), &account, &settings).unwrap().patch.unwrap();
    let mut mutated: Value = serde_json::from_str(pod.get()).unwrap();
    json_patch::patch(&mut mutated, &serde_json::from_str::<json_patch::Patch>(&patch).unwrap()).unwrap();
    let mutated = RawValue::from_string(mutated.to_string()).unwrap();
    assert_eq!(mutate(&Pod::read(&mutated).unwrap(), &account, &settings).unwrap().patch, None);
    bencher.bench_local(|| mutate(&Pod::read(black_box(&mutated))?, &account, &settings));
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let pod = pod(PLAIN);
    bencher.bench_local(|| Pod::read(black_box(&pod)).map(|pod| pod.service_account_name().len()));
}

#[divan::bench]
fn read_as_value(bencher: Bencher<'_, '_>) {
    let pod = pod(PLAIN);
    bencher.bench_local(|| serde_json::from_str::<Value>(black_box(pod.get())).unwrap());
}
