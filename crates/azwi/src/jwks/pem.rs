//! Keys in PEM files.

use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject as _, SectionKind};

use super::key::{Jwk, KeyError, PublicKey};

/// Why a file's keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub(crate) struct PemError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Io(io::Error),
    #[error("no PEM: {0}")]
    Syntax(pem::Error),
    #[error(
        "it has no key: expected `PUBLIC KEY`, `CERTIFICATE`, `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY` between \
         its dashes"
    )]
    Nothing,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<pem::Error> for Cause {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::Io(error) => Self::Io(error),
            error => Self::Syntax(error),
        }
    }
}

/// All keys of a file, in their order.
///
/// # Errors
/// It cannot be read, has no key, or one of another kind than RSA and EC.
pub(crate) fn read(path: &Path) -> Result<Vec<Jwk>, PemError> {
    keys(path).map_err(|cause| PemError { path: path.to_owned(), cause })
}

fn keys(path: &Path) -> Result<Vec<Jwk>, Cause> {
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_file_iter(path)? {
        let (kind, der) = section?;
        if let Some(key) = key(kind, &der) {
            keys.push(Jwk::new(&key?)?);
        }
    }
    if keys.is_empty() { Err(Cause::Nothing) } else { Ok(keys) }
}

/// None of what has none, such as the `EC PARAMETERS` that OpenSSL writes before a key.
fn key(kind: SectionKind, der: &[u8]) -> Option<Result<PublicKey, KeyError>> {
    match kind {
        SectionKind::PublicKey => Some(PublicKey::of_spki(der)),
        SectionKind::Certificate => Some(PublicKey::of_certificate(der)),
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => {
            Some(PublicKey::of_private_key(der))
        }
        _ => None,
    }
}
