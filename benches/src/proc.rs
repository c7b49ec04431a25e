//! What the kernel knows of a process: the time on a core and the memory it has taken.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Time on a core of all threads that live, to the nanosecond, where utime and stime of stat(5) count ticks.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        nanoseconds += on_core(&fs::read_to_string(thread?.path().join("schedstat"))?)?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The first field of schedstat.
fn on_core(schedstat: &str) -> anyhow::Result<u64> {
    let first = schedstat.split(' ').next().context("schedstat is empty")?;
    first.parse().with_context(|| format!("not a schedstat: {schedstat:?}"))
}

/// Proportional set size in bytes: what the process adds to the machine's use of memory, code included.
pub(crate) fn pss(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}; a root can"))?;
    kilobytes(&rollup, "Pss:").map(|kilobytes| f64::from(kilobytes) * 1024.0).context("no Pss in smaps_rollup")
}

fn kilobytes(rollup: &str, name: &str) -> Option<u32> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_on_a_core_comes_first() {
        assert_eq!(on_core("123456789 42 7\n").unwrap(), 123_456_789);
        assert!(on_core("\n").is_err());
    }

    #[test]
    fn pss_is_told_apart_from_its_parts() {
        let rollup = "Rss:   4000 kB\nPss:      2912 kB\nPss_Dirty:   600 kB\n";
        assert_eq!(kilobytes(rollup, "Pss:"), Some(2912));
    }
}
