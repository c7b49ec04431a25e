//! The directory that survives a restart: keys (mode 0600), `ca.crt`, and `endpoints.json`, by
//! which the other commands find the running or last `serve`.

use std::fs::{self, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) const CA_CERTIFICATE: &str = "ca.crt";
pub(crate) const CA_KEY: &str = "ca.key";
pub(crate) const CLUSTER_KEY: &str = "cluster.key";
pub(crate) const ENTRA_KEY: &str = "entra.key";
const ENDPOINTS: &str = "endpoints.json";
const LOCK: &str = "serve.lock";

#[derive(Debug, Clone)]
pub(crate) struct StateDir(PathBuf);

/// What `serve` announces: the one line on its stdout, and the content of `endpoints.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) authority: String,
    pub(crate) issuer: String,
    pub(crate) control: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) tenant_id: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    #[error("{} does not exist: run `azwi-emulator serve --dir {}` first", .file.display(), .dir.display())]
    NeverServed { file: PathBuf, dir: PathBuf },
    #[error("another `azwi-emulator serve` is using {}: end it, or give another directory", .0.display())]
    InUse(PathBuf),
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", .path.display())]
    Endpoints { path: PathBuf, source: serde_json::Error },
}

impl StateDir {
    /// A directory that `serve` has used before.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Creates the directory when it is missing; keys in it shall not end up in a repository.
    pub(crate) fn create(path: &Path) -> Result<Self, StateDirError> {
        let at = |source| StateDirError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(at)?;
        let dir = Self(fs::canonicalize(path).map_err(at)?);
        dir.write(".gitignore", b"*\n", 0o644)?;
        Ok(dir)
    }

    /// Makes the directory this process's own until the file is closed, at the latest by the end of the process.
    pub(crate) fn lock(&self) -> Result<fs::File, StateDirError> {
        let at = |source| self.io(LOCK, source);
        let file = fs::File::create(self.file(LOCK)).map_err(at)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse(self.0.clone())),
            Err(TryLockError::Error(source)) => Err(at(source)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The file's content, or `None` when there is none yet.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, StateDirError> {
        match fs::read_to_string(self.file(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io(name, source)),
        }
    }

    /// The file's content; an error that says what to run when there is none yet.
    pub(crate) fn require(&self, name: &str) -> Result<String, StateDirError> {
        self.read(name)?.ok_or_else(|| StateDirError::NeverServed { file: self.file(name), dir: self.0.clone() })
    }

    /// Replaces a file atomically.
    pub(crate) fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<(), StateDirError> {
        write_atomically(&self.file(name), content, mode).map_err(|source| self.io(name, source))
    }

    pub(crate) fn announce(&self, endpoints: &Endpoints) -> Result<String, StateDirError> {
        let line = serde_json::to_string(endpoints).map_err(|source| self.bad_endpoints(source))?;
        self.write(ENDPOINTS, line.as_bytes(), 0o644)?;
        Ok(line)
    }

    pub(crate) fn endpoints(&self) -> Result<Endpoints, StateDirError> {
        let content = self.require(ENDPOINTS)?;
        serde_json::from_str(&content).map_err(|source| self.bad_endpoints(source))
    }

    fn io(&self, name: &str, source: io::Error) -> StateDirError {
        let path = self.file(name);
        StateDirError::Io { path, source }
    }

    fn bad_endpoints(&self, source: serde_json::Error) -> StateDirError {
        let path = self.file(ENDPOINTS);
        StateDirError::Endpoints { path, source }
    }
}

/// Writes beside the file, then renames: a reader sees the old or the new content, never half.
pub(crate) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::Builder::new().make_in(parent.unwrap_or(Path::new(".")), |path| {
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
    })?;
    file.write_all(content)?;
    // The umask may have taken bits away that other readers need.
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_by_one_at_a_time_and_free_after_it() {
        let place = tempfile::tempdir().unwrap();
        let dir = StateDir::create(place.path()).unwrap();
        let first = dir.lock().unwrap();
        assert!(matches!(dir.lock(), Err(StateDirError::InUse(_))));
        drop(first);
        dir.lock().unwrap();
    }
}
