//! Makes the apps of `tests/clients/` ready to run, each in `target/clients/`, and only when something has changed.
//!
//! Nothing is installed outside of it, but for what package managers keep in their caches.

use std::path::Path;
use std::process::{Command, Output};
use std::{fs, io};

use crate::cargo::{root, target_directory};
use crate::language::{Language, Line};

/// Holds what the installation was made of. It is written last: where it is missing, there is none.
const STAMP: &str = "installed-from";

/// The versions of the tools that the language's app needs; the error is one line: what is missing and what to type.
pub(crate) fn tools(language: &Language) -> Result<String, String> {
    versions(language.tools).ok_or_else(|| language.missing.to_owned())
}

/// What the tools say of themselves; `None` if one is missing.
pub(crate) fn versions(lines: &[Line]) -> Option<String> {
    lines.iter().map(|line| version(line)).collect()
}

fn version(line: Line) -> Option<String> {
    let Output { status, stdout, stderr } = command(line)?.output().ok()?;
    // Java tells it on stderr.
    status.success().then(|| String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Installs the language's app, unless it is there already, made by the same tools of the same files.
pub(crate) fn install(language: &Language) -> Result<(), String> {
    if language.installation.is_empty() {
        return Ok(());
    }
    let source = root().join("tests/clients").join(language.name);
    let place = target_directory()?.join("clients").join(language.name);
    install_in(&place, &source, &tools(language)?, language.installation)
}

/// Copies what is in `source` to `place` and runs the lines there, unless these tools have done so already.
pub(crate) fn install_in(place: &Path, source: &Path, tools: &str, lines: &[Line]) -> Result<(), String> {
    let files = files(source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    let stamp = stamp(tools, &files);
    if fs::read(place.join(STAMP)).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    let cannot_write = |error| format!("cannot write {}: {error}", place.display());
    start_afresh(place, &files).map_err(cannot_write)?;
    lines.iter().try_for_each(|line| run(line, place))?;
    fs::write(place.join(STAMP), stamp).map_err(cannot_write)
}

/// Name and content of each, sorted.
type Files = Vec<(String, Vec<u8>)>;

fn files(directory: &Path) -> io::Result<Files> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, fs::read(path)?));
    }
    files.sort();
    Ok(files)
}

fn stamp(tools: &str, files: &Files) -> Vec<u8> {
    let files = files.iter().flat_map(|(name, content)| [b"\n== ", name.as_bytes(), b"\n", content].concat());
    tools.bytes().chain(files).collect()
}

fn start_afresh(place: &Path, files: &Files) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::create_dir_all(place)?;
    files.iter().try_for_each(|(name, content)| fs::write(place.join(name), content))
}

fn run(line: Line, place: &Path) -> Result<(), String> {
    let shown = line.join(" ");
    println!("$ cd {} && {shown}", place.display());
    let status = command(line).map(|mut command| command.current_dir(place).status());
    match status {
        Some(Ok(status)) if status.success() => Ok(()),
        Some(Ok(status)) => Err(format!("`{shown}` ended with {status}")),
        Some(Err(error)) => Err(format!("cannot run `{shown}`: {error}")),
        None => Err("an empty command".to_owned()),
    }
}

fn command(line: Line) -> Option<Command> {
    let (program, arguments) = line.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::LANGUAGES;

    #[test]
    fn an_installation_counts_as_another_if_a_tool_a_name_or_a_content_differs() {
        let file = |name: &str, content: &str| vec![(name.to_owned(), content.as_bytes().to_vec())];
        let stamps = [("1", file("a", "x")), ("2", file("a", "x")), ("1", file("b", "x")), ("1", file("a", "y"))]
            .map(|(tools, files)| stamp(tools, &files));
        for (number, stamp) in stamps.iter().enumerate() {
            assert_eq!(stamps.iter().position(|other| other == stamp), Some(number));
        }
    }

    #[test]
    fn what_was_there_before_is_gone() {
        let place = target_directory().unwrap().join("clients-unit-test");
        start_afresh(&place, &vec![("old".to_owned(), Vec::new())]).unwrap();
        start_afresh(&place, &vec![("new".to_owned(), Vec::new())]).unwrap();
        assert_eq!(files(&place).unwrap(), vec![("new".to_owned(), Vec::new())]);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn every_language_has_an_app_and_tests() {
        for name in LANGUAGES.each_ref().map(|language| language.name) {
            assert!(root().join("tests/clients").join(name).is_dir(), "{name}");
            assert!(root().join(format!("tests/tests/redirect_clients_{name}.rs")).is_file(), "{name}");
        }
    }
}
