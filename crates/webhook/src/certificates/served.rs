//! The certificate of this moment. Connections that are open keep the one they began with.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why nothing can be served with a certificate and a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The certificates are no PEM.
    #[error("the certificate is not PEM: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    /// Nor is the key.
    #[error("the key is not PEM: {0}")]
    Key(rustls::pki_types::pem::Error),
    /// They are, but that is all.
    #[error("the certificate cannot be used with the key: {0}")]
    Pair(#[from] rustls::Error),
    /// There is no certificate among them.
    #[error("there is no certificate")]
    Empty,
}

struct Current {
    certificate: Vec<u8>,
    certified: Arc<CertifiedKey>,
    expires: Option<i64>,
}

/// None at first.
#[derive(Default)]
pub(crate) struct Served(ArcSwapOption<Current>);

impl Served {
    /// Serves this from now on, both as PEM; whether that is another one than before.
    ///
    /// # Errors
    /// If it cannot be used; the one before stays.
    pub(super) fn serve(&self, certificate: &[u8], key: &[u8]) -> Result<bool, Unusable> {
        if self.0.load().as_ref().is_some_and(|current| current.certificate == certificate) {
            return Ok(false);
        }
        let certified = Arc::new(parse(certificate, key)?);
        let expires = certified.cert.first().and_then(expiry);
        self.0.store(Some(Arc::new(Current { certificate: certificate.to_owned(), certified, expires })));
        tracing::info!(expires, "serving with a new certificate");
        Ok(true)
    }

    /// When it expires, in seconds since the epoch.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.0.load().as_ref()?.expires
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("expires", &self.expires()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|current| Arc::clone(&current.certified))
    }
}

/// A chain and a key that fit together.
pub(super) fn parse(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, Unusable> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(Unusable::Certificate)?;
    if chain.is_empty() {
        return Err(Unusable::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Unusable::Key)?;
    Ok(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?)
}

/// When a certificate expires, in seconds since the epoch.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
