//! `netns hold` makes a user and network namespace and keeps it; `netns enter` runs a program in one.
//!
//! A program of its own because unshare(2) and setns(2) move only a process with a single thread. Meant for
//! `azwi_tests::namespace`, not for people.

mod enter;
mod hold;
mod loopback;
mod without;

use std::env;
use std::process::ExitCode;

use anyhow::bail;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netns: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["hold"] => hold::hold(),
        ["enter", holder, user, "--", _, ..] => enter::enter(holder, user, arguments.iter().skip(4)),
        _ => bail!(
            "usage: netns hold | \
             netns enter PID (root|root-without-net-admin|root-without-nf-tables|root-with-busy-nf-tables|UID) \
             -- PROGRAM [ARGUMENT…]"
        ),
    }
}
