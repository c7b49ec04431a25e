//! Builds the sidecar as it ships and what it is measured with, and becomes the measurement.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::cargo::{build_released, cargo_output, released};

/// Returns only if the measurement could not be started.
pub(crate) fn run(quick: bool, form: &str) -> ExitCode {
    let Err(error) = start(quick, form);
    eprintln!("xtask: {error}");
    ExitCode::FAILURE
}

fn start(quick: bool, form: &str) -> Result<std::convert::Infallible, String> {
    build_released(&["azwi-proxy", "azwi-emulator", "azwi-bench"])?;
    let allocations = allocations()?;
    let bench = released("azwi-bench")?;
    let effort = if quick { "quick" } else { "full" };
    let error = Command::new(&bench).args([effort, form]).args(allocations).exec();
    Err(format!("cannot run {}: {error}", bench.display()))
}

/// How often a cached hit allocates, and how many bytes: only a test inside the sidecar can count that.
fn allocations() -> Result<[String; 2], String> {
    let told = cargo_output(&["test", "-p", "azwi-proxy", "--lib", "allocations::", "--", "--nocapture"])?;
    counted(&told).ok_or_else(|| format!("no count of allocations in:\n{told}"))
}

/// From the line `a cached hit: 3 allocations, 500 bytes`, whatever stands before it.
fn counted(told: &str) -> Option<[String; 2]> {
    let (_, counts) = told.split_once("a cached hit: ")?;
    let (times, bytes) = counts.lines().next()?.split_once(" allocations, ")?;
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
