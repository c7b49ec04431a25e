//! `demo` shows the main job for real: an unmodified app gets its token at 169.254.169.254.
//!
//! Only built programs play, in a namespace of their own; nothing is pretended. It ends well only if all that it tells
//! has happened. `cargo xtask demo` builds the programs first.

mod app;
mod cast;
mod emulator;
mod http;
mod json;
mod jwt;
mod narrator;
mod play;
mod process;
mod shell;
mod sidecar;
mod steps;

use std::env;
use std::process::ExitCode;

use anyhow::bail;
use azwi_tests::namespace::{Namespace, Users};

const USAGE: &str = "usage: demo [--keep]       show the main job; --keep: then a shell inside
       demo users          which user ids a namespace of this user has: many or single
       demo http-get URL [HEADER…]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => play::play(false),
        ["--keep"] => play::play(true),
        ["users"] => users(),
        ["http-get", url, headers @ ..] => http::get(url, headers),
        _ => bail!(USAGE),
    }
}

/// What `cargo xtask test` asks before it runs what needs a namespace.
fn users() -> anyhow::Result<()> {
    println!("{}", if Namespace::new()?.users() == Users::Many { "many" } else { "single" });
    Ok(())
}
