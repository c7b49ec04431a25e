//! The two halves of a cached hit that are this library's: the request read and the answer written.
//!
//! For whoever changes them: `cargo bench -p azwi-imds --bench hit`. What counts in the end is `cargo xtask bench`.

use azwi_imds::{Policy, Rejection, Request, TokenAnswer, TokenBody};
use divan::black_box;
use http::{HeaderMap, HeaderValue, Method};

const PATH: &str = "/metadata/identity/oauth2/token";
const RESOURCE: &str = "api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
const BY_CLIENT: &str = "api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F\
                         &client_id=0a1b2c3d-0000-4000-8000-abcdefabcdef";
/// Of Entra ID's tokens for workloads, in bytes.
const TOKEN_LENGTH: usize = 1600;
const NOW: u64 = 1_800_000_000;

fn main() {
    divan::main();
}

#[divan::bench(args = [RESOURCE, BY_CLIENT])]
fn parse(bencher: divan::Bencher<'_, '_>, query: &str) {
    let headers = HeaderMap::from_iter(
        [("metadata", "true"), ("host", "169.254.169.254")]
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    bencher.bench_local(|| -> Result<Request<'_>, Rejection> {
        azwi_imds::parse(&Method::GET, black_box(PATH), Some(black_box(query)), &headers, &Policy::default())
    });
}

#[divan::bench]
fn render(bencher: divan::Bencher<'_, '_>) {
    let answer = TokenAnswer {
        access_token: &"t".repeat(TOKEN_LENGTH),
        client_id: "0a1b2c3d-0000-4000-8000-abcdefabcdef",
        expires_on: NOW + 86_400,
        ext_expires_in: 86_400,
        not_before: NOW,
        resource: "https://management.azure.com/",
    };
    let body = TokenBody::new(&answer, NOW);
    bencher.bench_local(|| body.at(black_box(NOW + 1)));
}
