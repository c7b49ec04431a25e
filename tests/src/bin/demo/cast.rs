//! Who plays as whom: the namespace, its users, and the directory that stands for the pod's volumes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;
use azwi_tests::binaries::binary;
use azwi_tests::namespace::{As, Namespace, Users};

use crate::directory::Directory;

/// `demo tethered PROGRAM…`, see [`crate::tethered`].
pub(crate) const TETHERED: &str = "tethered";
/// The uid that the redirect leaves alone.
pub(crate) const PROXY_UID: u32 = 1501;
/// Any other, as an image's author may have chosen it.
const APP_UID: u32 = 1000;

/// All that play; with `demo`, which is also a plain HTTP client.
const PROGRAMS: [&str; 5] = ["demo", "azwi-emulator", "azwi-proxy-init", "azwi-proxy", "unmodified-app"];

pub(crate) struct Cast {
    pub(crate) namespace: Namespace,
    directory: Directory,
}

impl Cast {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = Directory::new()?;
        // What the emulator's handle makes is to go with it.
        tempfile::env::override_temp_dir(directory.path()).ok().context("the temporary directory is set already")?;
        let cast = Self { namespace: Namespace::new()?, directory };
        open_to_all(cast.directory())?;
        PROGRAMS.iter().try_for_each(|name| cast.install(name))?;
        Ok(cast)
    }

    /// Names a built program in the directory. It is copied only where not every user may run it: the workspace may
    /// lie in a closed home.
    fn install(&self, name: &str) -> anyhow::Result<()> {
        let built = binary(name)?.canonicalize()?;
        if is_open_to_all(&built)? {
            return symlink(built, self.path(name)).with_context(|| format!("cannot link {name}"));
        }
        fs::copy(built, self.path(name)).with_context(|| format!("cannot copy {name}"))?;
        open_to_all(&self.path(name))
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

    /// A command that runs one of [`PROGRAMS`] in the namespace as `user`, with no environment but `PATH`. It ends with
    /// the demo at the latest.
    pub(crate) fn command(&self, name: &str, user: As) -> Command {
        let mut command = self.namespace.command(self.path("demo"), user);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").arg(TETHERED).arg(self.path(name));
        command
    }

    /// The user's own shell, likewise, but with the user's environment.
    pub(crate) fn shell(&self, shell: &OsStr) -> Command {
        let mut command = self.namespace.command(self.path("demo"), As::Root);
        command.arg(TETHERED).arg(shell).current_dir(self.directory());
        command
    }

    /// Runs it to its end and returns what it wrote.
    pub(crate) fn run(&self, name: &str, user: As, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(name, user).args(arguments).output().with_context(|| format!("cannot run {name}"))
    }
}

/// Whether others than owner and group may read and run a program and pass all directories above it.
fn is_open_to_all(program: &Path) -> anyhow::Result<bool> {
    let grants = |path: &Path, bits: u32| -> anyhow::Result<bool> {
        let metadata = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
        Ok(metadata.permissions().mode() & bits == bits)
    };
    for directory in program.ancestors().skip(1) {
        if !grants(directory, 0o001)? {
            return Ok(false);
        }
    }
    grants(program, 0o005)
}

fn open_to_all(path: &Path) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot open {}", path.display()))
}

/// What a program wrote to stdout, if it ended well; else its own words.
pub(crate) fn stdout(output: &Output) -> anyhow::Result<String> {
    anyhow::ensure!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    Ok(text(&output.stdout))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_program_is_open_to_all() {
        assert!(is_open_to_all(&fs::canonicalize("/bin/sh").unwrap()).unwrap());
    }

    #[test]
    fn a_program_in_a_closed_directory_is_not_open_to_all() {
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let program = closed.path().join("program");
        fs::write(&program, "").unwrap();
        open_to_all(&program).unwrap();
        assert!(!is_open_to_all(&program).unwrap());
    }
}
