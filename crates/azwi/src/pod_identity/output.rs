//! Writes files into a folder so that there is never half a file, and so that it can be done again.
//!
//! What an earlier run wrote and this one does not is removed, and what somebody has changed since is not overwritten: a
//! record of digests in the folder tells. Other files in it are not touched. Knows nothing of what the files say.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{hash, output};

/// The record, written last; a folder that has it is one of ours.
const RECORD: &str = ".azwi-files.json";

/// What each file may have from us, as digests in hex, by path: while a run goes on it is the old or the new.
type Record = BTreeMap<String, Vec<String>>;

/// Why nothing was written, or not all of it.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Nothing was written.
    #[error("{} has been changed since azwi wrote it: move away what you want to keep, or overwrite it by --overwrite", list(.0))]
    Changed(Vec<PathBuf>),
    /// Nothing was written.
    #[error("{} is there already and not from azwi: choose another folder, or overwrite it by --overwrite", list(.0))]
    Foreign(Vec<PathBuf>),
    /// Nothing was written.
    #[error("{0}: not a record of azwi: {1}")]
    Record(PathBuf, serde_json::Error),
    /// Each file is as it was or as it is to be. The same again finishes it.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Makes `folder` have `files`, by paths with slashes below it, and no others from an earlier run.
///
/// With `overwrite` also files that somebody changed, or that were there before.
///
/// # Errors
/// Files in the way, or the file system.
pub fn write(folder: &Path, files: &BTreeMap<String, String>, overwrite: bool) -> Result<(), OutputError> {
    let record = read_record(folder)?;
    if !overwrite {
        refuse_changed(folder, files, &record)?;
    }
    // Before the files, so that a run that is cut short finds them its own.
    write_record(folder, &with(record.clone(), files))?;
    files.iter().try_for_each(|(path, text)| replace(&folder.join(path), text))?;
    for path in record.keys().filter(|path| !files.contains_key(*path) && is_below(path)) {
        remove(&folder.join(path))?;
    }
    write_record(folder, &with(Record::new(), files))
}

fn read_record(folder: &Path) -> Result<Record, OutputError> {
    let path = folder.join(RECORD);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| OutputError::Record(path, error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::new()),
        Err(error) => Err(OutputError::Io(path, error)),
    }
}

/// What was written, and what is to be.
fn with(mut record: Record, files: &BTreeMap<String, String>) -> Record {
    for (path, text) in files {
        record.entry(path.clone()).or_default().push(hash::hex(text.as_bytes()));
    }
    record
}

fn refuse_changed(folder: &Path, files: &BTreeMap<String, String>, record: &Record) -> Result<(), OutputError> {
    let (mut changed, mut foreign) = (Vec::new(), Vec::new());
    for path in files.keys().chain(record.keys().filter(|path| !files.contains_key(*path) && is_below(path))) {
        let file = folder.join(path);
        let Some(there) = read(&file)?.map(|text| hash::hex(&text)) else { continue };
        let is_to_be = files.get(path).is_some_and(|text| hash::hex(text.as_bytes()) == there);
        match record.get(path) {
            _ if is_to_be => {}
            Some(ours) if ours.contains(&there) => {}
            Some(_) => changed.push(file),
            None => foreign.push(file),
        }
    }
    match (changed.is_empty(), foreign.is_empty()) {
        (false, _) => Err(OutputError::Changed(changed)),
        (_, false) => Err(OutputError::Foreign(foreign)),
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, OutputError> {
    match fs::read(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OutputError::Io(file.to_owned(), error)),
    }
}

fn write_record(folder: &Path, record: &Record) -> Result<(), OutputError> {
    let path = folder.join(RECORD);
    let text = serde_json::to_string_pretty(record).map_err(|error| OutputError::Record(path.clone(), error))?;
    replace(&path, &(text + "\n"))
}

/// With the folders it is to be in.
fn replace(file: &Path, text: &str) -> Result<(), OutputError> {
    let to_output = |error| OutputError::Io(file.to_owned(), error);
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).and_then(|()| output::replace(file, text.as_bytes())).map_err(to_output)
}

/// With the folder it was in, if that is empty now.
fn remove(file: &Path) -> Result<(), OutputError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(OutputError::Io(file.to_owned(), error)),
        _ => {}
    }
    if let Some(folder) = file.parent() {
        // Refused for a folder that has something in it, as it should be.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

/// A record may have been written by somebody else.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']))
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
