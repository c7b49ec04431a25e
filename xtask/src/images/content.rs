//! What an image really holds: read from its layers and its configuration, never from its Dockerfile.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `buildah inspect` is asked for, one value a line, in the order of [`Content::of`].
pub(crate) const SETTINGS: &str = "{{.OCIv1.Architecture}}\n{{.OCIv1.Config.User}}\n{{.OCIv1.Config.Entrypoint}}\n{{.OCIv1.Config.Env}}\n\
     {{index .OCIv1.Config.Labels \"org.opencontainers.image.title\"}}\n\
     {{index .OCIv1.Config.Labels \"org.opencontainers.image.description\"}}\n\
     {{index .OCIv1.Config.Labels \"org.opencontainers.image.revision\"}}\n\
     {{index .OCIv1.Config.Labels \"org.opencontainers.image.version\"}}\n\
     {{index .OCIv1.Config.Labels \"org.opencontainers.image.licenses\"}}\n";

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) architecture: String,
    pub(crate) user: String,
    /// As Go prints a list: `[/proxy]`.
    pub(crate) entrypoint: String,
    /// In the same way: `[A=1 B=2]`.
    pub(crate) environment: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) revision: String,
    pub(crate) version: String,
    pub(crate) licenses: String,
    /// Of all layers, directories too.
    pub(crate) files: Vec<File>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// As `ls -l` shows it.
    pub(crate) mode: String,
    /// `uid/gid`.
    pub(crate) owner: String,
    pub(crate) size: u64,
    /// Without a leading slash; a link's is followed by an arrow and its target.
    pub(crate) path: String,
}

impl fmt::Display for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.mode, self.owner, self.path)
    }
}

impl Content {
    /// `layers` are tar archives, compressed or not.
    pub(crate) fn of(settings: &str, layers: &[PathBuf]) -> Result<Self, String> {
        let mut lines = settings.lines().map(str::to_owned);
        let mut next = || lines.next().ok_or("buildah tells too little of the image");
        Ok(Self {
            architecture: next()?,
            user: next()?,
            entrypoint: next()?,
            environment: next()?,
            title: next()?,
            description: next()?,
            revision: next()?,
            version: next()?,
            licenses: next()?,
            files: files(layers)?,
        })
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

fn files(layers: &[PathBuf]) -> Result<Vec<File>, String> {
    let listings = layers.iter().map(|layer| listing(layer)).collect::<Result<Vec<_>, _>>()?;
    listings.concat().lines().map(parse).collect()
}

fn listing(layer: &Path) -> Result<String, String> {
    let output = Command::new("tar").args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(layer).output();
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(format!("tar: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("cannot run tar: {error}")),
    }
}

/// One line of GNU tar: mode, owner, size, date, time, path.
fn parse(line: &str) -> Result<File, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [mode, owner, size, _, _, path @ ..] = words.as_slice() else {
        return Err(format!("tar says {line:?}"));
    };
    let size = size.parse().map_err(|_| format!("tar says {line:?}"))?;
    Ok(File { mode: (*mode).to_owned(), owner: (*owner).to_owned(), size, path: path.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tar_is_a_file() {
        let file = parse("-rwxr-xr-x 0/0         5690000 1970-01-01 00:00 proxy");
        let expected = File { mode: "-rwxr-xr-x".into(), owner: "0/0".into(), size: 5_690_000, path: "proxy".into() };
        assert_eq!(file, Ok(expected));
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_and_not_a_file_less() {
        assert!(parse("tar: something").is_err());
        assert!(parse("crw-rw-rw- 0/0 1,3 1970-01-01 00:00 dev/null").is_err());
    }
}
