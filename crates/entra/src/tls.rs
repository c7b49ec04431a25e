//! TLS as a client: who is trusted, made at the first connection and again when the file with the roots has changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use crate::{CaBundle, TrustError, TrustRoots};

/// Sessions that are kept to be resumed: there is one server.
const SESSIONS: usize = 8;

/// Why no TLS connection can be tried.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// The file with the roots is gone.
    #[error("the certificate authorities in {} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is there, with something else in it.
    #[error("{} {source}", path.display())]
    Roots { path: PathBuf, source: TrustError },
    /// `SSL_CERT_FILE` was good at the start.
    #[error("SSL_CERT_FILE: {0}")]
    System(TrustError),
    /// rustls does not want to.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The settings of all TLS connections to one place.
pub(crate) struct Tls {
    roots: TrustRoots,
    protocols: &'static [&'static [u8]],
    current: Mutex<Option<Current>>,
}

struct Current {
    /// What the file with the roots held; empty without one.
    pem: Vec<u8>,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts `roots` and offers `protocols` (ALPN), the best one first. Reads nothing yet.
    pub(crate) fn new(roots: TrustRoots, protocols: &'static [&'static [u8]]) -> Self {
        Self { roots, protocols, current: Mutex::default() }
    }

    /// Whether `protocol` is offered to the server.
    pub(crate) fn offers(&self, protocol: &[u8]) -> bool {
        self.protocols.contains(&protocol)
    }

    /// The settings as they are now: the same `Arc` as long as they have not changed.
    ///
    /// # Errors
    /// [`TlsError`], also if the file with the roots has become unreadable: better no token than one from a stranger.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let pem = match &self.roots {
            TrustRoots::File(path) => read(path)?,
            TrustRoots::System(..) | TrustRoots::Only(_) => Vec::new(),
        };
        // Whoever writes the file anew may empty it for a moment.
        if let Some(known) = current.as_ref().filter(|known| pem.is_empty() || pem == known.pem) {
            return Ok(Arc::clone(&known.config));
        }
        let roots = match &self.roots {
            TrustRoots::System(system, more) => system.load(more.as_ref()).map_err(TlsError::System)?,
            TrustRoots::Only(bundle) => bundle.roots().clone(),
            TrustRoots::File(path) => parse(path, &pem)?,
        };
        let config = Arc::new(client_config(roots, self.protocols)?);
        *current = Some(Current { pem, config: Arc::clone(&config) });
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

fn parse(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let bundle = CaBundle::from_pem(pem).map_err(|source| TlsError::Roots { path: path.to_owned(), source })?;
    Ok(bundle.roots().clone())
}

fn client_config(roots: RootCertStore, protocols: &[&[u8]]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}
