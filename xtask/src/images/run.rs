//! Runs what was built: the image where this machine can, the bare program under an emulator where it cannot.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use super::kind::Kind;
use super::storage::Storage;

/// The sidecar's exit code where nobody answers the probe.
const NOT_READY: i32 = 1;

pub(crate) fn check(
    kind: &Kind,
    architecture: &str,
    storage: &Storage,
    name: &str,
    stage: &Path,
) -> Result<(), String> {
    let run = |argument: &str| {
        if is_this_machine(architecture) { contained(storage, name, argument) } else { emulated(kind, stage, argument) }
    };
    let (code, version) = run("--version")?;
    if code != Some(0) || !version.contains(env!("CARGO_PKG_VERSION")) {
        return Err(format!("{name} --version ended with {code:?} and said {version:?}"));
    }
    if kind.program != "proxy" {
        return Ok(());
    }
    match run("--probe")? {
        (Some(NOT_READY), _) => Ok(()),
        (code, said) => Err(format!("{name} --probe ended with {code:?}, not {NOT_READY}, and said {said:?}")),
    }
}

fn is_this_machine(architecture: &str) -> bool {
    matches!((env::consts::ARCH, architecture), ("x86_64", "amd64") | ("aarch64", "arm64"))
}

fn contained(storage: &Storage, name: &str, argument: &str) -> Result<(Option<i32>, String), String> {
    let mut podman = storage.command("podman");
    podman.args(["run", "--rm", "--network=none", "--read-only", name, argument]);
    outcome(podman)
}

/// Only the program: an image of another machine needs an emulator registered with the kernel.
fn emulated(kind: &Kind, stage: &Path, argument: &str) -> Result<(Option<i32>, String), String> {
    let emulator = if env::consts::ARCH == "x86_64" { "qemu-aarch64-static" } else { "qemu-x86_64-static" };
    let mut command = Command::new(emulator);
    command.arg(stage.join("image").join(kind.program)).arg(argument);
    outcome(command)
}

fn outcome(mut command: Command) -> Result<(Option<i32>, String), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    Ok((status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).trim().to_owned()))
}
