//! `--keep`: all of it stays, behind a shell inside the namespace, and ends with the shell.

use std::ffi::OsString;

use anyhow::Context as _;
use azwi_tests::binaries::binary;
use azwi_tests::emulator::{Emulator, clients};
use azwi_tests::namespace::As;

use crate::app::token_url;
use crate::cast::Cast;
use crate::narrator::Narrator;

pub(crate) fn open(tell: &Narrator, cast: &Cast, entra: &Emulator<'_>) -> anyhow::Result<()> {
    let app = binary("unmodified-app")?;
    let emulator = binary("azwi-emulator")?;
    tell.title("\nIt goes on, and this shell is inside. All ends with it. Try:");
    for line in [
        format!("curl -H Metadata:true '{}'", token_url("https://vault.azure.net")),
        format!("{}", app.display()),
        format!("{} --client-id {}", app.display(), clients::ORPHAN),
        format!("ls {}   # the sidecar's log and the service account token", cast.directory().display()),
        format!("{} fault --dir {} '{{\"status\":503}}'", emulator.display(), entra.dir().display()),
        format!("{} counters --dir {}", emulator.display(), entra.dir().display()),
    ] {
        tell.say(&line);
    }
    let shell = shell();
    let status = cast.namespace.command(&shell, As::Root).status();
    // How a shell ends depends on the last thing typed: it says nothing about the demo.
    status.map(drop).with_context(|| format!("cannot run {}", shell.display()))
}

#[expect(clippy::disallowed_methods, reason = "the user's own shell is the user's wish, not configuration")]
fn shell() -> OsString {
    std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())
}
