//! A guard: what a review of a pod that gets the sidecar allocates, from its body to the answer's; hyper's and rustls's
//! share is not ours to change.

use std::convert::Infallible;
use std::sync::Arc;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::{Builder, Runtime};

use super::service::Admission;
use super::service::tests::{Cluster, settings};
use crate::accounts::{Accounts, Store};
use crate::metrics::Metrics;
use crate::mutate::ServiceAccount;

/// Reviews that are counted.
const REVIEWS: u64 = 100;

fn body() -> Bytes {
    let sidecar = r#""azure.workload.identity/inject-proxy-sidecar":"true""#;
    let pod = include_str!("../../benches/pod.json").replace("\"ANNOTATIONS\":\"\"", sidecar);
    let kind = r#"{"group":"","version":"v1","kind":"Pod"}"#;
    let request = format!(r#"{{"uid":"u","kind":{kind},"namespace":"shop","operation":"CREATE","object":{pod}}}"#);
    format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#).into()
}

/// The answer's length in bytes.
async fn ask(admission: &Admission<Cluster>, body: &Bytes) -> usize {
    let request = Request::post("/mutate-v1-pod?timeout=10s").body(Full::new(body.clone())).unwrap();
    let Ok::<_, Infallible>(response) = admission.respond(request).await;
    response.into_body().collect().await.unwrap().to_bytes().len()
}

fn count(runtime: &Runtime) -> AllocationInfo {
    let account =
        ServiceAccount { client_id: Some("22222222-2222-4222-8222-222222222222".into()), ..ServiceAccount::default() };
    let accounts = Accounts::new(Arc::new(Store::knowing("shop", "cart", account)), Cluster);
    let admission = Admission::new(accounts, settings(), Arc::new(Metrics::new(0)));
    let body = body();
    assert!(runtime.block_on(ask(&admission, &body)) > 2000, "no sidecar");
    allocation_counter::measure(|| {
        for _ in 0..REVIEWS {
            runtime.block_on(ask(&admission, &body));
        }
    })
}

#[test]
fn a_review_allocates_at_most_fifty_times_and_less_than_twenty_four_kibibytes() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let counted = count(&runtime);
    let (times, bytes) = (counted.count_total / REVIEWS, counted.bytes_total / REVIEWS);
    println!("a review: {times} allocations, {bytes} bytes");
    assert!(times <= 50 && bytes < 24 * 1024, "{times} allocations, {bytes} bytes");
}
