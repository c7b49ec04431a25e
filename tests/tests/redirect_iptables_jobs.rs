//! What azwi-proxy-init tells is what it does, in the words of the programs that operators use; and how it replaces rules.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use azwi_tests::namespace::As;
use azwi_tests::packet_filter::{FLAVOURS, Filtered};
use azwi_tests::proxy_init::proxy_init;
use tempfile::TempDir;

const IPTABLES: &str = "--backend=iptables";
const SETTINGS: [&str; 3] = ["--proxy-port=8001", "--proxy-uid=2000", "--metadata-port=81"];

#[test]
fn what_a_dry_run_tells_nft_is_what_a_run_installs_comments_included() -> Result<()> {
    let (told, installed) = (Filtered::new()?, Filtered::new()?);
    let dry_run = told.proxy_init(As::Root, &[&SETTINGS, ["--dry-run"].as_slice()].concat())?;
    told.feed("nft", "-f -", &dry_run.told)?;
    installed.redirect(&SETTINGS)?;
    let ruleset = installed.run("nft", "list ruleset")?;
    assert_eq!(told.run("nft", "list ruleset")?, ruleset);
    assert!(ruleset.contains(r#"comment "to the azwi proxy""#), "{ruleset}");
    Ok(())
}

#[test]
fn what_a_dry_run_tells_a_shell_is_what_a_run_installs() -> Result<()> {
    let (told, installed) = (Filtered::new()?, Filtered::new()?);
    let dry_run = told.proxy_init(As::Root, &[&SETTINGS, [IPTABLES, "--dry-run"].as_slice()].concat())?;
    told.feed("sh", "-e", &dry_run.told.replace("iptables ", "iptables-nft "))?;
    installed.redirect(&[&SETTINGS, [IPTABLES].as_slice()].concat())?;
    assert_eq!(told.rules("iptables-nft")?, installed.rules("iptables-nft")?);
    Ok(())
}

#[test]
fn rules_that_somebody_has_changed_are_not_verified_until_a_run_has_put_them_right() -> Result<()> {
    let delete = ["-t nat -D AZWI_PROXY_OUTPUT 1", "-t nat -D AZWI_PROXY_REDIRECT 1", "-t nat -F OUTPUT"];
    for (flavour, command) in FLAVOURS.into_iter().flat_map(|flavour| delete.map(|command| (flavour, command))) {
        let stage = Filtered::new()?;
        // So that it is this flavour that is taken.
        stage.run(flavour, "-t nat -A PREROUTING -p tcp --dport 9 -j REDIRECT --to-ports 99")?;
        stage.redirect(&[IPTABLES])?;
        stage.redirect(&[IPTABLES, "--verify-only"])?;
        stage.run(flavour, command)?;
        let answer = stage.proxy_init(As::Root, &[IPTABLES, "--verify-only"])?;
        assert_eq!(answer.code, 1, "{flavour} {command}");
        assert!(answer.log.contains(&format!("{flavour} holds rules")), "{flavour} {command}: {}", answer.log);
        stage.redirect(&[IPTABLES])?;
        stage.redirect(&[IPTABLES, "--verify-only"])?;
    }
    Ok(())
}

#[test]
fn a_table_that_somebody_has_changed_is_not_verified() -> Result<()> {
    let stage = Filtered::new()?;
    stage.redirect(&[])?;
    stage.feed("nft", "-f -", "insert rule ip azwi_proxy output meta skuid 7 return\n")?;
    let answer = stage.proxy_init(As::Root, &["--verify-only"])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("not those of these settings"), "{}", answer.log);
    Ok(())
}

/// Stands in for `iptables-nft`, ahead of the real one.
struct StandIn(TempDir);

impl StandIn {
    fn new(script: &str) -> Result<Self> {
        let stand_in = Self(tempfile::tempdir()?);
        let program = stand_in.0.path().join("iptables-nft");
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(stand_in)
    }

    fn path(&self) -> (&'static str, PathBuf) {
        ("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", self.0.path().display()).into())
    }
}

/// Runs the real program, then keeps what the table looks like.
const RECORDER: &str = r#"#!/bin/sh
/usr/sbin/iptables-nft "$@" || exit
/usr/sbin/iptables-nft -t nat -S > "$RECORD/$(date +%s%N)"
"#;

#[test]
fn while_rules_are_replaced_connections_never_pass_by() -> Result<()> {
    let (stage, recorder, record) = (Filtered::new()?, StandIn::new(RECORDER)?, tempfile::tempdir()?);
    stage.redirect(&[IPTABLES])?;
    let env = [recorder.path(), ("RECORD", record.path().to_owned()), stage.lock()];
    let answer = proxy_init(&stage.namespace, As::Root, &[&SETTINGS[..2], &[IPTABLES]].concat(), &env)?;
    assert_eq!(answer.code, 0, "{}", answer.log);

    let mut moments = 0;
    for moment in fs::read_dir(record.path())? {
        let rules = fs::read_to_string(moment?.path())?;
        let way =
            ["-A OUTPUT -d 169.254.169.254/32", "-A AZWI_PROXY_OUTPUT -j AZWI", "-A AZWI_PROXY_REDIRECT -p tcp -j"];
        for step in way {
            assert!(rules.contains(step), "{step} is missing in {rules}");
        }
        moments += 1;
    }
    assert!(moments > 5, "{moments}");
    Ok(())
}

/// Runs the real program as long as rules only come.
const ONLY_INSERTS: &str = r#"#!/bin/sh
case "$*" in *" -D "*|*" -X "*|*"-j REDIRECT"*) echo "no more room" >&2; exit 4;; esac
exec /usr/sbin/iptables-nft "$@"
"#;

#[test]
fn what_can_be_neither_completed_nor_taken_back_is_told() -> Result<()> {
    let (stage, programs) = (Filtered::new()?, tempfile::tempdir()?);
    let program = programs.path().join("iptables-nft");
    fs::write(&program, ONLY_INSERTS)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:/usr/sbin:/usr/bin:/bin", programs.path().display());
    let answer = proxy_init(&stage.namespace, As::Root, &[IPTABLES], &[("PATH", path.into()), stage.lock()])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("could not be taken back"), "{}", answer.log);
    Ok(())
}

#[test]
fn a_jump_that_lies_behind_somebody_else_s_rule_comes_to_the_front() -> Result<()> {
    let stage = Filtered::new()?;
    stage.redirect(&[IPTABLES])?;
    stage.run("iptables-nft", "-t nat -I OUTPUT 1 -p tcp -j REDIRECT --to-ports 15001")?;
    stage.redirect(&[IPTABLES])?;
    let rules = stage.rules("iptables-nft")?;
    let output: Vec<_> = rules.iter().filter(|rule| rule.starts_with("-A OUTPUT")).collect();
    assert_eq!(output.len(), 2);
    assert!(output.first().context("no rules")?.ends_with("-j AZWI_PROXY_OUTPUT"), "{output:?}");
    Ok(())
}

/// Before the jump to our chains comes in, somebody else takes the lock and keeps it.
const LOCKED_HALFWAY: &str = r#"#!/bin/sh
case "$*" in *"-I OUTPUT"*) touch "$LOCKED" ;; esac
[ ! -e "$LOCKED" ] && exec /usr/sbin/iptables-nft "$@"
echo 'Another app is currently holding the xtables lock; giving up.' >&2
exit 4
"#;

#[test]
fn rules_that_can_neither_be_completed_nor_taken_back_are_told() -> Result<()> {
    let (stage, halfway, directory) = (Filtered::new()?, StandIn::new(LOCKED_HALFWAY)?, tempfile::tempdir()?);
    let env = [halfway.path(), ("LOCKED", directory.path().join("locked")), stage.lock()];
    let answer = proxy_init(&stage.namespace, As::Root, &[IPTABLES], &env)?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("what was installed could not be taken back"), "{}", answer.log);
    assert_eq!(stage.rules("iptables-nft")?.len(), 5);
    Ok(())
}

/// Lets nothing go.
const HOARDER: &str = r#"#!/bin/sh
case "$*" in *" -D "*) exit 1 ;; esac
exec /usr/sbin/iptables-nft "$@"
"#;

#[test]
fn where_the_other_flavour_keeps_what_an_earlier_run_left_nothing_comes_in() -> Result<()> {
    let (stage, hoarder) = (Filtered::new()?, StandIn::new(HOARDER)?);
    stage.redirect(&[IPTABLES, "--proxy-port=8001"])?;
    // So that it is this flavour that is taken.
    for _ in 0..7 {
        stage.run("iptables-legacy", "-t nat -A OUTPUT -p tcp --dport 9 -j REDIRECT --to-ports 99")?;
    }
    let answer = proxy_init(&stage.namespace, As::Root, &[IPTABLES], &[hoarder.path(), stage.lock()])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("iptables-nft -t nat -D"), "{}", answer.log);
    assert!(!answer.log.contains("could not be taken back"), "{}", answer.log);
    assert_eq!(stage.rules("iptables-legacy")?.len(), 7);
    Ok(())
}
