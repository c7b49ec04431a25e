//! What the kernel knows of a process: the time on a core, the time of waiting for one, and the memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// What the kernel has counted so far, to the nanosecond, where `utime` and `stime` of stat(5) count ticks (Linux,
/// Documentation/scheduler/sched-stats.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schedule {
    /// On a core.
    pub on_core: Duration,
    /// Ready to run, while the machine ran something else.
    pub kept_waiting: Duration,
}

impl Schedule {
    /// Of all threads of a process that live.
    ///
    /// # Errors
    /// If it has ended, or the kernel does not count.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let Self { on_core, kept_waiting } = Self::read(&fs::read_to_string(thread?.path().join("schedstat"))?)?;
            sum = Self { on_core: sum.on_core + on_core, kept_waiting: sum.kept_waiting + kept_waiting };
        }
        Ok(sum)
    }

    /// Of the calling thread.
    ///
    /// # Errors
    /// If the kernel does not count.
    pub fn of_this_thread() -> anyhow::Result<Self> {
        Self::read(&fs::read_to_string("/proc/thread-self/schedstat")?)
    }

    fn read(schedstat: &str) -> anyhow::Result<Self> {
        let counts: Result<Vec<u64>, _> = schedstat.split_whitespace().map(str::parse).collect();
        match counts.as_deref() {
            Ok([on_core, kept_waiting, ..]) => {
                Ok(Self { on_core: Duration::from_nanos(*on_core), kept_waiting: Duration::from_nanos(*kept_waiting) })
            }
            _ => bail!("not a schedstat: {schedstat:?}"),
        }
    }
}

/// What a process has taken, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Proportional set size: what it adds to the machine's use of memory, code included.
    pub pss: u64,
    /// Resident set size: the same, with what it shares with others counted in full.
    pub rss: u64,
}

impl Memory {
    /// At this moment.
    ///
    /// # Errors
    /// If this process may not look: the sidecar lets nobody but root.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}; a root can"))?;
        Self::read(&rollup).with_context(|| format!("no sizes in {path}"))
    }

    fn read(rollup: &str) -> Option<Self> {
        let bytes = |name| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        Some(Self { pss: bytes("Pss:")?, rss: bytes("Rss:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_on_a_core_comes_before_the_time_of_waiting_for_one() {
        let schedule = Schedule { on_core: Duration::from_nanos(123), kept_waiting: Duration::from_nanos(42) };
        assert_eq!(Schedule::read("123 42 7\n").unwrap(), schedule);
        assert!(Schedule::read("\n").is_err());
    }

    #[test]
    fn sizes_are_told_apart_from_their_parts() {
        let rollup = "Rss:   4000 kB\nPss:      2912 kB\nPss_Dirty:   600 kB\n";
        assert_eq!(Memory::read(rollup), Some(Memory { pss: 2912 * 1024, rss: 4000 * 1024 }));
        assert_eq!(Memory::read("Pss_Dirty:   600 kB\n"), None);
    }
}
