//! `bench-floor ANSWER_FILE PORT` answers every request with that file's bytes: the least that a server on tokio can do.
//!
//! It looks for the end of a request's head and at nothing else. What the sidecar costs beyond this is our doing, and
//! hyper's.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::{env, fs, io};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// More than the head of any request that is sent to it.
const MAX_HEAD: usize = 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (answer, port) = (env::args().nth(1), env::args().nth(2));
    let answer: Arc<[u8]> = fs::read(answer.context("which answer?")?)?.into();
    let port: u16 = port.context("which port?")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, Arc::clone(&answer)));
    }
}

/// Serves one connection that is kept alive and sends a request only after the answer to the one before.
async fn serve(mut stream: TcpStream, answer: Arc<[u8]>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(MAX_HEAD);
    while stream.read_buf(&mut head).await? > 0 {
        if head.ends_with(END_OF_HEAD) {
            head.clear();
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}
