//! A user and network namespace of one's own: a stage with its own loopback, its own
//! 169.254.169.254 and its own packet filter, on which root is only root of the stage.
//!
//! Works for root and for ordinary users and calls no `ip`. It is not a container: files and
//! processes are the machine's.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Uid, User};

use crate::binaries::binary;
use crate::process::Process;

/// What is missing where namespaces are forbidden.
const FORBIDDEN: &str = "this machine does not let this user make a network namespace; an administrator allows it with \
     `sysctl user.max_user_namespaces=65536`, on Debian also `sysctl kernel.unprivileged_userns_clone=1`, \
     on Ubuntu also `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; a container needs a seccomp \
     profile that permits unshare(2)";

/// User ids of the stage that have an owner on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// 0 to some tens of thousands: different processes can run as different users.
    Many,
    /// Only 0. Nothing can run as, or be told apart by, another user id.
    Single,
}

/// The user that a command runs as, seen from inside the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// User id 0 with all capabilities over the stage.
    Root,
    /// User id 0 without `CAP_NET_ADMIN`, and no way to get it.
    RootWithoutNetAdmin,
    /// User id 0 with all capabilities, on a kernel that seems to have neither `nf_tables` nor anything else that is
    /// reached through netfilter's netlink.
    RootWithoutNfTables,
    /// The same, but netfilter's netlink answers that it is busy.
    RootWithBusyNfTables,
    /// That user id (and the group id of the same number) without capabilities. Needs [`Users::Many`] unless 0.
    Uid(u32),
}

/// A namespace that lives until this value is dropped or its process ends.
#[derive(Debug)]
pub struct Namespace {
    holder: Process,
    users: Users,
}

impl Namespace {
    /// Makes a namespace whose loopback is up and has 127.0.0.1/8 and 169.254.169.254/32.
    ///
    /// # Errors
    /// If the machine forbids it (the error says how to allow it) or `netns` is not built.
    pub fn new() -> anyhow::Result<Self> {
        let mut hold = Command::new(binary("netns")?);
        hold.arg("hold").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = Process::spawn(&mut hold)?;
        let mut dialogue = Dialogue::with(&mut holder)?;
        let mut namespace = Self { holder, users: Users::Single };
        dialogue.expect("unshared").map_err(|error| namespace.why(error).context(FORBIDDEN))?;
        namespace.users = map_users(namespace.holder.id()).context(FORBIDDEN)?;
        dialogue.say("mapped").and_then(|()| dialogue.expect("ready")).map_err(|error| namespace.why(error))?;
        namespace.holder.stdin = Some(dialogue.to);
        Ok(namespace)
    }

    /// Which user ids there are.
    pub fn users(&self) -> Users {
        self.users
    }

    /// A command that runs `program` (a path, or a name looked up in `PATH`) inside. Arguments, environment and
    /// standard streams are added as usual; the process keeps its id.
    ///
    /// # Panics
    /// Never for a namespace that [`Namespace::new`] returned: that one found `netns` already.
    pub fn command(&self, program: impl AsRef<OsStr>, user: As) -> Command {
        #[expect(clippy::expect_used, reason = "`new` has run this very binary")]
        let mut command = Command::new(binary("netns").expect("netns has been found before"));
        command.args(["enter", &self.holder.id().to_string(), &user.to_string(), "--"]).arg(program);
        command
    }

    /// The holder's own words if it ended, for they tell more than its silence.
    fn why(&mut self, silence: io::Error) -> anyhow::Error {
        let mut words = String::new();
        drop(self.holder.kill());
        if let Some(mut stderr) = self.holder.stderr.take() {
            drop(stderr.read_to_string(&mut words));
        }
        if words.trim().is_empty() { silence.into() } else { anyhow::anyhow!(words.trim().to_owned()) }
    }
}

impl std::fmt::Display for As {
    /// As `netns enter` reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::RootWithoutNetAdmin => f.write_str("root-without-net-admin"),
            Self::RootWithoutNfTables => f.write_str("root-without-nf-tables"),
            Self::RootWithBusyNfTables => f.write_str("root-with-busy-nf-tables"),
            Self::Uid(uid) => write!(f, "{uid}"),
        }
    }
}

/// Line by line with the holder, because the maps can be written only between its two steps.
struct Dialogue {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Dialogue {
    fn with(holder: &mut Process) -> anyhow::Result<Self> {
        let to = holder.stdin.take().context("the holder has no stdin")?;
        let from = holder.stdout.take().context("the holder has no stdout")?;
        Ok(Self { to, from: BufReader::new(from) })
    }

    fn say(&mut self, word: &str) -> io::Result<()> {
        writeln!(self.to, "{word}")
    }

    fn expect(&mut self, word: &str) -> io::Result<()> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        if line.trim() == word {
            return Ok(());
        }
        Err(io::Error::other(format!("netns hold said {:?} instead of {word:?}", line.trim())))
    }
}

/// Gives the users of the new namespace owners outside: as many as this user may.
fn map_users(holder: u32) -> anyhow::Result<Users> {
    let many = if Uid::effective().is_root() { map_identically(holder) } else { map_subordinates(holder) };
    match many {
        Ok(()) => Ok(Users::Many),
        Err(_) => map_self(holder).map(|()| Users::Single),
    }
}

/// Root's way: every user is itself.
fn map_identically(holder: u32) -> anyhow::Result<()> {
    write_proc(holder, "uid_map", "0 0 65536")?;
    write_proc(holder, "gid_map", "0 0 65536")
}

/// An ordinary user's way to many: the ids that subuid(5) grants, through the set-uid programs that check the grant.
fn map_subordinates(holder: u32) -> anyhow::Result<()> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let name = User::from_uid(uid)?.map(|user| user.name);
    let grant = |file| -> anyhow::Result<(String, String)> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        subordinates(&text, name.as_deref(), uid.as_raw()).with_context(|| format!("{file} grants nothing"))
    };
    let (uids, gids) = (grant("/etc/subuid")?, grant("/etc/subgid")?);
    run_map("newuidmap", holder, uid.as_raw(), &uids)?;
    run_map("newgidmap", holder, gid.as_raw(), &gids)
}

/// The first `name:start:count` line of subuid(5) that is this user's, by name or number.
fn subordinates(table: &str, name: Option<&str>, uid: u32) -> Option<(String, String)> {
    let uid = uid.to_string();
    table.lines().find_map(|line| {
        let mut fields = line.trim().splitn(3, ':');
        let owner = fields.next()?;
        let (start, count) = (fields.next()?, fields.next()?);
        (Some(owner) == name || owner == uid).then(|| (start.to_owned(), count.to_owned()))
    })
}

fn run_map(program: &str, holder: u32, own: u32, (start, count): &(String, String)) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args([&holder.to_string(), "0", &own.to_string(), "1", "1", start, count])
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} refused: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// What everybody may: user 0 inside is this user outside. `user_namespaces(7)` asks to give up setgroups(2) first.
fn map_self(holder: u32) -> anyhow::Result<()> {
    write_proc(holder, "setgroups", "deny")?;
    write_proc(holder, "uid_map", &format!("0 {} 1", Uid::effective()))?;
    write_proc(holder, "gid_map", &format!("0 {} 1", Gid::effective()))
}

fn write_proc(holder: u32, file: &str, text: &str) -> anyhow::Result<()> {
    let path = format!("/proc/{holder}/{file}");
    fs::write(&path, text).with_context(|| format!("cannot write {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_are_found_by_name_or_by_number() {
        let table = "other:100000:65536\ntester:165536:65536\n1002:300000:1000\n";
        assert_eq!(subordinates(table, Some("tester"), 1001), Some(("165536".into(), "65536".into())));
        assert_eq!(subordinates(table, None, 1002), Some(("300000".into(), "1000".into())));
        assert_eq!(subordinates(table, Some("nobody"), 65534), None);
    }
}
