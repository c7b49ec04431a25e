//! What azwi-proxy-init does beside redirecting: tell, verify, remove; and what it does where a sidecar listens already.
//! Needs a network namespace, and no program.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::log::Log;
use azwi_tests::namespace::{As, Namespace};
use azwi_tests::pod::Pod;
use azwi_tests::probe::{Listener, who_answers};
use azwi_tests::process::Process;
use azwi_tests::proxy_init::{Answer, proxy_init};

const METADATA: &str = "169.254.169.254:80";

fn run(stage: &Namespace, args: &[&str]) -> Result<Answer> {
    let args = [&["--backend=nftables"], args].concat();
    proxy_init::<&str>(stage, As::Root, &args, &[])
}

fn succeed(stage: &Namespace, args: &[&str]) -> Result<()> {
    let answer = run(stage, args)?;
    assert_eq!(answer.code, 0, "{}", answer.log);
    Ok(())
}

/// A sidecar that lacks everything but a port.
fn sidecar(stage: &Namespace) -> Result<Process> {
    let mut sidecar = stage.command(binary("azwi-proxy")?, As::Root);
    let mut sidecar = Process::spawn(sidecar.env_clear().stderr(Stdio::piped()))?;
    let log = Log::follow(sidecar.stderr.take().context("no stderr")?);
    log.wait_for(&[("message", "listening")]).context("the sidecar does not listen")?;
    Ok(sidecar)
}

#[test]
fn a_dry_run_tells_the_plan_and_changes_nothing() -> Result<()> {
    let stage = Namespace::new()?;
    let answer = run(&stage, &["--dry-run", "--proxy-uid=2000", "--proxy-port=8001"])?;
    assert_eq!((answer.code, answer.log.as_str()), (0, ""));
    for words in ["TCP connections to 169.254.169.254:80", "127.0.0.1:8001", "user 2000", "redirect to :8001"] {
        assert!(answer.told.contains(words), "{words} is missing in {}", answer.told);
    }
    assert_eq!(run(&stage, &["--verify-only"])?.code, 1);
    Ok(())
}

#[test]
fn a_dry_run_needs_no_right() -> Result<()> {
    let stage = Namespace::new()?;
    assert_eq!(proxy_init::<&str>(&stage, As::RootWithoutNetAdmin, &["--dry-run"], &[])?.code, 0);
    Ok(())
}

#[test]
fn a_redirect_in_force_is_verified_again_without_a_change() -> Result<()> {
    let stage = Namespace::new()?;
    succeed(&stage, &[])?;
    succeed(&stage, &["--verify-only"])?;
    let _proxy = Listener::start(&stage, As::Root, "127.0.0.1:8000", "proxy")?;
    assert_eq!(who_answers(&stage, As::Root, METADATA)?, "proxy");
    Ok(())
}

#[test]
fn where_there_is_no_redirect_verification_says_so_and_makes_none() -> Result<()> {
    let stage = Namespace::new()?;
    let answer = run(&stage, &["--verify-only"])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("there are no rules of azwi-proxy-init"), "{}", answer.log);
    let _imds = Listener::start(&stage, As::Root, METADATA, "imds")?;
    assert_eq!(who_answers(&stage, As::Root, METADATA)?, "imds");
    Ok(())
}

#[test]
fn a_redirect_for_other_settings_is_not_the_one_that_is_verified() -> Result<()> {
    let stage = Namespace::new()?;
    succeed(&stage, &[])?;
    for other in ["--proxy-uid=2000", "--proxy-port=8001", "--metadata-port=81", "--metadata-ip=127.0.0.9"] {
        let answer = run(&stage, &["--verify-only", other])?;
        assert_eq!(answer.code, 1, "{other}");
        assert!(answer.log.contains("not those of these settings"), "{other}: {}", answer.log);
    }
    Ok(())
}

#[test]
fn what_was_installed_is_taken_back_whatever_the_settings_were() -> Result<()> {
    let stage = Namespace::new()?;
    succeed(&stage, &["--proxy-port=8001", "--proxy-uid=2000"])?;
    succeed(&stage, &["--remove"])?;
    let _imds = Listener::start(&stage, As::Root, METADATA, "imds")?;
    assert_eq!(who_answers(&stage, As::Root, METADATA)?, "imds");
    Ok(())
}

#[test]
fn removing_what_is_not_there_is_no_failure() -> Result<()> {
    let stage = Namespace::new()?;
    succeed(&stage, &["--remove"])
}

#[test]
fn without_net_admin_nothing_can_be_removed_or_verified() -> Result<()> {
    let stage = Namespace::new()?;
    for job in ["--remove", "--verify-only"] {
        let answer = proxy_init::<&str>(&stage, As::RootWithoutNetAdmin, &[job], &[])?;
        assert_eq!(answer.code, 1, "{job}");
        assert!(answer.log.contains("NET_ADMIN"), "{job}: {}", answer.log);
    }
    Ok(())
}

#[test]
fn two_jobs_at_once_are_bad_usage() -> Result<()> {
    let stage = Namespace::new()?;
    assert_eq!(run(&stage, &["--remove", "--verify-only"])?.code, 64);
    Ok(())
}

#[test]
fn a_sidecar_that_listens_already_vouches_for_the_redirect() -> Result<()> {
    let pod = Pod::new()?;
    succeed(pod.namespace(), &["--remove"])?;
    succeed(pod.namespace(), &[])?;
    succeed(pod.namespace(), &["--verify-only"])
}

#[test]
fn a_sidecar_that_listens_but_is_not_ready_vouches_as_well() -> Result<()> {
    let stage = Namespace::new()?;
    let _sidecar = sidecar(&stage)?;
    succeed(&stage, &[])
}

#[test]
fn a_sidecar_that_listens_does_not_vouch_for_a_redirect_to_somebody_else() -> Result<()> {
    let stage = Namespace::new()?;
    let _sidecar = sidecar(&stage)?;
    let _somebody = Listener::start(&stage, As::Root, "127.0.0.1:8001", "somebody")?;
    let answer = run(&stage, &["--proxy-port=8001"])?;
    assert_eq!(answer.code, 1);
    assert!(answer.log.contains("not by an azwi proxy"), "{}", answer.log);
    Ok(())
}
