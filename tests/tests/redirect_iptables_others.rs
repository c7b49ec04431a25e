//! The redirect beside other people's packet filters and in networks that do not let it work.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;
use azwi_tests::namespace::As;
use azwi_tests::packet_filter::{FLAVOURS, Filtered};
use azwi_tests::pod::Pod;
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::proxy_init::proxy_init;

const METADATA: &str = "169.254.169.254:80";
const BACKENDS: [&str; 2] = ["nftables", "iptables"];

/// A `nat` table of somebody who speaks nft and redirects all that goes to port 80.
const FOREIGN: &str = "\
table ip somebody {
	chain everything {
		type nat hook output priority -100; policy accept;
		tcp dport 80 redirect to :9999
	}
}
";

#[test]
fn a_foreign_nft_table_at_the_usual_priority_comes_second_and_stays_as_it_was() -> Result<()> {
    let stage = Filtered::new()?;
    stage.feed("nft", "-f -", FOREIGN)?;
    let before = stage.run("nft", "list table ip somebody")?;
    stage.redirect(&[])?;
    let _somebody = Listener::start(&stage.namespace, As::Root, "127.0.0.1:9999", "somebody")?;
    let _proxy = Listener::start(&stage.namespace, As::Root, "127.0.0.1:8000", "proxy")?;
    assert_eq!(who_answers(&stage.namespace, As::Uid(1000), METADATA)?, "proxy");
    assert_eq!(who_answers(&stage.namespace, As::Uid(1000), "127.0.0.2:80")?, "somebody");
    stage.redirect(&["--remove"])?;
    assert_eq!(stage.run("nft", "list ruleset")?, before);
    Ok(())
}

#[test]
fn a_foreign_table_that_is_asked_before_ours_makes_the_run_fail_and_ours_go() -> Result<()> {
    for backend in BACKENDS {
        let stage = Filtered::new()?;
        stage.feed("nft", "-f -", &FOREIGN.replace("-100", "-150"))?;
        let answer = stage.proxy_init(As::Root, &[&format!("--backend={backend}")])?;
        assert_eq!(answer.code, 1);
        assert!(answer.log.contains("is not redirected to port 8000"), "{}", answer.log);
        assert!(!stage.run("nft", "list ruleset")?.to_lowercase().contains("azwi"));
    }
    Ok(())
}

#[test]
fn a_foreign_table_that_captures_the_sidecar_s_own_connections_is_found_out() -> Result<()> {
    let stage = Filtered::new()?;
    stage.feed("nft", "-f -", &FOREIGN.replace("-100", "-150").replace("9999", "8000"))?;
    let answer = stage.proxy_init(As::Root, &[])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("connections of user 1501, the proxy's own, are redirected too"), "{}", answer.log);
    assert!(!stage.run("nft", "list ruleset")?.contains("azwi"));
    Ok(())
}

#[test]
fn a_sidecar_that_listens_already_is_not_taken_for_whom_a_foreign_table_leads_to() -> Result<()> {
    let pod = Pod::new()?;
    let table = FOREIGN.replace("-100", "-150");
    let foreign = pod.namespace().command("nft", As::Root).arg(table).status()?;
    assert!(foreign.success());
    let _somebody = Listener::start(pod.namespace(), As::Root, "127.0.0.1:9999", "somebody")?;
    let answer = proxy_init::<&str>(pod.namespace(), As::Root, &["--verify-only"], &[])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("is not redirected to port 8000"), "{}", answer.log);
    Ok(())
}

/// The commands of `init-iptables.sh` of azure-workload-identity.
const GO_ORIGINAL: [&str; 6] = [
    "-N AZWI_PROXY_REDIRECT",
    "-A AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-port 9000",
    "-N AZWI_PROXY_OUTPUT",
    "-A OUTPUT -p tcp -d 169.254.169.254 --dport 80 -j AZWI_PROXY_OUTPUT",
    "-A AZWI_PROXY_OUTPUT -m owner --uid-owner 1501 -j ACCEPT",
    "-A AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT",
];

#[test]
fn rules_of_azure_workload_identity_are_overruled_or_replaced_and_go_with_ours() -> Result<()> {
    for (flavour, backend) in FLAVOURS.into_iter().flat_map(|flavour| BACKENDS.map(|backend| (flavour, backend))) {
        let stage = Filtered::new()?;
        for command in GO_ORIGINAL {
            stage.run(flavour, &format!("-t nat {command}"))?;
        }
        stage.redirect(&[&format!("--backend={backend}")])?;
        let _proxy = Listener::start(&stage.namespace, As::Uid(1501), "127.0.0.1:8000", "proxy")?;
        let _imds = Listener::start(&stage.namespace, As::Root, METADATA, "imds")?;
        assert_eq!(who_answers(&stage.namespace, As::Uid(1000), METADATA)?, "proxy", "{flavour}, {backend}");
        assert_eq!(who_answers(&stage.namespace, As::Uid(1501), METADATA)?, "imds", "{flavour}, {backend}");
        stage.redirect(&["--remove"])?;
        assert_eq!(stage.rules(flavour)?, Vec::<String>::new(), "{flavour}, {backend}");
        assert_eq!(who_answers(&stage.namespace, As::Uid(1000), METADATA)?, "imds", "{flavour}, {backend}");
    }
    Ok(())
}

#[test]
fn a_filter_that_drops_by_policy_is_named_as_the_reason_and_nothing_is_left() -> Result<()> {
    for (flavour, backend) in FLAVOURS.into_iter().flat_map(|flavour| BACKENDS.map(|backend| (flavour, backend))) {
        let stage = Filtered::new()?;
        stage.run(flavour, "-P OUTPUT DROP")?;
        let answer = stage.proxy_init(As::Root, &[&format!("--backend={backend}")])?;
        assert_eq!(answer.code, 1);
        assert!(answer.log.contains("packet filter of this pod stops connections to 127.0.0.1:8000"), "{}", answer.log);
        assert!(answer.log.contains("DROP"), "{}", answer.log);
        assert!(!stage.run("nft", "list ruleset")?.to_lowercase().contains("azwi"));
        assert_eq!(stage.rules(flavour)?, Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn a_foreign_table_that_leads_where_nobody_answers_is_named_as_a_possible_reason() -> Result<()> {
    let stage = Filtered::as_pod()?;
    let black_hole = FOREIGN.replace("-100", "-150").replace("redirect to :9999", "dnat to 10.0.0.99");
    stage.feed("nft", "-f -", &black_hole)?;
    let answer = stage.proxy_init(As::Root, &[])?;
    assert_eq!(answer.code, 1);
    assert!(
        answer.log.contains("or somebody else's rules lead what is meant for the metadata service"),
        "{}",
        answer.log
    );
    Ok(())
}

/// The kernel goes on to show a filter the interface that a redirected packet would have left by.
#[test]
fn a_filter_that_lets_only_pass_what_goes_to_the_loopback_interface_is_told_what_it_lacks() -> Result<()> {
    let stage = Filtered::as_pod()?;
    stage.run("iptables-nft", "-P OUTPUT DROP")?;
    stage.run("iptables-nft", "-A OUTPUT -o lo -j ACCEPT")?;
    let answer = stage.proxy_init(As::Root, &[])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("by their destination"), "{}", answer.log);
    stage.run("iptables-nft", "-A OUTPUT -d 127.0.0.1 -j ACCEPT")?;
    stage.redirect(&[])?;
    Ok(())
}

#[test]
fn a_pod_with_ipv6_only_is_told_so_and_nothing_is_tried() -> Result<()> {
    let stage = Filtered::new()?;
    stage.run("ip", "addr del 169.254.169.254/32 dev lo")?;
    stage.run("ip", "addr add fd00::2/128 dev lo")?;
    let answer = stage.proxy_init(As::Root, &[])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("this pod has IPv6 only"), "{}", answer.log);
    assert_eq!(stage.run("nft", "list ruleset")?, "");
    Ok(())
}

/// What kube-proxy has for some services with one endpoint each.
fn kube_proxy_rules(services: Range<usize>) -> String {
    let rules: String = services.map(kube_proxy_service).collect();
    format!("*nat\n{rules}COMMIT\n")
}

fn kube_proxy_service(service: usize) -> String {
    let (high, low) = (service / 250, service % 250 + 1);
    format!(
        ":KUBE-SVC-{service:05} - [0:0]\n\
         -A KUBE-SERVICES -d 10.96.{high}.{low}/32 -p tcp --dport 443 -j KUBE-SVC-{service:05}\n\
         -A KUBE-SVC-{service:05} ! -s 10.244.0.0/16 -d 10.96.{high}.{low}/32 -p tcp --dport 443 -j RETURN\n\
         -A KUBE-SVC-{service:05} -p tcp -j DNAT --to-destination 10.244.{high}.{low}:8443\n"
    )
}

#[test]
fn beside_five_thousand_rules_of_kube_proxy_it_takes_less_than_fifty_milliseconds() -> Result<()> {
    for flavour in FLAVOURS {
        let stage = Filtered::new()?;
        stage.run(flavour, "-t nat -N KUBE-SERVICES")?;
        // In parts, for an ordinary user's netlink messages may not be longer.
        for start in (0..1700).step_by(100) {
            stage.feed(&format!("{flavour}-restore"), "--noflush", &kube_proxy_rules(start..start + 100))?;
        }
        stage.run(flavour, "-t nat -A OUTPUT -j KUBE-SERVICES")?;
        assert!(stage.rules(flavour)?.iter().filter(|rule| rule.starts_with("-A ")).count() > 5000);
        assert!(is_ever_quick(&stage)?, "{flavour}");
    }
    Ok(())
}

/// In one of some tries, for what else goes on here is not its fault.
fn is_ever_quick(stage: &Filtered) -> Result<bool> {
    for _ in 0..40 {
        let start = Instant::now();
        stage.redirect(&["--backend=nftables"])?;
        if start.elapsed() < Duration::from_millis(50) {
            return Ok(true);
        }
        stage.redirect(&["--remove", "--backend=nftables"])?;
    }
    Ok(false)
}
