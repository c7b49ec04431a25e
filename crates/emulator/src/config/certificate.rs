//! The certificate by which an app registration may sign its own assertions.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) key: DecodingKey,
    /// The header's `x5t` (RFC 7515 section 4.1.7).
    sha1: String,
    /// The header's `x5t#S256` (RFC 7515 section 4.1.8).
    sha256: String,
}

impl Certificate {
    /// Only of RSA keys, as Entra wants it. Its validity is not looked at.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &der));
        Some(Self {
            key: DecodingKey::from_rsa_pem(pem.as_bytes()).ok()?,
            sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&digest::SHA256),
        })
    }

    /// Whether the header names this certificate, by either of its thumbprints.
    pub(crate) fn signs(&self, header: &Header) -> bool {
        header.x5t_s256.as_ref() == Some(&self.sha256) || header.x5t.as_ref() == Some(&self.sha1)
    }
}
