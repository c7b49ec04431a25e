//! The client assertion: the projected service account token that kubelet keeps in a file.
//!
//! Read at every exchange, since kubelet rotates it; never cached, never printed. Its claims are decoded without
//! verification, for logs and readiness only: Entra is the one that verifies.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::Secret;

/// Largest token file that is read, in bytes; real ones are about 1 KiB.
const MAX_BYTES: u64 = 64 * 1024;

/// Why there is no assertion to send. All of these may pass by themselves while kubelet is not ready.
#[derive(Debug, Error)]
pub enum AssertionError {
    /// The file is missing or unreadable.
    #[error("the service account token file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The configured path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is there but has nothing in it.
    #[error("the service account token file {} is empty", .0.display())]
    Empty(PathBuf),
    /// More than 64 KiB, or not text: this is no token.
    #[error("the service account token file {} does not hold a token", .0.display())]
    NotAToken(PathBuf),
}

/// Where kubelet writes the projected service account token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionFile(PathBuf);

impl AssertionFile {
    /// Names the file; it need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The configured path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the token as it is now, without surrounding whitespace.
    ///
    /// # Errors
    /// [`AssertionError`] if the file is missing, empty or holds no token.
    pub fn read(&self) -> Result<Assertion, AssertionError> {
        let bytes =
            self.read_bounded().map_err(|source| AssertionError::Unreadable { path: self.0.clone(), source })?;
        let too_long = bytes.len() as u64 > MAX_BYTES;
        let text = String::from_utf8(bytes).ok().filter(|_| !too_long);
        let token = text.as_deref().map(str::trim).ok_or_else(|| AssertionError::NotAToken(self.0.clone()))?;
        if token.is_empty() {
            return Err(AssertionError::Empty(self.0.clone()));
        }
        if token.contains(char::is_whitespace) {
            return Err(AssertionError::NotAToken(self.0.clone()));
        }
        Ok(Assertion::new(token))
    }

    fn read_bounded(&self) -> io::Result<Vec<u8>> {
        // Opening a pipe would wait for its other end.
        if !fs::metadata(&self.0)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes = Vec::new();
        File::open(&self.0)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A service account token that is about to be exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion(Secret);

impl Assertion {
    /// A token that is at hand, as it is. [`AssertionFile::read`] is the way to kubelet's.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Secret::new(token))
    }

    /// The JWT itself, for the exchange.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What the token says of itself, unverified; `None` if it is no JWT with these claims.
    pub fn claims(&self) -> Option<AssertionClaims> {
        jsonwebtoken::dangerous::insecure_decode_claims(self.expose()).ok()
    }
}

/// The claims that Entra matches against a federated identity credential, and the expiry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssertionClaims {
    /// The cluster's issuer URL.
    pub iss: String,
    /// `system:serviceaccount:<namespace>:<name>`.
    pub sub: String,
    /// Usually `api://AzureADTokenExchange`; Kubernetes writes an array, the RFC allows a string.
    pub aud: Audience,
    /// Expiry in seconds since the epoch.
    pub exp: u64,
}

/// One audience or several (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A single string.
    One(String),
    /// An array.
    Many(Vec<String>),
}

impl Audience {
    /// Whether `audience` is among them; compared byte for byte, as Entra does.
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

impl std::fmt::Display for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(audience) => f.write_str(audience),
            Self::Many(audiences) => f.write_str(&audiences.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header `{}`, claims iss=i sub=s aud=[a] exp=9, no signature.
    const JWT: &str = "e30.eyJpc3MiOiJpIiwic3ViIjoicyIsImF1ZCI6WyJhIl0sImV4cCI6OX0.";

    fn file(content: &[u8]) -> (tempfile::TempDir, AssertionFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, content).unwrap();
        (dir, AssertionFile::new(path))
    }

    #[test]
    fn the_file_is_read_anew_each_time_and_trimmed() {
        let (_dir, file) = file(b" first\n");
        assert_eq!(file.read().unwrap().expose(), "first");
        fs::write(file.path(), "second").unwrap();
        assert_eq!(file.read().unwrap().expose(), "second");
    }

    #[test]
    fn an_empty_file_is_not_a_token() {
        let (_dir, file) = file(b" \n");
        assert!(matches!(file.read(), Err(AssertionError::Empty(_))));
    }

    #[test]
    fn a_missing_file_and_a_directory_are_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("absent"), dir.path().to_owned()] {
            assert!(matches!(AssertionFile::new(path).read(), Err(AssertionError::Unreadable { .. })));
        }
    }

    #[test]
    fn binary_text_and_endless_files_are_not_tokens() {
        for content in [b"\xff\xfe".to_vec(), b"two words".to_vec(), vec![b'a'; 65 * 1024]] {
            let (_dir, file) = file(&content);
            assert!(matches!(file.read(), Err(AssertionError::NotAToken(_))));
        }
    }

    #[test]
    fn claims_are_decoded_for_the_log() {
        let (_dir, file) = file(JWT.as_bytes());
        let claims = file.read().unwrap().claims().unwrap();
        assert_eq!((claims.iss.as_str(), claims.sub.as_str(), claims.exp), ("i", "s", 9));
        assert_eq!(claims.aud.to_string(), "a");
    }

    #[test]
    fn an_assertion_that_is_no_jwt_has_no_claims() {
        let (_dir, file) = file(b"garbage");
        assert_eq!(file.read().unwrap().claims(), None);
    }
}
