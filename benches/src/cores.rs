//! Which core does what: the server under load has one for itself, and what plays beside it has another.

use anyhow::bail;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const THIS: Pid = Pid::from_raw(0);

/// Two different cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// Two that this process may use; the calling thread, and whatever it starts, stays on the load's.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(THIS)?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let (Some(server), Some(load)) = (cores.next(), cores.next()) else { bail!("this takes two cores") };
        pin(load)?;
        Ok(Self { server, load })
    }

    /// Does it on the server's core; a process started by it stays there.
    pub(crate) fn on_the_servers<T>(self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        pin(self.server)?;
        let done = work();
        pin(self.load)?;
        done
    }
}

fn pin(core: usize) -> nix::Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    sched_setaffinity(THIS, &only)
}
