//! Fills a directory that takes the place of a Dockerfile's stages: by the same scripts, on this machine.

use std::fs;
use std::iter;
use std::path::Path;
use std::process::{Command, Stdio};

use super::kind::Kind;
use crate::cargo::{root, search_path};

/// Leaves nothing in the directory `image` of the stage but what the image is to hold. Returns the Debian packages that are
/// in it, each as a line of name and version. What Cargo compiles it keeps in `target`.
pub(crate) fn fill(
    kind: &Kind,
    architecture: &str,
    commit: &str,
    stage: &Path,
    target: &Path,
) -> Result<String, String> {
    let _ = fs::remove_dir_all(stage);
    let image = stage.join("image");
    let packages = if kind.has_iptables { iptables(architecture, &image)? } else { String::new() };
    compile(kind, architecture, commit, &image, target)?;
    Ok(packages)
}

fn iptables(architecture: &str, image: &Path) -> Result<String, String> {
    let mut command = script("iptables.sh");
    command.arg(architecture).arg(image);
    run(command)
}

fn compile(kind: &Kind, architecture: &str, commit: &str, image: &Path, target: &Path) -> Result<(), String> {
    let mut command = script("build.sh");
    command.args([kind.package, architecture]).arg(image.join(kind.program)).args(kind.cargo_options);
    command.env("AZWI_COMMIT", commit).env("CARGO_TARGET_DIR", target);
    run(command).map(drop)
}

fn script(name: &str) -> Command {
    let mut command = Command::new(root().join("images").join(name));
    command.env("PATH", search_path());
    command
}

fn line(command: &Command) -> String {
    let words = iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn run(mut command: Command) -> Result<String, String> {
    eprintln!("$ {}", line(&command));
    match command.stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(format!("`{}` ended with {}", line(&command), output.status)),
        Err(error) => Err(format!("cannot run `{}`: {error}", line(&command))),
    }
}
