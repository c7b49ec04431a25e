//! podman on a store and a network of a test's own, with the images that `cargo xtask images` has built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use azwi_tests::binaries::binary;
use tempfile::TempDir;

/// Where the machine is, seen from the pods. Nobody else's network, one hopes: of the range that podman itself takes from.
pub(crate) const GATEWAY: &str = "10.89.177.1";
const SUBNET: &str = "10.89.177.0/24";
const NETWORK: &str = "azwi-e2e";
/// The app with its libraries, the certificates that its SDK insists on, and something that waits.
pub(crate) const APP_IMAGE: &str = "localhost/legacy-app:latest";
const APP: &str = "unmodified-app";
/// An init that does nothing but wait, as podman's own pause containers.
const CATATONIT: &str = "/usr/bin/catatonit";
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// All of it ends with this value.
pub(crate) struct Podman {
    directory: TempDir,
}

impl Podman {
    /// With the images of this machine's processor, and the app's.
    pub(crate) fn new() -> Result<Self> {
        let podman = Self { directory: TempDir::with_prefix("azwi-e2e-")? };
        let networks = podman.path("networks");
        fs::create_dir(&networks)?;
        fs::write(podman.path("containers.conf"), containers_conf(&networks))?;
        for image in ["azwi-proxy", "azwi-proxy-init"] {
            let archive = archive(image)?;
            podman.run(&["load", "--quiet", "--input", &archive.to_string_lossy()])?;
        }
        podman.build_app()?;
        podman.run(&["network", "create", "--subnet", SUBNET, "--gateway", GATEWAY, NETWORK])?;
        Ok(podman)
    }

    fn build_app(&self) -> Result<()> {
        let context = self.path("app");
        fs::create_dir(&context)?;
        let app = binary(APP)?;
        for file in [&app, Path::new(CATATONIT), Path::new(ROOTS)]
            .into_iter()
            .chain(libraries(&app)?.iter().map(PathBuf::as_path))
        {
            let place = if file == app { context.join(APP) } else { context.join(file.strip_prefix("/")?) };
            fs::create_dir_all(place.parent().context("no directory")?)?;
            fs::copy(file, &place).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        let dockerfile = format!("FROM scratch\nCOPY . /\nENTRYPOINT [\"/{APP}\"]\n");
        fs::write(self.path("Dockerfile"), dockerfile)?;
        let mut buildah = self.command("buildah");
        buildah.args(["bud", "--quiet", "--pull-never", "--tag", APP_IMAGE, "--file"]);
        succeeded(buildah.arg(self.path("Dockerfile")).arg(context)).map(drop)
    }

    /// Makes and starts a pod as Kubernetes writes it.
    pub(crate) fn play(&self, pod: &serde_json::Value) -> Result<()> {
        let file = self.path("pod.json");
        fs::write(&file, pod.to_string())?;
        self.run(&["kube", "play", "--quiet", "--network", NETWORK, &file.to_string_lossy()]).map(drop)
    }

    /// An empty pod, to be filled container by container.
    pub(crate) fn create_pod(&self, name: &str) -> Result<()> {
        self.run(&["pod", "create", "--name", name, "--network", NETWORK]).map(drop)
    }

    /// What podman prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        succeeded(self.command("podman").args(arguments))
    }

    /// The same of a command that may fail.
    pub(crate) fn output(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command("podman").args(arguments).output()?)
    }

    /// A command on this store.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("CONTAINERS_CONF", self.path("containers.conf"));
        command.arg("--root").arg(self.path("store")).arg("--runroot").arg(self.path("run"));
        command.args(["--storage-driver", "vfs"]);
        command
    }

    /// Of a file that ends with it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for arguments in [&["pod", "rm", "--all", "--force", "--time=0"][..], &["network", "rm", "--force", NETWORK]] {
            if let Err(error) = self.run(arguments) {
                eprintln!("left behind: {error}");
            }
        }
    }
}

fn containers_conf(networks: &Path) -> String {
    format!(
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
         [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
         [network]\nnetwork_config_dir = \"{}\"\n",
        networks.display()
    )
}

/// The processor's name in images.
pub(crate) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn archive(image: &str) -> Result<PathBuf> {
    let programs = binary(APP)?;
    let target = programs.ancestors().nth(2).context("no target directory")?;
    let archive = target.join("images").join(format!("{image}-{}.tar", architecture()));
    ensure!(archive.is_file(), "{} is not there: run `cargo xtask e2e pods`", archive.display());
    Ok(archive)
}

/// What a program is linked with, as `ldd` lists it.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listing = succeeded(Command::new("ldd").arg(program))?;
    let paths = listing.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

fn succeeded(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
