//! Which certificate authorities vouch for Entra.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Certificate;
use thiserror::Error;

/// Why a `--ca-file` cannot be trusted.
#[derive(Debug, Error)]
pub enum TrustError {
    /// Missing, a directory, no permission…
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The configured path.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Readable, but no certificate in it.
    #[error("{} holds no PEM certificate", .0.display())]
    NoCertificate(PathBuf),
}

/// Root certificates: the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` name another set), else Mozilla's as built in;
/// an extra file adds to them.
#[derive(Debug, Clone)]
pub struct TrustRoots(Vec<Certificate>);

impl TrustRoots {
    /// Loads the system's roots; an image without any gets the built-in ones.
    pub fn system() -> Self {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "a system root certificate cannot be used");
        }
        let system: Vec<_> = loaded.certs.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        if system.is_empty() { Self(built_in()) } else { Self(system) }
    }

    /// Adds the certificates of a PEM file.
    ///
    /// # Errors
    /// [`TrustError`] if it cannot be read or holds none.
    pub fn with_file(mut self, path: &Path) -> Result<Self, TrustError> {
        let pem = fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(TrustError::NoCertificate(path.to_owned()));
        }
        self.0.extend(certificates);
        Ok(self)
    }

    pub(crate) fn into_certificates(self) -> Vec<Certificate> {
        self.0
    }
}

fn built_in() -> Vec<Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_roots() {
        assert!(!built_in().is_empty());
        assert!(!TrustRoots::system().into_certificates().is_empty());
    }

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        fs::write(&path, "no pem here").unwrap();
        let error = TrustRoots(Vec::new()).with_file(&path).unwrap_err();
        assert!(error.to_string().contains("ca.crt holds no PEM certificate"), "{error}");
        let error = TrustRoots(Vec::new()).with_file(dir.path()).unwrap_err();
        assert!(matches!(error, TrustError::Unreadable { .. }));
    }
}
