//! The redirect through `nf_tables`. Needs a network namespace, a kernel with `nf_tables`, and no program at all.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]

use azwi_tests::namespace::{As, Namespace};
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::proxy_init::{Answer, proxy_init};

const METADATA: &str = "169.254.169.254:80";

fn redirect(stage: &Namespace, user: As, args: &[&str]) -> Answer {
    let args = [&["--backend=nftables"], args].concat();
    proxy_init::<&str>(stage, user, &args, &[]).unwrap()
}

fn redirect_well(stage: &Namespace, args: &[&str]) {
    let answer = redirect(stage, As::Root, args);
    assert_eq!(answer.code, 0, "{}", answer.log);
}

fn listen(stage: &Namespace, address: &str, name: &str) -> Listener {
    Listener::start(stage, As::Root, address, name).unwrap()
}

#[test]
fn a_connection_to_the_metadata_address_lands_on_the_proxys_port() {
    let stage = Namespace::new().unwrap();
    redirect_well(&stage, &[]);
    let _imds = listen(&stage, METADATA, "imds");
    let _proxy = listen(&stage, "127.0.0.1:8000", "proxy");
    assert_eq!(who_answers(&stage, As::Root, METADATA).unwrap(), "proxy");
}

#[test]
fn the_backend_of_choice_is_nftables_and_the_log_says_what_was_done() {
    let stage = Namespace::new().unwrap();
    let env = [("PROXY_PORT", "8080"), ("PROXY_UID", "2000")];
    let answer = proxy_init(&stage, As::Root, &[], &env).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.log);
    let event: serde_json::Value = serde_json::from_str(&answer.log).unwrap();
    assert_eq!(event["backend"], "nftables");
    assert_eq!(event["metadata"], METADATA);
    assert_eq!(event["proxy_port"], 8080);
    assert_eq!(event["proxy_uid"], 2000);
    assert!(event["took_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_second_run_succeeds_and_leaves_the_redirect_as_it_was() {
    let stage = Namespace::new().unwrap();
    redirect_well(&stage, &[]);
    redirect_well(&stage, &[]);
    let _proxy = listen(&stage, "127.0.0.1:8000", "proxy");
    assert_eq!(who_answers(&stage, As::Root, METADATA).unwrap(), "proxy");
}

#[test]
fn a_run_with_another_port_replaces_the_redirect() {
    let stage = Namespace::new().unwrap();
    redirect_well(&stage, &["--proxy-port=8000"]);
    redirect_well(&stage, &["--proxy-port=8001"]);
    let _first = listen(&stage, "127.0.0.1:8000", "first");
    let _second = listen(&stage, "127.0.0.1:8001", "second");
    assert_eq!(who_answers(&stage, As::Root, METADATA).unwrap(), "second");
}

#[test]
fn a_run_for_another_address_frees_the_first() {
    let stage = Namespace::new().unwrap();
    redirect_well(&stage, &[]);
    redirect_well(&stage, &["--metadata-ip=127.0.0.9", "--metadata-port=8090"]);
    let _imds = listen(&stage, METADATA, "imds");
    let _proxy = listen(&stage, "127.0.0.1:8000", "proxy");
    assert_eq!(who_answers(&stage, As::Root, METADATA).unwrap(), "imds");
    assert_eq!(who_answers(&stage, As::Root, "127.0.0.9:8090").unwrap(), "proxy");
}

#[test]
fn other_ports_and_other_addresses_are_left_alone() {
    let stage = Namespace::new().unwrap();
    redirect_well(&stage, &[]);
    let _proxy = listen(&stage, "127.0.0.1:8000", "proxy");
    let _other_port = listen(&stage, "169.254.169.254:81", "other port");
    let _other_address = listen(&stage, "127.0.0.2:80", "other address");
    assert_eq!(who_answers(&stage, As::Root, "169.254.169.254:81").unwrap(), "other port");
    assert_eq!(who_answers(&stage, As::Root, "127.0.0.2:80").unwrap(), "other address");
}

#[test]
fn without_net_admin_it_fails_with_the_reason_and_leaves_nothing_behind() {
    let stage = Namespace::new().unwrap();
    let answer = redirect(&stage, As::RootWithoutNetAdmin, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("NET_ADMIN"), "{}", answer.log);
    let _imds = listen(&stage, METADATA, "imds");
    let _proxy = listen(&stage, "127.0.0.1:8000", "proxy");
    assert_eq!(who_answers(&stage, As::Root, METADATA).unwrap(), "imds");
}

#[test]
fn without_nf_tables_in_the_kernel_it_fails_with_the_reason() {
    let stage = Namespace::new().unwrap();
    let answer = redirect(&stage, As::RootWithoutNfTables, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("this kernel has no nf_tables"), "{}", answer.log);
}

#[test]
fn with_the_proxys_port_in_use_it_fails_with_the_reason_and_leaves_nothing_behind() {
    let stage = Namespace::new().unwrap();
    let _squatter = listen(&stage, "127.0.0.1:8000", "squatter");
    let answer = redirect(&stage, As::Root, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("port 8000") && answer.log.contains("in use"), "{}", answer.log);
    let _imds = listen(&stage, METADATA, "imds");
    assert_eq!(who_answers(&stage, As::Root, METADATA).unwrap(), "imds");
}

#[test]
fn an_address_that_this_pod_has_no_route_to_is_reported() {
    let stage = Namespace::new().unwrap();
    let answer = redirect(&stage, As::Root, &["--metadata-ip=192.0.2.1"]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("192.0.2.1:80") && answer.log.contains("unreachable"), "{}", answer.log);
}
