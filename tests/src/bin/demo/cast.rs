//! Who plays as whom: the namespace, its users, and the directory that stands for the pod's volumes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;
use azwi_tests::binaries::binary;
use azwi_tests::namespace::{As, Namespace, Users};
use tempfile::TempDir;

/// `demo tethered PROGRAM…`, see [`crate::process::tethered`].
pub(crate) const TETHERED: &str = "tethered";
/// The uid that the redirect leaves alone.
pub(crate) const PROXY_UID: u32 = 1501;
/// Any other, as an image's author may have chosen it.
const APP_UID: u32 = 1000;

pub(crate) struct Cast {
    pub(crate) namespace: Namespace,
    directory: TempDir,
    /// This very program.
    demo: PathBuf,
}

impl Cast {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("azwi-demo-").tempdir().context("no temporary directory")?;
        // The proxy reads its token here, and it is another user.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { namespace: Namespace::new()?, directory, demo: binary("demo")? })
    }

    /// Whether different programs run as different users.
    pub(crate) fn has_many_users(&self) -> bool {
        self.namespace.users() == Users::Many
    }

    pub(crate) fn proxy_user(&self) -> As {
        self.user(PROXY_UID)
    }

    pub(crate) fn app_user(&self) -> As {
        self.user(APP_UID)
    }

    fn user(&self, uid: u32) -> As {
        As::Uid(if self.has_many_users() { uid } else { 0 })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An empty file there, for what a program says.
    pub(crate) fn create(&self, name: &str) -> anyhow::Result<fs::File> {
        let path = self.path(name);
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A command that runs `program` (a path) in the namespace as `user`, with no environment but `PATH`. It ends with
    /// the demo at the latest.
    pub(crate) fn command(&self, program: &Path, user: As) -> Command {
        let mut command = self.namespace.command(&self.demo, user);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").arg(TETHERED).arg(program);
        command
    }

    /// Runs the built program `name` to its end and returns what it wrote.
    pub(crate) fn run(&self, name: &str, user: As, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(&binary(name)?, user).args(arguments).output().with_context(|| format!("cannot run {name}"))
    }
}

/// What a program wrote to stdout, if it ended well; else its own words.
pub(crate) fn stdout(output: &Output) -> anyhow::Result<String> {
    anyhow::ensure!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    Ok(text(&output.stdout))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
