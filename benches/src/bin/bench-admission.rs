//! `bench-admission CERTIFICATE KEY` allows every review over TLS without a look at it: what an admission webhook costs at
//! least on hyper and rustls.
//!
//! It reads a review to its end, as any HTTP server must, and keeps nothing of it. Between this and the webhook lies what is
//! ours: understanding the review, finding the service account, and the patch.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::{env, fs};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const ALLOWED: &[u8] = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"b1f1c2d3-5a1f-4a43-9a5c-000000000000","allowed":true}}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let tls = TlsAcceptor::from(Arc::new(tls()?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, tls.clone()));
    }
}

/// As the webhook's.
fn tls() -> anyhow::Result<ServerConfig> {
    let path = |index| env::args_os().nth(index).context("which certificate, and which key?");
    let certificate = CertificateDer::from_pem_slice(&fs::read(path(1)?)?)?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(path(2)?)?)?;
    let builder = ServerConfig::builder_with_protocol_versions(&[&TLS13]).with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate], key)?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

async fn serve(stream: TcpStream, tls: TlsAcceptor) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = TokioIo::new(tls.accept(stream).await?);
    Ok(http1::Builder::new().serve_connection(stream, service_fn(allow)).await?)
}

async fn allow(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let mut review = request.into_body();
    while let Some(frame) = review.frame().await {
        frame?;
    }
    let mut answer = Response::new(Full::new(Bytes::from_static(ALLOWED)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
