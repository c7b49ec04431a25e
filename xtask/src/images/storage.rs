//! Images and containers below the target directory: what lies in the user's own storage is neither seen nor touched.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::kind::Kind;
use crate::cargo::{root, search_path};

/// runc, as it needs nothing of the machine; bounds that a container of an ordinary user may have, too.
const CONTAINERS_CONF: &str = "\
[containers]
default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]
[engine]
runtime = \"runc\"
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
";

/// All of them are replaced whatever the target: this buildah would build those too that it does not need.
const COMPILING_STAGES: [&str; 3] = ["tools", "build", "build-iptables"];

pub(crate) struct Storage {
    root: PathBuf,
    state: PathBuf,
    conf: PathBuf,
}

impl Storage {
    pub(crate) fn below(place: &Path) -> Result<Self, String> {
        fs::create_dir_all(place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
        let conf = place.join("containers.conf");
        fs::write(&conf, CONTAINERS_CONF).map_err(|error| format!("cannot write {}: {error}", conf.display()))?;
        Ok(Self { root: place.join("storage"), state: place.join("state"), conf })
    }

    /// `buildah` or `podman`, on this storage.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--root").arg(&self.root).arg("--runroot").arg(&self.state).args(["--storage-driver", "vfs"]);
        command.env("PATH", search_path()).env("CONTAINERS_CONF", &self.conf).current_dir(root());
        command
    }

    /// Builds the image and returns its digest. `stage` takes the place of every stage that would compile.
    pub(crate) fn build(&self, kind: &Kind, architecture: &str, commit: &str, stage: &Path) -> Result<String, String> {
        let name = kind.image(architecture);
        let mut command = self.command("buildah");
        command.args(["bud", "--quiet", "--no-cache", "--pull-never", "--timestamp", "0", "--file", kind.dockerfile]);
        command.args(COMPILING_STAGES.iter().map(|name| format!("--build-context={name}={}", stage.display())));
        command.args(kind.target.map(|target| format!("--target={target}")));
        command.args(["--arch", architecture, "--build-arg", &format!("COMMIT={commit}"), "--tag", &name, "."]);
        output(command)?;
        self.inspect(&name, "{{.FromImageDigest}}")
    }

    pub(crate) fn settings(&self, name: &str) -> Result<String, String> {
        self.inspect(name, super::content::SETTINGS)
    }

    fn inspect(&self, name: &str, format: &str) -> Result<String, String> {
        let mut command = self.command("buildah");
        command.args(["inspect", "--type", "image", "--format", format, name]);
        output(command)
    }

    /// The image's layers, as files in `directory`.
    pub(crate) fn unpack(&self, name: &str, directory: &Path) -> Result<Vec<PathBuf>, String> {
        let _ = fs::remove_dir_all(directory);
        let mut command = self.command("buildah");
        command.args(["push", "--quiet", name]).arg(format!("dir:{}", directory.display()));
        output(command)?;
        layers(directory).map_err(|error| format!("cannot read {}: {error}", directory.display()))
    }

    /// The image as a file that `docker load` and `podman load` take.
    pub(crate) fn save(&self, name: &str, file: &Path) -> Result<(), String> {
        let _ = fs::remove_file(file);
        let mut command = self.command("buildah");
        command.args(["push", "--quiet", name]).arg(format!("docker-archive:{}:{name}", file.display()));
        output(command).map(drop)
    }
}

/// Of the files that are named by their digest only a configuration is JSON; the others are layers.
fn layers(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut layers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if is_named_by_digest(&path) && fs::read(&path)?.first() != Some(&b'{') {
            layers.push(path);
        }
    }
    Ok(layers)
}

fn is_named_by_digest(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn output(mut command: Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_settings_are_named_by_their_digest_and_the_manifest_is_not() {
        assert!(is_named_by_digest(Path::new(&format!("/image/{}", "0a".repeat(32)))));
        assert!(!is_named_by_digest(Path::new("/image/manifest.json")));
        assert!(!is_named_by_digest(Path::new(&format!("/image/{}", "-".repeat(64)))));
    }
}
