//! What the programs say they are: enough to find the source of one that runs somewhere.

use std::process::Command;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::stage::Stage;

/// What stands in brackets behind the version.
fn commit(program: &str) -> Result<String> {
    let output = Command::new(binary(program)?).arg("--version").output()?;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout)?;
    let start = format!("{program} {} (", env!("CARGO_PKG_VERSION"));
    let commit = text.strip_prefix(&start).and_then(|rest| rest.strip_suffix(")\n"));
    Ok(commit.with_context(|| format!("{text:?}"))?.to_owned())
}

#[test]
fn every_program_names_its_version_and_its_commit() -> Result<()> {
    let commit = commit("azwi-proxy")?;
    // Built from an archive it cannot know.
    assert!(
        commit == "unknown" || commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{commit}"
    );
    for program in ["azwi", "azwi-proxy-init", "azwi-webhook", "azwi-emulator"] {
        assert!(!self::commit(program)?.is_empty());
    }
    Ok(())
}

#[test]
fn the_first_line_of_the_log_has_the_commit() -> Result<()> {
    let stage = Stage::new()?;
    let line = stage.proxy.log.wait_for(&[("message", "starting")]).context("no line")?;
    assert_eq!(line.get("commit").and_then(|commit| commit.as_str()), Some(commit("azwi-proxy")?.as_str()));
    Ok(())
}
