//! `azwi-proxy-init`, the init container: redirects the metadata service's address to the proxy of this pod, proves
//! it with a connection, and ends. Anything but a proven redirect is a failure that leaves nothing behind, because an
//! app that reached the node's own metadata service would get the node's identity.

mod config;
#[cfg(feature = "iptables")]
mod iptables;
mod netlink;
mod nftables;
mod plan;
mod setup;
mod verify;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use config::{Bad, Config, Flags};
use serde::Serialize;
use setup::Backend;
use time::OffsetDateTime;

/// The redirect could not be set up or verified.
const NO_REDIRECT: u8 = 1;
/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// `EX_SOFTWARE` of sysexits.h.
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let flags = match Flags::parse_from_args(std::env::args_os()) {
        Ok(flags) => flags,
        Err(answer) => return answer_usage(&answer),
    };
    let own_uid = nix::unistd::geteuid().as_raw();
    match Config::new(&flags, environment, own_uid) {
        Ok(config) => run(config),
        Err(bad) => refuse(&bad),
    }
}

#[expect(clippy::disallowed_methods, reason = "main passes the environment lookup")]
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Help and version are answers too, on stdout and with success.
fn answer_usage(answer: &clap::Error) -> ExitCode {
    // With the stream gone there is nobody left to tell.
    drop(answer.print());
    if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

fn refuse(bad: &[Bad]) -> ExitCode {
    for error in bad {
        log(Failure { level: "ERROR", message: "bad configuration", error: error.to_string() });
    }
    ExitCode::from(USAGE)
}

fn run(config: Config) -> ExitCode {
    let started = Instant::now();
    match setup::redirect(config) {
        Ok(backend) => {
            log(Success::new(config, backend, started.elapsed()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            log(Failure { level: "ERROR", message: "no redirect", error: error.to_string() });
            ExitCode::from(if error.is_internal() { INTERNAL } else { NO_REDIRECT })
        }
    }
}

#[derive(Serialize)]
struct Failure {
    level: &'static str,
    message: &'static str,
    error: String,
}

#[derive(Serialize)]
struct Success {
    level: &'static str,
    message: &'static str,
    backend: &'static str,
    metadata: String,
    proxy_port: u16,
    proxy_uid: u32,
    took_ms: f64,
}

impl Success {
    fn new(Config { plan, .. }: Config, backend: Backend, took: Duration) -> Self {
        Self {
            level: "INFO",
            message: "redirected and verified",
            backend: backend.name(),
            metadata: plan.metadata.to_string(),
            proxy_port: plan.proxy_port,
            proxy_uid: plan.proxy_uid,
            // To the microsecond.
            took_ms: (took.as_secs_f64() * 1e6).round() / 1e3,
        }
    }
}

/// One JSON line on stderr. With stderr gone there is nobody left to tell.
fn log(event: impl Serialize) {
    let timestamp = rfc3339(OffsetDateTime::now_utc());
    if let Ok(line) = serde_json::to_string(&Line { timestamp, event }) {
        drop(writeln!(io::stderr(), "{line}"));
    }
}

/// What all lines have in common.
#[derive(Serialize)]
struct Line<Event> {
    timestamp: String,
    #[serde(flatten)]
    event: Event,
}

/// UTC to the microsecond, as the proxy's log has it.
fn rfc3339(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    let (hour, minute, second, micro) = clock.as_hms_micro();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc_with_all_six_digits_of_a_microsecond() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_000_042_999).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.000042Z");
    }
}
