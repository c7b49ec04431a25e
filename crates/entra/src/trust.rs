//! Which certificate authorities vouch for Entra.

use reqwest::{Certificate, Client};
use thiserror::Error;

/// A file that should hold certificates does not.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TrustError {
    /// No `BEGIN CERTIFICATE` in it.
    #[error("holds no PEM certificate")]
    NoCertificate,
    /// PEM, but not of a certificate authority.
    #[error("holds a certificate that cannot be used for TLS")]
    NotACertificate,
}

/// Certificate authorities from a PEM file, known to be usable.
#[derive(Debug, Clone)]
pub struct CaBundle(Vec<Certificate>);

impl CaBundle {
    /// Reads one or more PEM certificates.
    ///
    /// # Errors
    /// [`TrustError`] if there are none, or if one cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(TrustError::NoCertificate);
        }
        // reqwest looks into a certificate only when it builds a client.
        let client = Client::builder().tls_certs_only(certificates.clone()).build();
        client.map(|_| Self(certificates)).map_err(|_| TrustError::NotACertificate)
    }
}

/// Root certificates: the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` name another set), else Mozilla's as built in;
/// a bundle adds to them.
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

    /// Trusts `bundle` too.
    #[must_use]
    pub fn with(mut self, bundle: CaBundle) -> Self {
        self.0.extend(bundle.0);
        self
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
    fn a_bundle_without_certificates_is_refused() {
        assert_eq!(CaBundle::from_pem(b"no pem here").unwrap_err(), TrustError::NoCertificate);
    }

    #[test]
    fn a_bundle_with_a_broken_certificate_is_refused() {
        let pem = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(CaBundle::from_pem(pem).unwrap_err(), TrustError::NotACertificate);
    }
}
