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

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::server::ClientHello;
    use rustls::sign;
    use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    #[derive(Debug)]
    struct Fixed(Arc<sign::CertifiedKey>);

    impl ResolvesServerCert for Fixed {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// The version that is agreed on, if any, and the protocol of those that the client offers.
    async fn handshake(
        min: MinTls,
        client: &'static SupportedProtocolVersion,
    ) -> Option<(ProtocolVersion, Option<Vec<u8>>)> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = aws_lc_rs::default_provider();
        let certified = sign::CertifiedKey::from_der(vec![cert.der().clone()], key, &provider).unwrap();
        let server = config(min, Arc::new(Fixed(Arc::new(certified)))).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_protocol_versions(&[client]);
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let accept = TlsAcceptor::from(Arc::new(server)).accept(ours);
        let name = ServerName::try_from("localhost").unwrap();
        let connect = TlsConnector::from(Arc::new(client)).connect(name, theirs);
        let (accepted, _) = tokio::join!(accept, connect);
        let connection = accepted.ok()?.into_inner().1;
        Some((connection.protocol_version()?, connection.alpn_protocol().map(<[u8]>::to_vec)))
    }

    #[tokio::test]
    async fn tls_1_2_is_spoken_only_if_allowed() {
        assert_eq!(handshake(MinTls::V1_3, &TLS12).await, None);
        assert_eq!(handshake(MinTls::V1_2, &TLS12).await.unwrap().0, ProtocolVersion::TLSv1_2);
        assert_eq!(handshake(MinTls::V1_2, &TLS13).await.unwrap().0, ProtocolVersion::TLSv1_3);
    }

    #[tokio::test]
    async fn nobody_is_offered_http_2() {
        let (_, protocol) = handshake(MinTls::V1_3, &TLS13).await.unwrap();
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    }
}
