//! The redirect through iptables, and beside other people's iptables rules. Needs the `iptables` program (whichever
//! flavour PATH holds) and a network namespace with many users, since `xt_owner` refuses users that are not mapped.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]

use azwi_tests::namespace::{As, Namespace, Users};
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::proxy_init::{Answer, proxy_init};
use tempfile::TempDir;

const METADATA: &str = "169.254.169.254:80";

/// A namespace with its own iptables lock, for /run/xtables.lock is root's.
struct Stage {
    namespace: Namespace,
    directory: TempDir,
}

impl Stage {
    fn new() -> Self {
        let namespace = Namespace::new().unwrap();
        assert_eq!(namespace.users(), Users::Many, "this user may map one user only: see subuid(5)");
        Self { namespace, directory: tempfile::tempdir().unwrap() }
    }

    fn lock(&self) -> (&'static str, std::path::PathBuf) {
        ("XTABLES_LOCKFILE", self.directory.path().join("xtables.lock"))
    }

    fn proxy_init(&self, user: As, args: &[&str]) -> Answer {
        proxy_init(&self.namespace, user, args, &[self.lock()]).unwrap()
    }

    fn redirect(&self, args: &[&str]) {
        let answer = self.proxy_init(As::Root, args);
        assert_eq!(answer.code, 0, "{}", answer.log);
    }

    fn iptables(&self, command: &str) -> String {
        let output =
            self.namespace.command("iptables", As::Root).args(command.split(' ')).envs([self.lock()]).output().unwrap();
        assert!(output.status.success(), "iptables {command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The nat table without the policies of its built-in chains.
    fn rules(&self) -> Vec<String> {
        let listing = self.iptables("-t nat -S");
        listing.lines().filter(|line| !line.starts_with("-P ")).map(str::to_owned).collect()
    }

    fn listen(&self, address: &str, name: &str) -> Listener {
        Listener::start(&self.namespace, As::Root, address, name).unwrap()
    }

    fn who_answers(&self, user: As) -> String {
        who_answers(&self.namespace, user, METADATA).unwrap()
    }
}

const OURS: [&str; 6] = [
    "-N AZWI_PROXY_OUTPUT",
    "-N AZWI_PROXY_REDIRECT",
    "-A OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j AZWI_PROXY_OUTPUT",
    "-A AZWI_PROXY_OUTPUT -m owner --uid-owner 1501 -j ACCEPT",
    "-A AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT",
    "-A AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 8000",
];

/// Redirects the same connections elsewhere, as a service mesh that captures everything does.
const FOREIGN: &str = "-A OUTPUT -p tcp -j REDIRECT --to-ports 15001";

#[test]
fn the_rules_bear_the_names_that_operators_know() {
    let stage = Stage::new();
    stage.redirect(&["--backend=iptables"]);
    assert_eq!(stage.rules(), OURS);
}

#[test]
fn connections_land_on_the_proxys_port_except_the_proxys_own() {
    let stage = Stage::new();
    stage.redirect(&["--backend=iptables"]);
    let _imds = stage.listen(METADATA, "imds");
    let _proxy = stage.listen("127.0.0.1:8000", "proxy");
    assert_eq!(stage.who_answers(As::Uid(1000)), "proxy");
    assert_eq!(stage.who_answers(As::Uid(1501)), "imds");
}

#[test]
fn other_ports_and_other_addresses_are_left_alone() {
    let stage = Stage::new();
    stage.redirect(&["--backend=iptables"]);
    let _proxy = stage.listen("127.0.0.1:8000", "proxy");
    for address in ["169.254.169.254:81", "127.0.0.2:80"] {
        let _other = stage.listen(address, "other");
        assert_eq!(who_answers(&stage.namespace, As::Uid(1000), address).unwrap(), "other", "{address}");
    }
}

#[test]
fn foreign_rules_that_only_mention_our_chains_stay_as_they_were() {
    let stage = Stage::new();
    let mention = "-A OUTPUT -m comment --comment AZWI_PROXY_OUTPUT -j RETURN";
    stage.iptables(&format!("-t nat {mention}"));
    stage.redirect(&["--backend=iptables"]);
    stage.redirect(&["--backend=iptables"]);
    assert_eq!(stage.rules().iter().filter(|rule| *rule == mention).count(), 1);
}

#[test]
fn a_second_run_leaves_the_same_rules() {
    let stage = Stage::new();
    stage.redirect(&["--backend=iptables"]);
    stage.redirect(&["--backend=iptables"]);
    assert_eq!(stage.rules(), OURS);
}

#[test]
fn a_run_with_other_settings_replaces_all_rules_of_the_first() {
    let stage = Stage::new();
    stage.redirect(&["--backend=iptables", "--proxy-port=8001", "--proxy-uid=2000", "--metadata-port=81"]);
    stage.redirect(&["--backend=iptables"]);
    assert_eq!(stage.rules(), OURS);
}

#[test]
fn what_azure_workload_identitys_init_container_left_is_replaced() {
    let stage = Stage::new();
    for command in [
        "-N AZWI_PROXY_OUTPUT",
        "-N AZWI_PROXY_REDIRECT",
        "-A AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-port 9000",
        "-A OUTPUT -p tcp -d 169.254.169.254 --dport 80 -j AZWI_PROXY_OUTPUT",
        "-A AZWI_PROXY_OUTPUT -m owner --uid-owner 1501 -j ACCEPT",
        "-A AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT",
    ] {
        stage.iptables(&format!("-t nat {command}"));
    }
    stage.redirect(&["--backend=iptables"]);
    assert_eq!(stage.rules(), OURS);
}

#[test]
fn the_jump_is_ahead_of_foreign_rules_which_stay_as_they_were() {
    let stage = Stage::new();
    stage.iptables(&format!("-t nat {FOREIGN}"));
    stage.redirect(&["--backend=iptables"]);
    let rules = stage.rules();
    let outputs: Vec<_> = rules.iter().filter(|rule| rule.starts_with("-A OUTPUT")).collect();
    assert_eq!(outputs, [OURS[2], FOREIGN]);
}

#[test]
fn foreign_iptables_rules_do_not_capture_the_proxys_own_connections() {
    let stage = Stage::new();
    stage.iptables(&format!("-t nat {FOREIGN}"));
    stage.redirect(&["--backend=iptables"]);
    let _mesh = stage.listen("127.0.0.1:15001", "mesh");
    let _imds = stage.listen(METADATA, "imds");
    assert_eq!(stage.who_answers(As::Uid(1501)), "imds");
}

#[test]
fn nftables_rules_win_over_foreign_iptables_rules_which_stay_as_they_were() {
    let stage = Stage::new();
    stage.iptables(&format!("-t nat {FOREIGN}"));
    stage.redirect(&["--backend=nftables"]);
    assert_eq!(stage.rules(), [FOREIGN]);
    let _mesh = stage.listen("127.0.0.1:15001", "mesh");
    let _proxy = stage.listen("127.0.0.1:8000", "proxy");
    assert_eq!(stage.who_answers(As::Root), "proxy");
}

#[test]
fn the_last_run_is_in_force_whichever_backend_the_one_before_had() {
    let stage = Stage::new();
    for (backend, port) in [("nftables", 8001), ("iptables", 8002), ("nftables", 8003)] {
        stage.redirect(&[&format!("--backend={backend}"), &format!("--proxy-port={port}")]);
        let _proxy = stage.listen(&format!("127.0.0.1:{port}"), backend);
        assert_eq!(stage.who_answers(As::Root), backend);
    }
}

#[test]
fn without_net_admin_it_fails_with_the_reason_and_leaves_nothing_behind() {
    let stage = Stage::new();
    let answer = stage.proxy_init(As::RootWithoutNetAdmin, &["--backend=iptables"]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("NET_ADMIN") && !answer.log.contains("NET_RAW"), "{}", answer.log);
    assert_eq!(stage.rules(), Vec::<String>::new());
}

#[test]
fn without_the_program_it_fails_with_the_reason() {
    let stage = Stage::new();
    let env = [("PATH", stage.directory.path())];
    let answer = proxy_init(&stage.namespace, As::Root, &["--backend=iptables"], &env).unwrap();
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("no iptables program"), "{}", answer.log);
}

#[test]
fn with_the_proxys_port_in_use_it_fails_with_the_reason_and_leaves_nothing_behind() {
    let stage = Stage::new();
    let _squatter = stage.listen("127.0.0.1:8000", "squatter");
    let answer = stage.proxy_init(As::Root, &["--backend=iptables"]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("port 8000") && answer.log.contains("in use"), "{}", answer.log);
    assert_eq!(stage.rules(), Vec::<String>::new());
}

#[test]
fn rules_that_cannot_be_completed_are_taken_back() {
    let stage = Stage::new();
    // A rule for a user id that this namespace does not map is refused in the middle of the work.
    let answer = stage.proxy_init(As::Root, &["--backend=iptables", "--proxy-uid=4294967294"]);
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("--uid-owner 4294967294"), "{}", answer.log);
    assert_eq!(stage.rules(), Vec::<String>::new());
}

/// Stops what is redirected, and nothing else.
const BLOCK: &str = "OUTPUT -p tcp -m conntrack --ctorigdst 169.254.169.254 -j REJECT --reject-with tcp-reset";

#[test]
fn a_redirect_that_does_not_work_is_taken_back() {
    for backend in ["--backend=iptables", "--backend=nftables"] {
        let stage = Stage::new();
        stage.iptables(&format!("-A {BLOCK}"));
        let answer = stage.proxy_init(As::Root, &[backend]);
        assert_eq!(answer.code, 1);
        assert!(answer.log.contains("packet filter of this pod stops"), "{}", answer.log);

        stage.iptables(&format!("-D {BLOCK}"));
        let _imds = stage.listen(METADATA, "imds");
        let _proxy = stage.listen("127.0.0.1:8000", "proxy");
        assert_eq!(stage.who_answers(As::Root), "imds", "{backend}");
        assert_eq!(stage.rules(), Vec::<String>::new(), "{backend}");
    }
}

#[test]
fn a_redirect_that_was_there_before_stays_when_its_repetition_cannot_be_verified() {
    for backend in ["--backend=iptables", "--backend=nftables"] {
        let stage = Stage::new();
        stage.redirect(&[backend]);
        stage.iptables(&format!("-A {BLOCK}"));
        assert_eq!(stage.proxy_init(As::Root, &[backend]).code, 1);

        stage.iptables(&format!("-D {BLOCK}"));
        let _imds = stage.listen(METADATA, "imds");
        let _proxy = stage.listen("127.0.0.1:8000", "proxy");
        assert_eq!(stage.who_answers(As::Root), "proxy", "{backend}");
    }
}
