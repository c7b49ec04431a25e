//! Whether this machine's kernel can restrict which files a process opens.

use std::thread;

use anyhow::{Context as _, anyhow};
use landlock::{AccessFs, Ruleset, RulesetAttr as _, RulesetStatus};

/// What this kernel can do, found out by a thread that restricts itself.
///
/// # Errors
/// If that thread fails for another reason than the lack of Landlock.
pub fn has_landlock() -> anyhow::Result<bool> {
    let restricted = thread::spawn(|| Ruleset::default().handle_access(AccessFs::Execute)?.create()?.restrict_self());
    let status = restricted.join().map_err(|_| anyhow!("the thread panicked"))?;
    Ok(status.context("cannot restrict a thread")?.ruleset == RulesetStatus::FullyEnforced)
}
