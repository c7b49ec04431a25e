//! What the sidecar gives up at its start. Which files it may read then is shown by `landlock.rs`.

#![expect(clippy::expect_used, reason = "in helpers too, a thread that panicked is a failed test")]

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use azwi_tests::landlock::has_landlock;
use azwi_tests::process::Process;
use azwi_tests::proxy::Proxy;
use caps::CapSet;
use nix::sys::prctl::set_no_new_privs;
use serde_json::Value;

/// The line in which the sidecar says what it gave up.
fn report(proxy: &Proxy) -> Result<Value> {
    proxy.log.wait_for(&[("message", "sandbox")]).context("nothing about a sandbox")
}

fn said(report: &Value, measure: &str) -> String {
    report.get(measure).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A line of `/proc/PID/status`, e.g. `CapEff`.
fn status(pid: u32, name: &str) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no {name}"))?.trim().to_owned())
}

fn capabilities(proxy: &Proxy, set: &str) -> Result<u64> {
    Ok(u64::from_str_radix(&status(proxy.pid(), set)?, 16)?)
}

fn core_limit(pid: u32) -> Result<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).context("no limit on core files")?;
    Ok(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>().join(" "))
}

/// As the processes of a pod are: none of what follows has capabilities or can get them.
fn as_in_a_pod<T: Send>(test: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let unprivileged = || {
        set_no_new_privs()?;
        caps::clear(None, CapSet::Inheritable)?;
        caps::clear(None, CapSet::Permitted)?;
        test()
    };
    thread::scope(|scope| scope.spawn(unprivileged).join()).expect("a thread")
}

#[test]
fn privileges_cannot_be_gained() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    assert_eq!(status(proxy.pid(), "NoNewPrivs")?, "1");
    assert_eq!(said(&report(&proxy)?, "no_new_privs"), "set");
    Ok(())
}

#[test]
fn there_are_no_capabilities() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(capabilities(&proxy, set)?, 0, "{set}");
    }
    // Only who has capabilities may empty the set that bounds them.
    let report = said(&report(&proxy)?, "capabilities");
    assert_eq!(capabilities(&proxy, "CapBnd")? == 0, report == "none", "{report}");
    Ok(())
}

#[test]
fn a_bounding_set_that_the_pod_has_left_is_reported() -> Result<()> {
    let report = as_in_a_pod(|| {
        let proxy = Proxy::start(&[], &[])?;
        ensure!(capabilities(&proxy, "CapEff")? == 0 && capabilities(&proxy, "CapBnd")? != 0, "not as in a pod");
        report(&proxy)
    })?;
    assert!(said(&report, "capabilities").contains("bounding set cannot be dropped"), "{report}");
    Ok(())
}

#[test]
fn no_core_is_ever_dumped() -> Result<()> {
    let proxy = Proxy::start(&[], &[])?;
    assert_eq!(core_limit(proxy.pid())?, "0 0");
    assert_eq!(said(&report(&proxy)?, "core_dumps"), "off");
    Ok(())
}

#[test]
fn other_processes_of_the_same_user_cannot_look_into_its_memory() -> Result<()> {
    let can_look = |args: &[&str]| {
        let proxy = Proxy::start(&[], args)?;
        Ok(fs::read(format!("/proc/{}/auxv", proxy.pid())).is_ok())
    };
    assert!(!as_in_a_pod(|| can_look(&[]))?);
    assert!(as_in_a_pod(|| can_look(&["--sandbox=off"]))?);
    Ok(())
}

#[test]
fn the_log_says_whether_the_kernel_restricts_files() -> Result<()> {
    let report = report(&Proxy::start(&[], &[])?)?;
    let expected: &[_] = if has_landlock()? {
        &["enforced", "partially enforced"]
    } else {
        &["not enabled in this kernel", "unsupported by this kernel"]
    };
    assert!(expected.contains(&said(&report, "landlock").as_str()), "{report}");
    Ok(())
}

#[test]
fn without_the_sandbox_everything_is_as_it_was() -> Result<()> {
    let mut proxy = Proxy::start(&[], &["--sandbox=off"])?;
    let neighbour = Process::spawn(Command::new("sleep").arg("60"))?;
    for name in ["NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(proxy.pid(), name)?, status(neighbour.id(), name)?, "{name}");
    }
    assert_eq!(core_limit(proxy.pid())?, core_limit(neighbour.id())?);
    proxy.terminate()?;
    proxy.wait()?;
    assert!(!proxy.log.whole().contains("sandbox"));
    Ok(())
}
