//! Who is redirected and who is not. Needs a network namespace with many users: run as root, or as a user with
//! entries in /etc/subuid and /etc/subgid and with newuidmap.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]

use azwi_tests::namespace::{As, Namespace, Users};
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::proxy_init::proxy_init;

const METADATA: &str = "169.254.169.254:80";

fn stage_with_many_users() -> Namespace {
    let stage = Namespace::new().unwrap();
    assert_eq!(stage.users(), Users::Many, "this user may map one user only: see subuid(5)");
    stage
}

/// The stage after proxy-init, with the real metadata service and the proxy.
fn redirected(args: &[&str]) -> (Namespace, [Listener; 2]) {
    let stage = stage_with_many_users();
    let args = [&["--backend=nftables"], args].concat();
    let answer = proxy_init::<&str>(&stage, As::Root, &args, &[]).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.log);
    let imds = Listener::start(&stage, As::Root, METADATA, "imds").unwrap();
    let proxy = Listener::start(&stage, As::Uid(1501), "127.0.0.1:8000", "proxy").unwrap();
    (stage, [imds, proxy])
}

#[test]
fn the_proxys_own_connections_reach_the_real_metadata_service() {
    let (stage, _listeners) = redirected(&[]);
    assert_eq!(who_answers(&stage, As::Uid(1501), METADATA).unwrap(), "imds");
}

#[test]
fn everybody_elses_connections_reach_the_proxy() {
    let (stage, _listeners) = redirected(&[]);
    for uid in [0, 1000, 1500, 1502, 65534] {
        assert_eq!(who_answers(&stage, As::Uid(uid), METADATA).unwrap(), "proxy", "uid {uid}");
    }
}

#[test]
fn who_may_act_as_the_proxys_user_shows_its_exemption_by_a_connection() {
    let stage = stage_with_many_users();
    for imds_listens in [false, true] {
        let _imds = imds_listens.then(|| Listener::start(&stage, As::Root, METADATA, "imds").unwrap());
        let answer = proxy_init::<&str>(&stage, As::Root, &["--backend=nftables"], &[]).unwrap();
        assert!(answer.log.contains(r#""exemption_shown_by":"its rule and a connection""#), "{}", answer.log);
    }
}

#[test]
fn another_user_can_be_the_proxys() {
    let (stage, _listeners) = redirected(&["--proxy-uid=2000"]);
    assert_eq!(who_answers(&stage, As::Uid(2000), METADATA).unwrap(), "imds");
    assert_eq!(who_answers(&stage, As::Uid(1501), METADATA).unwrap(), "proxy");
}

#[test]
fn a_run_for_another_user_withdraws_the_first_ones_exemption() {
    let stage = stage_with_many_users();
    for uid in ["--proxy-uid=1501", "--proxy-uid=2000"] {
        assert_eq!(proxy_init::<&str>(&stage, As::Root, &[uid], &[]).unwrap().code, 0);
    }
    let _proxy = Listener::start(&stage, As::Uid(2000), "127.0.0.1:8000", "proxy").unwrap();
    assert_eq!(who_answers(&stage, As::Uid(1501), METADATA).unwrap(), "proxy");
}

#[test]
fn an_ordinary_user_is_told_that_net_admin_is_missing() {
    let stage = stage_with_many_users();
    let answer = proxy_init::<&str>(&stage, As::Uid(1000), &[], &[]).unwrap();
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("NET_ADMIN"), "{}", answer.log);
}
