//! What azwi-proxy-init says to a configuration that cannot work. Needs a network namespace.

use azwi_tests::namespace::{As, Namespace};
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::proxy_init::proxy_init;

#[test]
fn all_errors_are_reported_at_once_with_exit_code_64_and_nothing_is_changed() {
    let stage = Namespace::new().unwrap();
    let env = [("METADATA_IP", "fd00:ec2::254"), ("METADATA_PORT", "http"), ("PROXY_UID", "proxy")];
    let answer = proxy_init(&stage, As::Root, &["--proxy-port=65536"], &env).unwrap();
    assert_eq!(answer.code, 64);
    for name in ["--proxy-port", "METADATA_IP", "METADATA_PORT", "PROXY_UID"] {
        assert!(answer.log.contains(name), "{name} is missing in {}", answer.log);
    }
    let _imds = Listener::start(&stage, As::Root, "169.254.169.254:80", "imds").unwrap();
    assert_eq!(who_answers(&stage, As::Root, "169.254.169.254:80").unwrap(), "imds");
}

#[test]
fn an_unknown_flag_is_bad_usage() {
    let stage = Namespace::new().unwrap();
    let answer = proxy_init::<&str>(&stage, As::Root, &["--interface=eth0"], &[]).unwrap();
    assert_eq!(answer.code, 64);
    assert!(answer.log.contains("--interface"), "{}", answer.log);
}
