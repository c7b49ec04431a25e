//! Cargo, run as a person would run it: the command is shown and so is its progress.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::needs;

/// What cargo is asked for to have the programs that the stage plays with, and the stage's own.
const BUILD_PROGRAMS: [&str; 17] = [
    "build",
    "-p",
    "azwi-proxy",
    "-p",
    "azwi-proxy-init",
    "-p",
    "azwi-emulator",
    "-p",
    "azwi-webhook",
    "-p",
    "azwi",
    "-p",
    "unmodified-app",
    "-p",
    "get-token",
    "-p",
    "azwi-tests",
];

/// Where system programs lie.
const SYSTEM_PROGRAMS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Runs cargo in the workspace's root; the error says what was run.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    let line = format!("cargo {}", arguments.join(" "));
    eprintln!("$ {line}");
    let status = Command::new("cargo").args(arguments).current_dir(root()).env("PATH", search_path()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("cannot run `{line}`: {error}")),
    }
}

/// The same, but what it prints on stdout is returned.
pub(crate) fn cargo_output(arguments: &[&str]) -> Result<String, String> {
    let line = format!("cargo {}", arguments.join(" "));
    eprintln!("$ {line}");
    let output = Command::new("cargo").args(arguments).current_dir(root()).stderr(Stdio::inherit()).output();
    match output {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        Ok(Output { status, .. }) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("cannot run `{line}`: {error}")),
    }
}

/// `PATH` and the directories of system programs, such as iptables, which an ordinary user's often lacks.
#[expect(clippy::disallowed_methods, reason = "to hand it on to what is run, not to be configured by it")]
pub(crate) fn search_path() -> OsString {
    with_system_programs(env::var_os("PATH"))
}

/// An empty `PATH` counts as none: each of its empty entries would mean the current directory.
fn with_system_programs(path: Option<OsString>) -> OsString {
    let mut path = path.filter(|path| !path.is_empty()).map_or_else(OsString::new, |mut path| {
        path.push(":");
        path
    });
    path.push(SYSTEM_PROGRAMS);
    path
}

/// Builds all programs that the tests and the demo run.
pub(crate) fn build_programs() -> Result<(), String> {
    cargo(&BUILD_PROGRAMS)
}

/// Builds packages as they ship: static, optimised, and one at a time, since a common build unifies their features.
pub(crate) fn build_released(packages: &[&str]) -> Result<(), String> {
    let target = static_target();
    needs::static_linking(&target)?;
    packages.iter().try_for_each(|package| cargo(&["build", "--release", "--target", &target, "-p", package]))
}

/// The platform of a program that needs nothing but a kernel.
fn static_target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// Where the program `name` lies once it is built as it ships.
pub(crate) fn released(name: &str) -> Result<PathBuf, String> {
    Ok(target_directory()?.join(static_target()).join("release").join(name))
}

/// Where the program `name` lies once it is built: beside this one, whatever the target directory.
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    Ok(this()?.with_file_name(name))
}

/// Cargo's target directory: this program lies in that of its profile.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    let this = this()?;
    let target = this.ancestors().nth(2).ok_or_else(|| format!("{} is in no target directory", this.display()))?;
    Ok(target.to_owned())
}

fn this() -> Result<PathBuf, String> {
    env::current_exe().map_err(|error| format!("cannot tell where the target directory is: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_programs_come_after_those_of_the_path() {
        let path = with_system_programs(Some("/usr/bin:/bin".into()));
        assert_eq!(path, "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
    }

    #[test]
    fn without_a_path_nothing_is_looked_up_in_the_current_directory() {
        for none in [None, Some(OsString::new())] {
            assert_eq!(with_system_programs(none), SYSTEM_PROGRAMS);
        }
    }
}
