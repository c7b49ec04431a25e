//! `azwi-proxy-init`, the init container: redirects the metadata service's address to the proxy of this pod, proves
//! it with a connection, and ends. Anything but a proven redirect is a failure that leaves nothing behind, because an
//! app that reached the node's own metadata service would get the node's identity.

mod backend;
mod config;
mod dry_run;
#[cfg(feature = "iptables")]
mod iptables;
mod log;
mod netlink;
mod nftables;
mod plan;
mod pod;
mod running;
mod setup;
mod verify;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use config::{Bad, Config, Flags, Job};
use log::{Done, Failure, Success};

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
        log::write(Failure { level: "ERROR", message: "bad configuration", error: error.to_string() });
    }
    ExitCode::from(USAGE)
}

fn run(config: Config) -> ExitCode {
    let started = Instant::now();
    let in_force = |message| move |verified| log::write(Success::new(message, config, verified, started.elapsed()));
    let done = match config.job {
        Job::Redirect => setup::redirect(config).map(in_force("redirected and verified")),
        Job::Verify => setup::verify(config).map(in_force("verified")),
        Job::Remove => setup::remove(config).map(|()| log::write(Done::new("removed"))),
        Job::Show => {
            show(config);
            Ok(())
        }
    };
    done.map_or_else(|error| fail(config.job, &error), |()| ExitCode::SUCCESS)
}

/// With stdout gone there is nobody left to tell.
fn show(config: Config) {
    drop(io::stdout().write_all(dry_run::text(config).as_bytes()));
}

fn fail(job: Job, error: &setup::Error) -> ExitCode {
    let message = match job {
        Job::Verify => "not verified",
        Job::Remove => "not removed",
        Job::Redirect | Job::Show => "no redirect",
    };
    log::write(Failure { level: "ERROR", message, error: error.to_string() });
    ExitCode::from(if error.is_internal() { INTERNAL } else { NO_REDIRECT })
}
