//! Which backend, and which flavour of the iptables program, holds the rules.

use std::os::unix::fs::symlink;
use std::process::Output;

use anyhow::Result;
use azwi_tests::binaries::binary;
use azwi_tests::namespace::As;
use azwi_tests::packet_filter::{FLAVOURS, Filtered};
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::proxy_init::proxy_init;

const METADATA: &str = "169.254.169.254:80";
const IPTABLES: &str = "--backend=iptables";
/// A rule that has nothing to do with us.
const FOREIGN: &str = "-t nat -A OUTPUT -p tcp --dport 9 -j REDIRECT --to-ports 99";

#[test]
fn rules_go_where_this_network_namespace_holds_rules_already() -> Result<()> {
    for flavour in FLAVOURS {
        let stage = Filtered::new()?;
        stage.run(flavour, FOREIGN)?;
        assert_eq!(stage.redirect(&[IPTABLES])?["backend"], flavour);
        assert_eq!(stage.rules(flavour)?.len(), 7);
    }
    Ok(())
}

#[test]
fn the_legacy_flavour_needs_net_raw_besides_net_admin_and_the_reason_says_so() -> Result<()> {
    let stage = Filtered::new()?;
    stage.run("iptables-legacy", FOREIGN)?;
    let redirect = |capabilities: &str| -> Result<Output> {
        let mut command = stage.namespace.command("setpriv", As::Root);
        command.arg(format!("--bounding-set=-all,{capabilities}")).args(["--inh-caps=-all", "--no-new-privs"]);
        let (name, lock) = stage.lock();
        Ok(command.arg(binary("azwi-proxy-init")?).arg(IPTABLES).env(name, lock).output()?)
    };
    let refused = redirect("+net_admin")?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("NET_RAW"), "{refused:?}");
    assert_eq!(redirect("+net_admin,+net_raw")?.status.code(), Some(0));
    Ok(())
}

#[test]
fn rules_go_where_there_are_more() -> Result<()> {
    let stage = Filtered::new()?;
    for flavour in ["iptables-nft", "iptables-legacy", "iptables-legacy"] {
        stage.run(flavour, FOREIGN)?;
    }
    assert_eq!(stage.redirect(&[IPTABLES])?["backend"], "iptables-legacy");
    Ok(())
}

#[test]
fn where_there_are_none_they_go_to_nft_and_no_legacy_table_is_made() -> Result<()> {
    let stage = Filtered::new()?;
    assert_eq!(stage.redirect(&[IPTABLES])?["backend"], "iptables-nft");
    assert_eq!(stage.run("cat", "/proc/self/net/ip_tables_names")?, "");
    Ok(())
}

#[test]
fn what_is_ours_in_the_other_flavour_goes() -> Result<()> {
    let stage = Filtered::new()?;
    stage.redirect(&[IPTABLES, "--proxy-port=8001"])?;
    assert_eq!(stage.rules("iptables-nft")?.len(), 6);
    for _ in 0..7 {
        stage.run("iptables-legacy", FOREIGN)?;
    }
    assert_eq!(stage.redirect(&[IPTABLES])?["backend"], "iptables-legacy");
    assert_eq!(stage.rules("iptables-nft")?, Vec::<String>::new());
    Ok(())
}

#[test]
fn what_iptables_of_either_flavour_holds_of_ours_goes_where_nftables_takes_over() -> Result<()> {
    for flavour in FLAVOURS {
        let stage = Filtered::new()?;
        stage.run(flavour, FOREIGN)?;
        assert_eq!(stage.redirect(&[IPTABLES, "--proxy-uid=1501"])?["backend"], flavour);
        assert_eq!(stage.redirect(&["--proxy-uid=2000"])?["backend"], "nftables");
        assert_eq!(stage.rules(flavour)?, [FOREIGN.replace("-t nat ", "").replace("-p tcp", "-p tcp -m tcp")]);
        let _imds = Listener::start(&stage.namespace, As::Root, METADATA, "imds")?;
        let _proxy = Listener::start(&stage.namespace, As::Uid(2000), "127.0.0.1:8000", "proxy")?;
        assert_eq!(who_answers(&stage.namespace, As::Uid(2000), METADATA)?, "imds", "{flavour}");
        assert_eq!(who_answers(&stage.namespace, As::Uid(1501), METADATA)?, "proxy", "{flavour}");
    }
    Ok(())
}

#[test]
fn where_nobody_can_look_at_iptables_its_rules_are_not_said_to_be_removed() -> Result<()> {
    let (stage, nowhere) = (Filtered::new()?, tempfile::tempdir()?);
    stage.redirect(&[IPTABLES])?;
    let answer = proxy_init(&stage.namespace, As::Root, &["--remove"], &[("PATH", nowhere.path())])?;
    assert_eq!(answer.code, 0, "{}", answer.log);
    let warning = "rules of iptables, if there are any, were not removed";
    assert!(answer.log.contains(warning) && answer.log.contains("no iptables program"), "{}", answer.log);
    assert!(!stage.proxy_init(As::Root, &["--remove"])?.log.contains(warning));
    Ok(())
}

#[test]
fn where_the_only_program_is_named_iptables_it_is_taken_whatever_its_flavour() -> Result<()> {
    for real in ["xtables-nft-multi", "xtables-legacy-multi"] {
        let (stage, path) = (Filtered::new()?, tempfile::tempdir()?);
        symlink(format!("/usr/sbin/{real}"), path.path().join("iptables"))?;
        let env = [("PATH", path.path().to_owned()), stage.lock()];
        let answer = proxy_init(&stage.namespace, As::Root, &[IPTABLES], &env)?;
        assert_eq!(answer.code, 0, "{}", answer.log);
        assert!(answer.log.contains(r#""backend":"iptables""#), "{}", answer.log);
    }
    Ok(())
}

#[test]
fn on_a_kernel_without_nf_tables_iptables_takes_its_place() -> Result<()> {
    let stage = Filtered::new()?;
    let answer = stage.proxy_init(As::RootWithoutNfTables, &[])?;
    assert_eq!(answer.code, 0, "{}", answer.log);
    assert!(answer.log.contains(r#""backend":"iptables-legacy""#), "{}", answer.log);
    let _proxy = Listener::start(&stage.namespace, As::Uid(1501), "127.0.0.1:8000", "proxy")?;
    assert_eq!(who_answers(&stage.namespace, As::Uid(1000), METADATA)?, "proxy");
    Ok(())
}

#[test]
fn where_the_kernel_refuses_nf_tables_for_another_reason_iptables_takes_its_place_too() -> Result<()> {
    let stage = Filtered::new()?;
    let answer = stage.proxy_init(As::RootWithBusyNfTables, &[])?;
    assert_eq!(answer.code, 0, "{}", answer.log);
    assert!(answer.log.contains(r#""backend":"iptables-legacy""#), "{}", answer.log);
    let refused = stage.proxy_init(As::RootWithBusyNfTables, &["--backend=nftables"])?;
    assert!(refused.log.contains("EBUSY"), "{}", refused.log);
    Ok(())
}

#[test]
fn on_a_kernel_without_nf_tables_the_redirect_is_verified_and_removed_as_well() -> Result<()> {
    let stage = Filtered::new()?;
    for (job, rules) in [("--backend=auto", 6), ("--verify-only", 6), ("--remove", 0)] {
        let answer = stage.proxy_init(As::RootWithoutNfTables, &[job])?;
        assert_eq!(answer.code, 0, "{job}: {}", answer.log);
        assert_eq!(stage.rules("iptables-legacy")?.len(), rules, "{job}");
    }
    Ok(())
}

#[test]
fn without_nf_tables_and_without_the_program_it_fails_with_both_reasons() -> Result<()> {
    let (stage, nowhere) = (Filtered::new()?, tempfile::tempdir()?);
    let answer = proxy_init(&stage.namespace, As::RootWithoutNfTables, &[], &[("PATH", nowhere.path())])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("this kernel has no nf_tables"), "{}", answer.log);
    assert!(answer.log.contains("no iptables program in PATH"), "{}", answer.log);
    Ok(())
}

#[test]
fn a_lock_that_somebody_else_holds_is_the_reason_after_some_seconds() -> Result<()> {
    let stage = Filtered::new()?;
    stage.run("iptables-legacy", FOREIGN)?;
    let _holder = stage.hold_lock()?;
    let answer = stage.proxy_init(As::Root, &[IPTABLES])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("holds the lock of the iptables programs"), "{}", answer.log);
    Ok(())
}

#[test]
fn a_lock_that_somebody_else_holds_is_nothing_to_nftables() -> Result<()> {
    let stage = Filtered::new()?;
    let _holder = stage.hold_lock()?;
    assert_eq!(stage.redirect(&[])?["backend"], "nftables");
    Ok(())
}

#[test]
fn a_lock_file_that_cannot_be_written_is_told_with_what_to_set() -> Result<()> {
    let stage = Filtered::new()?;
    stage.run("iptables-legacy", FOREIGN)?;
    let env = [("XTABLES_LOCKFILE", "/proc/self/nonesuch")];
    let answer = proxy_init(&stage.namespace, As::Root, &[IPTABLES], &env)?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("XTABLES_LOCKFILE=/dev/shm"), "{}", answer.log);
    Ok(())
}
