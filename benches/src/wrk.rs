//! wrk, where it is installed: the load that others measure with. It sends what the load of our own sends.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::stage::Stage;

/// Sends the requests in the file named after `--`, one after another, over and over.
const SCRIPT: &str = r#"
local requests, sent = {}, 0
function init(args)
  local file = io.open(args[1], "rb")
  for head in file:read("*a"):gmatch("(.-)\r\n\r\n") do requests[#requests + 1] = head .. "\r\n\r\n" end
  file:close()
end
function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end
"#;

/// Whether there is one.
pub(crate) fn is_installed() -> bool {
    // Without arguments it prints how it is used.
    Command::new("wrk").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What came of some seconds.
pub(crate) struct Run {
    pub requests: u32,
    pub wall: Duration,
}

/// Asks as fast as it can for a second, on one thread and so many connections.
pub(crate) fn run(stage: &Stage, port: u16, requests: &[Vec<u8>], connections: usize) -> anyhow::Result<Run> {
    let (script, heads) = (stage.path("wrk.lua"), stage.path("requests"));
    fs::write(&script, SCRIPT)?;
    fs::write(&heads, requests.concat())?;
    let output = Command::new("wrk")
        .args(["-t1", "-d1s", &format!("-c{connections}"), "-s"])
        .arg(script)
        .arg(format!("http://127.0.0.1:{port}"))
        .arg("--")
        .arg(heads)
        .output()
        .context("cannot run wrk")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !told.contains("Non-2xx") && !told.contains("Socket errors"), "wrk: {told}");
    counted(&told).with_context(|| format!("wrk: {told}"))
}

/// From the line `  262902 requests in 2.00s, 552.31MB read`.
fn counted(told: &str) -> Option<Run> {
    let line = told.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let seconds: f64 = rest.split_once("s,")?.0.parse().ok()?;
    Some(Run { requests: requests.parse().ok()?, wall: Duration::try_from_secs_f64(seconds).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_count_is_understood() {
        let run = counted("Running 1s test\n  262902 requests in 2.05s, 552.31MB read\n").unwrap();
        assert_eq!((run.requests, run.wall), (262_902, Duration::from_millis(2050)));
        assert!(counted("unable to connect").is_none());
    }
}
