//! Builds a program as it ships and what it is measured with, and becomes the measurement.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::arguments::Subject;
use crate::cargo::{build_released, cargo_output, released};

/// Returns only if the measurement could not be started.
pub(crate) fn run(subject: Subject, quick: bool, form: &str) -> ExitCode {
    let Err(error) = start(subject, quick, form);
    eprintln!("xtask: {error}");
    ExitCode::FAILURE
}

fn start(subject: Subject, quick: bool, form: &str) -> Result<std::convert::Infallible, String> {
    let (name, package, programs) = match subject {
        Subject::Sidecar => ("sidecar", "azwi-proxy", &["azwi-proxy", "azwi-emulator", "azwi-bench"][..]),
        Subject::Webhook => ("webhook", "azwi-webhook", &["azwi-webhook", "azwi-bench"][..]),
    };
    build_released(programs)?;
    let allocations = allocations(package)?;
    let bench = released("azwi-bench")?;
    let effort = if quick { "quick" } else { "full" };
    let error = Command::new(&bench).args([name, effort, form]).args(allocations).exec();
    Err(format!("cannot run {}: {error}", bench.display()))
}

/// How often a cached hit, or a review, allocates, and how many bytes: only a test inside the program can count that.
fn allocations(package: &str) -> Result<[String; 2], String> {
    let told = cargo_output(&["test", "-p", package, "--lib", "allocations::", "--", "--nocapture"])?;
    counted(&told).ok_or_else(|| format!("no count of allocations in:\n{told}"))
}

/// From a line such as `a cached hit: 3 allocations, 500 bytes`, whatever stands before it.
fn counted(told: &str) -> Option<[String; 2]> {
    let line = told.lines().find(|line| line.contains(" allocations, "))?;
    let (times, bytes) = line.rsplit_once(": ")?.1.split_once(" allocations, ")?;
    Some([times.to_owned(), bytes.strip_suffix(" bytes")?.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_counts_is_understood() {
        let told = "running 1 test\ntest allocations::a ... a cached hit: 3 allocations, 500 bytes\nok\n";
        assert_eq!(counted(told), Some(["3".to_owned(), "500".to_owned()]));
        assert_eq!(counted("running 0 tests\n"), None);
    }
}
