//! The stage itself: what every test on it takes for granted. Runs as any user that may make namespaces.

use std::fs;

use azwi_tests::emulator::Emulator;
use azwi_tests::namespace::{As, Namespace};
use azwi_tests::probe::{Listener, who_answers};

#[test]
fn the_stage_has_a_metadata_address_of_its_own() {
    let stage = Namespace::new().unwrap();
    let _imds = Listener::start(&stage, As::Root, "169.254.169.254:80", "imds").unwrap();
    assert_eq!(who_answers(&stage, As::Root, "169.254.169.254:80").unwrap(), "imds");
}

#[test]
fn two_stages_do_not_see_each_other() {
    let (stage, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let _listener = Listener::start(&stage, As::Root, "127.0.0.1:8000", "one").unwrap();
    let error = who_answers(&other, As::Root, "127.0.0.1:8000").unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn root_of_the_stage_administers_its_network_unless_told_otherwise() {
    const CAP_NET_ADMIN: u32 = 12;
    let stage = Namespace::new().unwrap();
    let may_administer = |user| {
        let status = stage.command("cat", user).arg("/proc/self/status").output().unwrap().stdout;
        let status = String::from_utf8(status).unwrap();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        u64::from_str_radix(effective.trim(), 16).unwrap() >> CAP_NET_ADMIN & 1 == 1
    };
    assert!(may_administer(As::Root));
    assert!(!may_administer(As::RootWithoutNetAdmin));
}

#[test]
fn a_program_that_is_not_there_is_reported_by_name() {
    let stage = Namespace::new().unwrap();
    let output = stage.command("azwi-nonesuch", As::Root).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot run azwi-nonesuch"));
}

#[test]
fn a_dropped_stage_leaves_no_process_behind() {
    let stage = Namespace::new().unwrap();
    // The program that `command` starts is `netns`, whose second argument is the holder's process id.
    let command = stage.command("true", As::Root);
    let holder = command.get_args().nth(1).unwrap().to_owned();
    let path = std::path::Path::new("/proc").join(holder);
    assert!(fs::exists(&path).unwrap());
    drop(stage);
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn an_emulator_on_the_stage_is_reached_through_its_command_line() {
    let stage = Namespace::new().unwrap();
    let emulator = Emulator::start_in_namespace(&stage).unwrap();
    assert_eq!(emulator.counters().unwrap().exchanges, 0);
}
