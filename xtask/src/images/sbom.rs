//! The bill of materials of each image, `CycloneDX` 1.5: the crates that are linked into its program.
//!
//! Cargo itself is asked, for the very package, platform and features: no crate of another program, of a test or of the
//! build, and no macro, since none of them is in the image.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use crate::cargo::root;

/// One `name|version|licence` for each crate; Cargo puts `vVERSION` and a path into `{p}`.
const FORM: &str = "{p}|{l}";

pub(crate) fn write(kind: &Kind, architecture: &str, place: &Path) -> Result<(), String> {
    let tree = tree(kind, architecture)?;
    let file = place.join(format!("{}-{architecture}.cdx.json", kind.name));
    fs::write(&file, document(kind.name, &tree)?).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn tree(kind: &Kind, architecture: &str) -> Result<String, String> {
    let target = if architecture == "arm64" { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };
    let mut command = Command::new("cargo");
    command.args(["tree", "--locked", "--package", kind.name, "--target", target]).args(kind.cargo_options);
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe", "--format", FORM]);
    let output = command.current_dir(root()).output().map_err(|error| format!("cannot run cargo tree: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The first line of `tree` is the program itself.
fn document(name: &str, tree: &str) -> Result<String, String> {
    let mut lines: Vec<&str> = tree.lines().collect();
    if lines.is_empty() {
        return Err(format!("cargo tree does not know {name}"));
    }
    let program = component("application", lines.remove(0))?;
    lines.sort_unstable();
    lines.dedup();
    let parts = lines.iter().map(|line| component("library", line)).collect::<Result<Vec<_>, _>>()?;
    Ok(format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \
         \"metadata\": {{ \"component\": {program} }},\n  \"components\": [\n    {}\n  ]\n}}\n",
        parts.join(",\n    ")
    ))
}

fn component(kind: &str, line: &str) -> Result<String, String> {
    let parts = line.split_once('|').and_then(|(crate_, licence)| {
        let mut words = crate_.split_whitespace();
        Some((words.next()?, words.next()?.strip_prefix('v')?, words.next(), licence))
    });
    let (name, version, path, licence) = parts.ok_or_else(|| format!("cargo tree says {line:?}"))?;
    let purl = format!("pkg:cargo/{name}@{version}");
    // Ours are in no registry: a package URL would name a stranger's.
    let purl = if path.is_none() { format!(", \"purl\": \"{purl}\"") } else { String::new() };
    // As crates wrote it before there were SPDX expressions, with spaces or without.
    let licence = licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
    Ok(format!(
        "{{ \"type\": \"{kind}\", \"name\": \"{name}\", \"version\": \"{version}\"{purl}, \
         \"licenses\": [{{ \"expression\": \"{licence}\" }}] }}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        "azwi-proxy v0.1.0 (/src/crates/proxy)|MIT OR Apache-2.0\nbytes v1.12.0|MIT\nbytes v1.12.0|MIT\n";

    #[test]
    fn a_crate_is_listed_once_with_its_package_url() {
        let document = document("azwi-proxy", TREE).unwrap();
        assert_eq!(document.matches("pkg:cargo/bytes@1.12.0").count(), 1);
    }

    #[test]
    fn what_is_ours_is_given_no_package_url() {
        assert!(!document("azwi-proxy", TREE).unwrap().contains("pkg:cargo/azwi-proxy"));
    }

    #[test]
    fn an_old_licence_of_two_by_a_slash_becomes_an_expression() {
        for licence in ["MIT/Apache-2.0", "MIT / Apache-2.0"] {
            assert!(component("library", &format!("a v1.0.0|{licence}")).unwrap().contains("\"MIT OR Apache-2.0\""));
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_and_not_a_crate_less() {
        assert!(component("library", "a 1.0.0").is_err());
    }
}
