//! The bill of materials of each image, `CycloneDX` 1.5: the crates that are linked into its program,
//! and the Debian packages whose files lie beside it.
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

/// `packages` has a line for each Debian package: name and version.
pub(crate) fn write(kind: &Kind, architecture: &str, packages: &str, place: &Path) -> Result<(), String> {
    let tree = tree(kind, architecture)?;
    let file = place.join(format!("{}-{architecture}.cdx.json", kind.name));
    let packages = packages.lines().map(|line| package(line, architecture)).collect::<Result<Vec<_>, _>>()?;
    let document = document(kind.package, &tree, &packages)?;
    fs::write(&file, document).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn tree(kind: &Kind, architecture: &str) -> Result<String, String> {
    let target = if architecture == "arm64" { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };
    let mut command = Command::new("cargo");
    command.args(["tree", "--locked", "--package", kind.package, "--target", target]).args(kind.cargo_options);
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe", "--format", FORM]);
    let output = command.current_dir(root()).output().map_err(|error| format!("cannot run cargo tree: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The first line of `tree` is the program itself; `packages` are components already.
fn document(name: &str, tree: &str, packages: &[String]) -> Result<String, String> {
    let mut lines: Vec<&str> = tree.lines().collect();
    if lines.is_empty() {
        return Err(format!("cargo tree does not know {name}"));
    }
    let program = component("application", lines.remove(0))?;
    lines.sort_unstable();
    lines.dedup();
    let crates = lines.iter().map(|line| component("library", line)).collect::<Result<Vec<_>, _>>()?;
    let parts = [&crates, packages].concat();
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

/// Without a licence: Debian tells it for each file, not for the package.
fn package(line: &str, architecture: &str) -> Result<String, String> {
    let (name, version) = line.split_once(' ').ok_or_else(|| format!("dpkg-deb says {line:?}"))?;
    // What a package URL has to escape of all that a Debian version may have.
    let escaped = version.replace('+', "%2B").replace(':', "%3A");
    Ok(format!(
        "{{ \"type\": \"library\", \"name\": \"{name}\", \"version\": \"{version}\", \
         \"purl\": \"pkg:deb/debian/{name}@{escaped}?arch={architecture}&distro=bookworm\" }}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        "azwi-proxy v0.1.0 (/src/crates/proxy)|MIT OR Apache-2.0\nbytes v1.12.0|MIT\nbytes v1.12.0|MIT\n";

    #[test]
    fn a_crate_is_listed_once_with_its_package_url() {
        let document = document("azwi-proxy", TREE, &[]).unwrap();
        assert_eq!(document.matches("pkg:cargo/bytes@1.12.0").count(), 1);
    }

    #[test]
    fn what_is_ours_is_given_no_package_url() {
        assert!(!document("azwi-proxy", TREE, &[]).unwrap().contains("pkg:cargo/azwi-proxy"));
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
        assert!(package("libc6", "amd64").is_err());
    }

    #[test]
    fn a_debian_package_is_listed_with_its_package_url() {
        let libc = package("libc6 2.36-9+deb12u14", "arm64").unwrap();
        assert!(libc.contains("\"version\": \"2.36-9+deb12u14\""));
        assert!(libc.contains("\"pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=arm64&distro=bookworm\""));
        assert!(document("azwi-proxy", TREE, std::slice::from_ref(&libc)).unwrap().contains(&libc));
    }
}
