//! The build script of every program: hands it `AZWI_COMMIT`, the commit it is built from.
//!
//! That is the variable of the same name if the build is given one (an image is built without `.git`), else what git
//! says, else `unknown`. Changes that are not committed do not show. Runs again when HEAD moves, and then only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "AZWI_COMMIT";
/// Enough to tell all commits apart.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed={NAME}");
    let repository = Repository::above(Path::new(&variable("CARGO_MANIFEST_DIR").unwrap_or_default()));
    if let Some(repository) = &repository {
        repository.watch();
    }
    let commit = variable(NAME).or_else(|| repository?.commit());
    println!("cargo::rustc-env={NAME}={}", shortened(&commit.unwrap_or_else(|| "unknown".to_owned())));
}

#[expect(clippy::disallowed_methods, reason = "a build script has no other input")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A whole SHA loses its tail; a name that somebody gave stays as it is.
fn shortened(commit: &str) -> &str {
    let is_hash = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { commit.get(..DIGITS).unwrap_or(commit) } else { commit }
}

/// The workspace's own repository, never one that it merely lies in.
struct Repository(PathBuf);

impl Repository {
    fn above(package: &Path) -> Option<Self> {
        let git = package.ancestors().nth(2)?.join(".git");
        git.exists().then_some(Self(git))
    }

    fn commit(&self) -> Option<String> {
        self.git(&["rev-parse", &format!("--short={DIGITS}"), "HEAD"])
    }

    /// HEAD changes with the branch, its log with each commit.
    fn watch(&self) {
        for name in ["HEAD", "logs/HEAD"] {
            let path = self.git(&["rev-parse", "--git-path", name]);
            // Cargo takes a file that is missing for one that has changed, each time.
            if let Some(path) = path.filter(|path| Path::new(path).exists()) {
                println!("cargo::rerun-if-changed={path}");
            }
        }
    }

    fn git(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git").arg("--git-dir").arg(&self.0).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    }
}
