//! Runs tests and tells at the end, as a table, which scenario came out how: their names are sentences.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::cargo::{root, search_path};

/// As [`crate::cargo::cargo`], with the table.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let line = format!("cargo {}", arguments.join(" "));
    eprintln!("$ {line}");
    let cannot = |error| format!("cannot run `{line}`: {error}");
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(root()).env("PATH", search_path()).stdout(Stdio::piped());
    let mut child = cargo.spawn().map_err(cannot)?;
    let mut rows = BTreeSet::new();
    for line in child.stdout.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
        println!("{line}");
        rows.extend(row(&line));
    }
    let status = child.wait().map_err(cannot)?;
    print!("\n{:<14}{:<9}scenario\n{}", "of", "result", rows.into_iter().collect::<String>());
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}")) }
}

/// From `test outage::nothing_is_lost ... ok`, as the test harness says it.
fn row(line: &str) -> Option<String> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (of, name) = name.rsplit_once("::").unwrap_or(("", name));
    Some(format!("{of:<14}{result:<9}{}\n", name.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_s_name_is_a_sentence() {
        let told = row("test outage::nothing_is_lost ... FAILED").unwrap();
        assert_eq!(told, "outage        FAILED   nothing is lost\n");
    }

    #[test]
    fn what_is_no_test_is_no_row() {
        assert_eq!(row("test result: ok. 1 passed"), None);
        assert_eq!(row("running 2 tests"), None);
    }
}
