//! Which certificate authorities vouch for Entra.
//!
//! A bundle is checked where it is named; the system's roots are read at the first exchange only. What is kept of a
//! certificate is its name and key, a fifth of it.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_native_certs::{CertificateResult, load_certs_from_paths};
use thiserror::Error;

/// What should hold certificates does not.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TrustError {
    /// No `BEGIN CERTIFICATE` in it, or none that can be used.
    #[error("holds no PEM certificate of use")]
    NoCertificate,
    /// PEM, but not of a certificate authority.
    #[error("holds a certificate that cannot be used for TLS")]
    NotACertificate,
}

/// Certificate authorities from PEM, known to be usable.
#[derive(Debug, Clone)]
pub struct CaBundle(RootCertStore);

impl CaBundle {
    /// Reads one or more PEM certificates.
    ///
    /// # Errors
    /// [`TrustError`] if there are none, or if one cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| TrustError::NotACertificate)?;
            roots.add(certificate).map_err(|_| TrustError::NotACertificate)?;
        }
        if roots.is_empty() { Err(TrustError::NoCertificate) } else { Ok(Self(roots)) }
    }

    /// Reads what can be used of a bundle: those of distributions hold the odd certificate that nobody can use.
    ///
    /// # Errors
    /// [`TrustError::NoCertificate`] if that is nothing.
    pub fn from_pem_of_a_system(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
        if roots.is_empty() { Err(TrustError::NoCertificate) } else { Ok(Self(roots)) }
    }

    pub(crate) fn roots(&self) -> &RootCertStore {
        &self.0
    }
}

/// Where the system's roots are, as OpenSSL is told: with neither, they are looked for in the usual places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemRoots {
    /// `SSL_CERT_FILE`: a PEM bundle.
    pub file: Option<PathBuf>,
    /// `SSL_CERT_DIR`: directories with a PEM file for each certificate.
    pub directories: Vec<PathBuf>,
}

impl SystemRoots {
    /// Reads the roots, and adds `more`; an image without any gets Mozilla's as built in.
    ///
    /// # Errors
    /// [`TrustError::NoCertificate`] if there is nothing of use in the file that is named.
    pub(crate) fn load(&self, more: Option<&CaBundle>) -> Result<RootCertStore, TrustError> {
        let mut roots = RootCertStore::empty();
        if self.file.is_none() && self.directories.is_empty() {
            add_usual_places(&mut roots);
        } else {
            add(&mut roots, self.file.as_deref(), &self.directories);
        }
        if roots.is_empty() {
            if self.file.is_some() {
                return Err(TrustError::NoCertificate);
            }
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots.extend(more.into_iter().flat_map(|bundle| bundle.0.roots.iter().cloned()));
        Ok(roots)
    }
}

/// The distribution's bundle; without one, its directory, which holds the same in a hundred files.
fn add_usual_places(roots: &mut RootCertStore) {
    let places = openssl_probe::probe();
    add(roots, places.cert_file.as_deref(), &[]);
    if roots.is_empty() {
        add(roots, None, &places.cert_dir);
    }
}

fn add(roots: &mut RootCertStore, file: Option<&Path>, directories: &[PathBuf]) {
    let files = file.map(|file| load_certs_from_paths(Some(file), None));
    let directories = directories.iter().map(|directory| load_certs_from_paths(None, Some(directory)));
    for CertificateResult { certs, errors, .. } in files.into_iter().chain(directories) {
        for error in errors {
            tracing::warn!(%error, "a system root certificate cannot be used");
        }
        roots.add_parsable_certificates(certs);
    }
}

/// Who may vouch for the server.
#[derive(Debug, Clone)]
pub enum TrustRoots {
    /// The system's roots, and a bundle beside them.
    System(SystemRoots, Option<CaBundle>),
    /// These only.
    Only(CaBundle),
    /// Those in a PEM file only, as they are at each exchange: somebody replaces it when its authority changes.
    File(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_roots_gets_those_that_are_built_in() {
        let nowhere = SystemRoots { file: None, directories: vec![PathBuf::from("/nonesuch")] };
        assert_eq!(nowhere.load(None).unwrap().len(), webpki_roots::TLS_SERVER_ROOTS.len());
        assert!(!SystemRoots::default().load(None).unwrap().is_empty());
    }

    #[test]
    fn nobody_is_trusted_in_place_of_a_file_that_is_gone() {
        let gone = SystemRoots { file: Some(PathBuf::from("/nonesuch")), directories: Vec::new() };
        assert_eq!(gone.load(None).unwrap_err(), TrustError::NoCertificate);
    }

    #[test]
    fn of_a_systems_bundle_what_can_be_used_counts() {
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let odd = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(CaBundle::from_pem_of_a_system(format!("{odd}{good}").as_bytes()).unwrap().roots().len(), 1);
        assert_eq!(CaBundle::from_pem_of_a_system(odd.as_bytes()).unwrap_err(), TrustError::NoCertificate);
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
