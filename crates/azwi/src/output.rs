//! Where results go.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {reason}", path.display())]
pub(crate) struct OutputError {
    path: PathBuf,
    reason: io::Error,
}

/// Writes a whole file, or leaves what there was.
///
/// # Errors
/// The directory is not there, or not ours to write to.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), OutputError> {
    replace(path, content).map_err(|reason| OutputError { path: path.to_owned(), reason })
}

/// One rename: whoever reads sees the old file or the new one, which keeps the old one's permissions. What is no file, such
/// as a pipe, is written to; what a link leads to is replaced, not the link.
///
/// # Errors
/// The file system's.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let Ok(there) = fs::metadata(path) else { return put(path, content, None) };
    if !there.is_file() {
        return OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    put(&fs::canonicalize(path)?, content, Some(there.permissions()))
}

fn put(path: &Path, content: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::with_prefix_in(".azwi-", directory)?;
    file.write_all(content)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
