//! `cargo xtask images`: builds each image twice, looks at what is really in it, and runs it.
//!
//! Needs no registry: the stages of a Dockerfile that compile are replaced by a directory which the same scripts have filled.

mod content;
mod iptables;
mod kind;
mod run;
mod sbom;
mod stage;
mod storage;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::arguments::Architectures;
use crate::cargo::{root, target_directory};
use crate::needs;
use content::Content;
use kind::{ALL, Kind};
use storage::Storage;

/// What is printed of an image.
pub(crate) struct Row {
    name: String,
    size: u64,
    budget: u64,
    digest: String,
}

/// Ends at the first image that is not as it must be.
pub(crate) fn run(architectures: Architectures) -> ExitCode {
    match build(architectures) {
        Ok(rows) => {
            print!("{}", table(&rows));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The table's rows; the archives lie in `target/images`.
pub(crate) fn build(architectures: Architectures) -> Result<Vec<Row>, String> {
    needs::images(architectures)?;
    let place = target_directory()?.join("images");
    let storage = Storage::below(&place)?;
    let commit = commit();
    let mut rows = Vec::new();
    for architecture in architectures.names() {
        for kind in &ALL {
            rows.push(build_one(kind, architecture, &commit, &place, &storage)?);
        }
    }
    Ok(rows)
}

fn build_one(kind: &Kind, architecture: &str, commit: &str, place: &Path, storage: &Storage) -> Result<Row, String> {
    let stage = place.join("stage").join(architecture).join(kind.name);
    let packages = stage::fill(kind, architecture, commit, &stage, &target_directory()?)?;
    let name = kind.image(architecture);
    let digest = build_twice(kind, architecture, commit, &stage, &place.join("again"), storage)?;
    let unpacked = storage.unpack(&name, &place.join("unpacked"))?;
    let content = Content::of(&storage.settings(&name)?, &unpacked)?;
    kind.check(&content, architecture, commit).map_err(|error| format!("{name}: {error}"))?;
    sbom::write(kind, architecture, &packages, place)?;
    run::check(kind, architecture, storage, &name, &stage.join("image"))?;
    storage.save(&name, &place.join(format!("{}-{architecture}.tar", kind.name)))?;
    Ok(Row { name, size: content.size(), budget: kind.budget(architecture), digest })
}

/// A whole SHA, or `unknown` where there is no git.
fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()).output();
    let commit = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if commit.is_empty() { "unknown".to_owned() } else { commit }
}

/// The digest, which must be the same both times. What the second build makes lies in `again`.
fn build_twice(
    kind: &Kind,
    architecture: &str,
    commit: &str,
    stage: &Path,
    again: &Path,
    storage: &Storage,
) -> Result<String, String> {
    let second_stage = if kind.is_compiled_twice {
        let _ = fs::remove_dir_all(again);
        stage::fill(kind, architecture, commit, &again.join("stage"), &again.join("target"))?;
        again.join("stage")
    } else {
        stage.to_owned()
    };
    let first = storage.build(kind, architecture, commit, stage)?;
    let second = storage.build(kind, architecture, commit, &second_stage)?;
    if first == second {
        Ok(second)
    } else {
        Err(format!("{}: built twice, it is {first} and {second}", kind.image(architecture)))
    }
}

fn table(rows: &[Row]) -> String {
    let head = format!("{:<42}{:>12}{:>12}  digest\n", "image", "size", "budget");
    rows.iter().map(line).fold(head, |table, line| table + &line)
}

fn line(Row { name, size, budget, digest }: &Row) -> String {
    format!("{name:<42}{size:>10} B{budget:>10} B  {digest}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_each_size_beside_its_budget() {
        let row = Row { name: "localhost/a:amd64".into(), size: 12, budget: 34, digest: "sha256:5".into() };
        assert_eq!(line(&row), "localhost/a:amd64                                 12 B        34 B  sha256:5\n");
    }
}
