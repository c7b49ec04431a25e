//! Finds the workspace's built binaries beside the running executable. Builds nothing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// This package, whose binaries are not named after it.
const PACKAGE: &str = env!("CARGO_PKG_NAME");

/// Path of the workspace binary `name` of the profile that the caller was built with.
///
/// # Errors
/// If it is not built yet; the error says which command builds it.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let caller = env::current_exe().context("cannot tell which executable this is")?;
    // A program lies in target/PROFILE, a test or an example one directory below.
    let found = caller.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!("no `{name}` near {}: build it with `{}`", caller.display(), build_command(name, &caller)),
    }
}

/// Path of the workspace binary `name` as it ships: optimised and static.
///
/// # Errors
/// If it is not built yet; the error says which command builds it.
pub fn released(name: &str) -> anyhow::Result<PathBuf> {
    let caller = env::current_exe().context("cannot tell which executable this is")?;
    let target = format!("{}-unknown-linux-musl", env::consts::ARCH);
    let place = Path::new(&target).join("release").join(name);
    let found = caller.ancestors().map(|directory| directory.join(&place)).find(|path| path.is_file());
    found.with_context(|| {
        format!("no `{name}` as it ships: build it with `cargo build --release --target {target} -p {name}`")
    })
}

fn build_command(name: &str, caller: &Path) -> String {
    let profile = if caller.ancestors().any(|directory| directory.ends_with("release")) { " --release" } else { "" };
    if ["netns", "probe"].contains(&name) {
        format!("cargo build{profile} -p {PACKAGE} --bins")
    } else {
        format!("cargo build{profile} -p {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_is_reported_with_the_command_that_builds_it() {
        let error = binary("azwi-nonesuch").unwrap_err().to_string();
        assert!(error.contains("cargo build -p azwi-nonesuch"), "{error}");
    }

    #[test]
    fn a_missing_helper_of_the_stage_names_this_package_and_the_release_profile() {
        assert_eq!(
            build_command("netns", Path::new("/w/target/release/xtask")),
            "cargo build --release -p azwi-tests --bins"
        );
    }
}
