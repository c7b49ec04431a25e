//! A guard: what a cached hit allocates, from the request's first byte to the answer's last, hyper's and tokio's share
//! included. Counted on this test's own thread, which runs both ends of the connection; the client's end allocates nothing.

use std::future::pending;
use std::sync::Arc;

use allocation_counter::AllocationInfo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::lookup::Entra;
use crate::server;
use crate::service::tests::app;

/// Hits that are counted; enough that what happens once a second weighs nothing.
const HITS: u64 = 500;
/// As python's azure-identity asks.
const REQUEST: &[u8] =
    b"GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F HTTP/1.1\r\n\
    Host: 169.254.169.254\r\nMetadata: true\r\nUser-Agent: azsdk-python-identity/1.25.0\r\nAccept: */*\r\n\r\n";

async fn connect() -> TcpStream {
    let listener = server::bind(0).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve(listener, Arc::new(app(Arc::new(Entra))), pending()));
    TcpStream::connect(address).await.unwrap()
}

/// Asks `times` times; each answer is as long as the first, which is read until its end.
async fn ask(connection: &mut TcpStream, times: u64, answer: &mut [u8]) {
    for _ in 0..times {
        connection.write_all(REQUEST).await.unwrap();
        connection.read_exact(answer).await.unwrap();
    }
}

/// The first answer's length in bytes, head and body.
async fn first(connection: &mut TcpStream) -> usize {
    connection.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"token_type\":\"Bearer\"}") {
        connection.read_buf(&mut answer).await.unwrap();
    }
    answer.len()
}

fn count(runtime: &Runtime) -> AllocationInfo {
    let mut connection = runtime.block_on(connect());
    let mut answer = vec![0; runtime.block_on(first(&mut connection))];
    runtime.block_on(ask(&mut connection, HITS, &mut answer));
    allocation_counter::measure(|| runtime.block_on(ask(&mut connection, HITS, &mut answer)))
}

#[test]
fn a_cached_hit_allocates_at_most_five_times_and_less_than_a_kibibyte() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let counted = count(&runtime);
    let (times, bytes) = (counted.count_total / HITS, counted.bytes_total / HITS);
    println!("a cached hit: {times} allocations, {bytes} bytes");
    assert!(times <= 5 && bytes < 1024, "{times} allocations, {bytes} bytes");
}
