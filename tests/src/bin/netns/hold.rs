//! Makes the namespaces and lives for as long as somebody holds the other end of stdin.

use std::io::{self, Read as _, Write as _};

use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};

use crate::loopback;

/// Says `unshared`, waits for a line (the parent has written the maps), says `ready`, waits for the end of stdin.
pub(crate) fn hold() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).context("unshare(NEWUSER|NEWNET)")?;
    say("unshared")?;
    io::stdin().read_line(&mut String::new())?;
    loopback::set_up()?;
    say("ready")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn say(word: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{word}")?;
    stdout.flush()
}
