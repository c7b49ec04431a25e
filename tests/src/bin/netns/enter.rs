//! Joins a held namespace, becomes the asked user of it and turns into the program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::without;

/// Returns only if the program could not be started.
pub(crate) fn enter<'a>(
    holder: &str,
    user: &str,
    mut program: impl Iterator<Item = &'a OsString>,
) -> anyhow::Result<()> {
    // The user namespace first: it owns the other and gives the right to join it.
    join(holder, "user", CloneFlags::CLONE_NEWUSER)?;
    join(holder, "net", CloneFlags::CLONE_NEWNET)?;
    let name = program.next().context("no program named")?;
    // Opened before the user changes: the workspace may lie in a home that is closed to all others.
    let file = is_path(name).then(|| File::open(name)).transpose();
    let file = file.with_context(|| format!("cannot open {}", name.display()))?;
    become_user(user)?;
    let opened = file.as_ref().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd()).into());
    let error = Command::new(opened.as_ref().unwrap_or(name)).arg0(name).args(program).exec();
    Err(error).with_context(|| format!("cannot run {}", name.display()))
}

/// Other names are looked up in `PATH`.
fn is_path(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

fn join(holder: &str, kind: &str, flag: CloneFlags) -> anyhow::Result<()> {
    let path = format!("/proc/{holder}/ns/{kind}");
    let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    setns(namespace, flag).with_context(|| format!("cannot join {path}"))
}

fn become_user(user: &str) -> anyhow::Result<()> {
    match user {
        "root" => switch_to(0),
        "root-without-net-admin" => {
            switch_to(0)?;
            // What the bounding set lacks, exec(2) does not give even to root.
            caps::drop(None, CapSet::Bounding, Capability::CAP_NET_ADMIN).context("cannot drop CAP_NET_ADMIN")
        }
        "root-without-nf-tables" => {
            switch_to(0)?;
            without::nf_tables(Errno::EPROTONOSUPPORT)
        }
        "root-with-busy-nf-tables" => {
            switch_to(0)?;
            without::nf_tables(Errno::EBUSY)
        }
        uid => switch_to(uid.parse().with_context(|| format!("{uid:?} is no user id"))?),
    }
}

fn switch_to(id: u32) -> anyhow::Result<()> {
    // Where only one user is mapped, setgroups(2) is denied, and there is no other group to be in.
    let _ = setgroups(&[]);
    setgid(Gid::from_raw(id)).with_context(|| format!("this namespace has no group {id}"))?;
    setuid(Uid::from_raw(id)).with_context(|| format!("this namespace has no user {id}"))
}
