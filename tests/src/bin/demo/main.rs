//! `demo` shows the main job for real: an unmodified app gets its token at 169.254.169.254.
//!
//! Only built programs play, in a namespace of their own; nothing is pretended. It ends well only if all that it tells
//! has happened. `cargo xtask demo` builds the programs first.

mod app;
mod cast;
mod directory;
mod http;
mod json;
mod narrator;
mod play;
mod shell;
mod sidecar;
mod steps;
mod tethered;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::bail;
use azwi_tests::landlock::has_landlock;
use azwi_tests::namespace::{Namespace, Users};

const USAGE: &str = "usage: demo [--keep]                show the main job; --keep: then a shell inside
       demo users                   which user ids a namespace of this user has: many or single
       demo landlock                what Landlock can do here: enforced or nothing
       demo http-get URL [HEADER…]  one plain request
       demo tethered PROGRAM…       run a program that ends with its parent
       demo keep-directory          a temporary directory until stdin ends";

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
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        [] => play::play(false),
        ["--keep"] => play::play(true),
        ["users"] => users(),
        ["landlock"] => landlock(),
        ["http-get", url, headers @ ..] => http::get(url, headers),
        [cast::TETHERED, ..] => tethered::tethered(arguments.get(1..).unwrap_or_default()),
        [directory::KEEP] => directory::keep(),
        _ => bail!(USAGE),
    }
}

/// What `cargo xtask test` asks before it runs what needs a namespace.
fn users() -> anyhow::Result<()> {
    println!("{}", if Namespace::new()?.users() == Users::Many { "many" } else { "single" });
    Ok(())
}

/// What it asks before it runs what the kernel must restrict.
fn landlock() -> anyhow::Result<()> {
    println!("{}", if has_landlock()? { "enforced" } else { "nothing" });
    Ok(())
}
