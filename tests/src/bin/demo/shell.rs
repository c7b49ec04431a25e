//! `--keep`: all of it stays, behind a shell inside the namespace, and ends with the shell.

use std::ffi::OsString;

use anyhow::Context as _;
use azwi_tests::emulator::{Emulator, clients};

use crate::app::token_url;
use crate::cast::Cast;
use crate::narrator::Narrator;

pub(crate) fn open(tell: &Narrator, cast: &Cast, entra: &Emulator<'_>) -> anyhow::Result<()> {
    tell.title("\nIt goes on, and this shell is inside. All ends with it. Try:");
    let emulator = |command: &str| format!("./azwi-emulator {command} --dir {}", entra.dir().display());
    for line in [
        format!("curl -H Metadata:true '{}'", token_url("https://vault.azure.net")),
        "./unmodified-app".to_owned(),
        format!("./unmodified-app --client-id {}", clients::ORPHAN),
        "cat proxy.log".to_owned(),
        format!("{} '{{\"status\":503}}'", emulator("fault")),
        format!("curl -i -H Metadata:true '{}'", token_url("https://storage.azure.com")),
        emulator("fault --clear"),
        emulator("counters"),
    ] {
        tell.say(&line);
    }
    let shell = shell();
    let status = cast.shell(&shell).status();
    // How a shell ends depends on the last thing typed: it says nothing about the demo.
    status.map(drop).with_context(|| format!("cannot run {}", shell.display()))
}

#[expect(clippy::disallowed_methods, reason = "the user's own shell is the user's wish, not configuration")]
fn shell() -> OsString {
    std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())
}
