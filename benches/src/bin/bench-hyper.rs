//! `bench-hyper BODY_FILE PORT` answers every request with that file's bytes as JSON: what hyper costs by itself.
//!
//! Between this and the sidecar lies what is ours: the protocol, the identity, the cache.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::{env, fs, future};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (body, port) = (env::args().nth(1), env::args().nth(2));
    let body = Bytes::from(fs::read(body.context("which body?")?)?);
    let port: u16 = port.context("which port?")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, body.clone()));
    }
}

async fn serve(stream: TcpStream, body: Bytes) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let service = service_fn(|_| future::ready(Ok::<_, Infallible>(answer(body.clone()))));
    Ok(http1::Builder::new().writev(false).serve_connection(TokioIo::new(stream), service).await?)
}

fn answer(body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer
}
