//! Cargo, run as a person would run it: the command is shown and so is its progress.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that the stage plays with, and the stage's own.
const PROGRAMS: [&str; 11] = [
    "build",
    "-p",
    "azwi-proxy",
    "-p",
    "azwi-proxy-init",
    "-p",
    "azwi-emulator",
    "-p",
    "unmodified-app",
    "-p",
    "azwi-tests",
];

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Runs cargo in the workspace's root; the error says what was run.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    let line = format!("cargo {}", arguments.join(" "));
    println!("$ {line}");
    let status = Command::new("cargo").args(arguments).current_dir(root()).env("PATH", search_path()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("cannot run `{line}`: {error}")),
    }
}

/// `PATH` and the directories of system programs, such as iptables, which an ordinary user's often lacks.
#[expect(clippy::disallowed_methods, reason = "to hand it on to what is run, not to be configured by it")]
pub(crate) fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// Builds all programs that the tests and the demo run.
pub(crate) fn build_programs() -> Result<(), String> {
    cargo(&PROGRAMS)
}

/// Where the program `name` lies once it is built: beside this one, whatever the target directory.
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| format!("cannot tell where the target directory is: {error}"))?;
    Ok(this.with_file_name(name))
}
