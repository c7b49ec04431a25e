//! The emulator's own certificate authority, and the TLS settings of its servers and of its
//! client. The CA is kept in the directory; the server certificate lives as long as the process.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::state_dir::{CA_CERTIFICATE, CA_KEY, StateDir, StateDirError};

const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("certificate: {0}")]
    Generate(#[from] rcgen::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{file}: not a PEM encoded certificate: {reason}")]
    Unusable { file: String, reason: String },
    #[error(transparent)]
    StateDir(#[from] StateDirError),
}

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// The CA kept in the directory, generated at the first start.
    pub(crate) fn load_or_generate(dir: &StateDir) -> Result<Self, CertificateError> {
        match (dir.read(CA_CERTIFICATE)?, dir.read(CA_KEY)?) {
            (Some(certificate), Some(key)) => Self::load(dir, &certificate, &key),
            _ => Self::generate(dir),
        }
    }

    fn load(dir: &StateDir, certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let file = dir.file(CA_CERTIFICATE);
        let certificate =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| unusable(&file, &error))?;
        let issuer = Issuer::new(authority_params(), KeyPair::from_pem(key)?);
        Ok(Self { issuer, certificate })
    }

    fn generate(dir: &StateDir) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params().self_signed(&key)?;
        dir.write(CA_KEY, key.serialize_pem().as_bytes(), 0o600)?;
        dir.write(CA_CERTIFICATE, certificate.pem().as_bytes(), 0o644)?;
        Ok(Self { issuer: Issuer::new(authority_params(), key), certificate: certificate.der().clone() })
    }

    /// A server certificate for the local names and `extra_names`; ALPN offers h2 and http/1.1.
    pub(crate) fn server_config(&self, extra_names: &[String]) -> Result<Arc<ServerConfig>, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = server_params(extra_names)?.signed_by(&key, &self.issuer)?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Trusts this authority, the `extra` roots and the system's.
    pub(crate) fn client_config(&self, extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, CertificateError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(%error, "a system root certificate was skipped");
        }
        roots.add_parsable_certificates(system.certs);
        roots.add(self.certificate.clone())?;
        for certificate in extra {
            roots.add(certificate)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(config)
    }
}

/// Every certificate in a PEM file; at least one.
pub(crate) fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let roots = CertificateDer::pem_file_iter(path)
        .map_err(|error| unusable(path, &error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(path, &error))?;
    if roots.is_empty() {
        return Err(unusable(path, &"it holds none"));
    }
    Ok(roots)
}

/// The parameters of a server certificate; fails on a name that no certificate can hold.
pub(crate) fn server_params(extra_names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = LOCAL_NAMES.iter().map(ToString::to_string).chain(extra_names.iter().cloned()).collect();
    let mut params = CertificateParams::new(names)?;
    name(&mut params, "azwi-emulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    name(&mut params, "azwi-emulator local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn name(params: &mut CertificateParams, common_name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
}

fn unusable(file: &Path, reason: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Unusable { file: file.display().to_string(), reason: reason.to_string() }
}
