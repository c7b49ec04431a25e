//! Everything a person or CI runs: `cargo xtask demo | test | e2e | bench | images | chart`.
//!
//! It builds, says what is missing and starts things. What they do lives in `tests/` and `benches/`, which share a
//! stage.

mod arguments;
mod bench;
mod cargo;
mod clients;
mod demo;
mod group;
mod images;
mod kube;
mod language;
mod needs;
mod report;
mod scenarios;
mod test;

use std::env;
use std::process::ExitCode;

use arguments::Task;

/// The same as `EX_USAGE` of sysexits.h.
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match Task::parse(&arguments) {
        Ok(Task::Help) => {
            println!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Task::Demo { keep }) => demo::run(keep),
        Ok(Task::Test(groups)) => test::run(&groups, in_ci()),
        Ok(Task::Chart) => kube::chart(),
        Ok(Task::Bench { subject, quick, form }) => bench::run(subject, quick, form),
        // Whoever asks for these by name wants them to run, not to be told why they did not.
        Ok(Task::EndToEnd(group)) => test::run(&[group], true),
        Ok(Task::Images(architectures)) => images::run(architectures),
        Err(error) => {
            eprintln!("xtask: {error}; `cargo xtask --help` tells what there is");
            ExitCode::from(BAD_USAGE)
        }
    }
}

/// GitHub, GitLab and most others set `CI=true`.
#[expect(clippy::disallowed_methods, reason = "main is where the environment is read")]
fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}
