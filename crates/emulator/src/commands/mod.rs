//! One module a command.

pub(crate) mod remote;
pub(crate) mod serve;
pub(crate) mod token;

use std::io::Write as _;

use crate::failure::Failure;

/// One line on stdout.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Failure::internal)
}
