//! A target as a program: under a fuzzer or alone.

use std::process::ExitCode;
use std::{env, fs};

/// The `main` of a target.
#[macro_export]
macro_rules! program {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| azwi_fuzz::$target::check(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            azwi_fuzz::replay(azwi_fuzz::$target::check)
        }
    };
}

/// Checks the files that the arguments name, such as one that a fuzzer has found.
pub fn replay(check: fn(&[u8])) -> ExitCode {
    for path in env::args_os().skip(1) {
        match fs::read(&path) {
            Ok(data) => check(&data),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
