//! Runs groups of tests, one after another, all of them whatever happens to the first.

use std::process::ExitCode;
use std::time::Instant;

use crate::arguments::Architectures;
use crate::cargo::{build_programs, build_released, cargo, root};
use crate::clients;
use crate::group::Group;
use crate::images;
use crate::kube;
use crate::needs;
use crate::report::{Outcome, Row, is_good, table, verdict};
use crate::scenarios;

pub(crate) fn run(groups: &[Group], ci: bool) -> ExitCode {
    let rows: Vec<Row> = groups.iter().map(|group| timed(*group)).collect();
    print!("\n{}{}", table(&rows), verdict(&rows, !ci));
    if is_good(&rows, !ci) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn timed(group: Group) -> Row {
    println!("\n== {} ==", group.name());
    let start = Instant::now();
    let outcome = outcome(group);
    Row { group, outcome, took: start.elapsed() }
}

fn outcome(group: Group) -> Outcome {
    // The programs come first: to find out what the machine allows, one of them is asked.
    if let Err(error) = build_for(group) {
        return Outcome::Failed(error);
    }
    if let Err(missing) = needs::check(group) {
        println!("skipped");
        return Outcome::Skipped(missing);
    }
    execute(group).map_or_else(Outcome::Failed, |()| Outcome::Passed)
}

fn build_for(group: Group) -> Result<(), String> {
    match group {
        Group::Unit => Ok(()),
        // The others play beside it as they are.
        Group::Release => build_programs().and_then(|()| build_released(&["azwi-proxy"])),
        Group::Pods => build_programs().and_then(|()| images::build(Architectures::of_this_machine()).map(drop)),
        Group::Kube => cargo(&["build", "-p", "azwi-webhook", "-p", "azwi-proxy", "-p", "azwi-emulator", "-p", "azwi"]),
        _ => build_programs(),
    }
}

fn execute(group: Group) -> Result<(), String> {
    match group {
        Group::Unit => unit(),
        Group::Clients(language) => clients::install(language).and_then(|()| integration(group)),
        Group::Kube => kube::install().and_then(|()| integration(group)),
        _ => integration(group),
    }
}

fn unit() -> Result<(), String> {
    cargo(&["test", "--no-fail-fast", "--workspace", "--exclude", "azwi-tests"])?;
    cargo(&["test", "--no-fail-fast", "-p", "azwi-tests", "--lib", "--bins"])
}

fn integration(group: Group) -> Result<(), String> {
    let directory = root().join("tests/tests");
    let targets = group.targets(&directory).map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    if targets.is_empty() {
        return Err(format!("{} has no test of this group", directory.display()));
    }
    let mut arguments = vec!["test", "--no-fail-fast", "-p", "azwi-tests"];
    arguments.extend(targets.iter().flat_map(|target| ["--test", target.as_str()]));
    match group {
        // What they do most is wait.
        Group::Clients(_) => arguments.extend(["--", "--test-threads=4"]),
        // Nothing but the sidecar may make an answer late; and all pods are in the same network.
        Group::Timing | Group::Release | Group::Pods => arguments.extend(["--", "--test-threads=1"]),
        Group::Kube => return scenarios::run(&arguments),
        _ => {}
    }
    cargo(&arguments)
}
