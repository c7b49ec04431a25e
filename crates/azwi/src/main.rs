//! The program `azwi`.

use std::process::ExitCode;

fn main() -> ExitCode {
    azwi::main()
}
