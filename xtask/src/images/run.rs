//! Runs what was built: the image where this machine can, the bare programs under an emulator where it cannot.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use super::kind::Kind;
use super::storage::Storage;

/// How a program of an image must answer.
pub(crate) struct Trial {
    /// Where it lies in the image.
    program: &'static str,
    arguments: &'static [&'static str],
    code: i32,
    /// Part of what it prints.
    says: &'static str,
    under_emulator: bool,
}

impl Trial {
    pub(crate) const fn of(
        program: &'static str,
        arguments: &'static [&'static str],
        code: i32,
        says: &'static str,
    ) -> Self {
        Self { program, arguments, code, says, under_emulator: true }
    }

    pub(crate) const fn version(program: &'static str) -> Self {
        Self::of(program, &["--version"], 0, env!("CARGO_PKG_VERSION"))
    }

    pub(crate) const fn never_emulated(self) -> Self {
        Self { under_emulator: false, ..self }
    }

    fn verdict(&self, code: Option<i32>, said: &str) -> Result<(), String> {
        if code == Some(self.code) && said.contains(self.says) {
            return Ok(());
        }
        let Self { program, arguments, code: expected, says, .. } = self;
        let line = [&[*program], *arguments].concat().join(" ");
        Err(format!("`{line}` ended with {code:?}, not {expected}, or does not say {says:?}: {said}"))
    }
}

/// `root` is the image's, as files.
pub(crate) fn check(kind: &Kind, architecture: &str, storage: &Storage, name: &str, root: &Path) -> Result<(), String> {
    let is_native = is_native(env::consts::ARCH, architecture);
    for trial in kind.trials.iter().filter(|trial| is_native || trial.under_emulator) {
        let command = if is_native { contained(kind, storage, name, trial) } else { emulated(root, trial) };
        let (code, said) = outcome(command)?;
        trial.verdict(code, &said).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// `machine` is as Rust names it.
fn is_native(machine: &str, architecture: &str) -> bool {
    matches!((machine, architecture), ("x86_64", "amd64") | ("aarch64", "arm64"))
}

fn contained(kind: &Kind, storage: &Storage, name: &str, trial: &Trial) -> Command {
    let mut podman = storage.command("podman");
    podman.args(["run", "--rm", "--network=none", "--read-only", "--cap-drop=all"]);
    podman.args(kind.capabilities.iter().map(|capability| format!("--cap-add={capability}")));
    podman.args(["--entrypoint", trial.program, name]).args(trial.arguments);
    podman
}

/// Only the program: an image of another machine needs an emulator registered with the kernel.
fn emulated(root: &Path, trial: &Trial) -> Command {
    let emulator = if env::consts::ARCH == "x86_64" { "qemu-aarch64-static" } else { "qemu-x86_64-static" };
    let mut command = Command::new(emulator);
    command.arg("-L").arg(root).arg(root.join(trial.program.trim_start_matches('/'))).args(trial.arguments);
    command
}

fn outcome(mut command: Command) -> Result<(Option<i32>, String), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    Ok((status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL: Trial = Trial::of("/a", &["--b"], 1, "refused");

    #[test]
    fn a_trial_is_passed_by_its_exit_code_and_its_words_together() {
        assert_eq!(TRIAL.verdict(Some(1), "it was refused"), Ok(()));
        assert!(TRIAL.verdict(Some(0), "it was refused").is_err());
        assert!(TRIAL.verdict(Some(1), "not ready").is_err());
    }

    #[test]
    fn a_program_that_a_signal_ended_has_not_passed() {
        assert!(TRIAL.verdict(None, "refused").is_err());
    }

    #[test]
    fn the_error_is_the_command_and_what_it_said() {
        let error = TRIAL.verdict(Some(0), "hello").unwrap_err();
        assert!(error.contains("/a --b") && error.contains("hello"));
    }

    #[test]
    fn a_machine_runs_the_images_of_its_own_kind_only() {
        assert!(is_native("x86_64", "amd64") && is_native("aarch64", "arm64"));
        assert!(!is_native("x86_64", "arm64") && !is_native("aarch64", "amd64"));
    }
}
