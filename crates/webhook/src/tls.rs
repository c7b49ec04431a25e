//! How TLS is spoken with API servers.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};

use crate::config::MinTls;

/// HTTP/1.1 only, as API servers speak to webhooks: with HTTP/2 one connection would take all to one replica
/// (<https://github.com/kubernetes/kubernetes/issues/75791>). They do not resume sessions, so none is kept.
pub(crate) fn config(min: MinTls, certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let versions = match min {
        MinTls::V1_2 => &[&TLS13, &TLS12][..],
        MinTls::V1_3 => &[&TLS13][..],
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
