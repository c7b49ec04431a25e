//! What the handler makes of a request, from hyper's types to the answer, without a connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azwi_entra::{AuthorityHost, ClientId, LoopbackHttp, TenantId};
use http_body_util::{BodyExt as _, Empty};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Builder;
use tokio::time::advance;

use super::*;
use crate::clock::SystemClock;
use crate::identities::Given;
use crate::key::Key;
use crate::lookup::Entra;
use crate::slot::Shared;
use crate::source::{Attempt, Fetch, TokenSource};

const TOKEN: &str = "/metadata/identity/oauth2/token";
/// Longest head that the server reads.
const LONGEST_HEAD: usize = 16 * 1024;
/// Paths that mean something.
const KNOWN: &[&str] =
    &["/livez", "/readyz", "/metadata/identity/info", "/metadata/instance/compute", "//Metadata/versions"];
/// Headers that mean something to somebody.
const HEADERS: &[&str] =
    &["metadata", "host", "user-agent", "x-forwarded-for", "accept", "connection", "x-identity-header"];
/// Longest that the handler may take for a request, Entra's time apart.
const BOUND: Duration = Duration::from_millis(1);

/// The sidecar with one identity, which gets its tokens from `source`.
pub(crate) fn app(source: Arc<dyn TokenSource>) -> App {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tenant = TenantId::parse("contoso.com").unwrap();
    let client = ClientId::parse("aaaaaaaa-0000-4000-8000-000000000000").unwrap();
    let authority = AuthorityHost::parse("https://login.example", LoopbackHttp::Refused).unwrap();
    App {
        policy: Policy::default(),
        identities: Identities::new(Given { tenant: Some(tenant), default: Some(client), ..Given::default() }),
        tokens: Some(TokenCache::new(Shared::new(source, Arc::clone(&clock), Duration::ZERO))),
        readiness: Readiness::new(true, None),
        passthrough: None,
        refusals: Pace::default(),
        concerns: Arc::new(Concerns::new(&authority, None)),
        metrics: Some(Arc::new(Metrics::new(0))),
        clock,
    }
}

/// An Entra that knows how often it was asked.
#[derive(Default)]
struct Counted(AtomicUsize);

impl TokenSource for Counted {
    fn fetch<'a>(&'a self, key: &'a Key, attempt: Attempt) -> Fetch<'a> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entra.fetch(key, attempt)
    }
}

#[tokio::test(start_paused = true)]
async fn only_bypass_cache_asks_entra_for_a_token_that_is_there() {
    let entra = Arc::new(Counted::default());
    let app = app(Arc::clone(&entra) as _);
    let exchanges = async |query: &str| {
        let uri = format!("{TOKEN}?resource=https://vault.azure.net{query}");
        let request = Request::builder().uri(uri).header("Metadata", "true").body(Empty::new()).unwrap();
        let Ok(answer) = app.answer(request, false).await;
        assert_eq!(answer.status(), StatusCode::OK);
        entra.0.load(Ordering::Relaxed)
    };
    assert_eq!(exchanges("").await, 1);
    // The app may not get its pod throttled: sooner, the token counts as new.
    advance(Duration::from_secs(10)).await;
    assert_eq!(exchanges("").await, 1);
    assert_eq!(exchanges("&bypass_cache=false").await, 1);
    assert_eq!(exchanges("&bypass_cache=true").await, 2);
}

/// What hyper hands to the handler, but for the body, which the handler does not look at.
#[derive(Debug, Clone)]
struct Head {
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
}

impl Head {
    /// `None` for what no server hands on.
    fn request(&self) -> Option<Request<Empty<Bytes>>> {
        let head = Request::builder().method(&self.method).uri(&self.target);
        self.headers.iter().fold(head, |head, (name, value)| head.header(*name, value)).body(Empty::new()).ok()
    }

    fn is_short_enough(&self) -> bool {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        self.target.len() + headers.sum::<usize>() < LONGEST_HEAD
    }
}

fn matching(regex: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(regex).unwrap()
}

fn method() -> impl Strategy<Value = Method> {
    let any = matching("[A-Z]{1,12}").prop_map(|name| name.parse().unwrap());
    prop_oneof![6 => Just(Method::GET), 1 => Just(Method::POST), 1 => Just(Method::HEAD), 1 => any]
}

fn path() -> impl Strategy<Value = String> {
    let pieces = "(/|metadata|identity|oauth2|token|info|instance|%2f|%|%6d|\\.\\.?|;|[ -~]){0,40}";
    prop_oneof![
        5 => Just(TOKEN.to_owned()),
        2 => select(KNOWN).prop_map(str::to_owned),
        3 => repeated(pieces).prop_map(|pieces| format!("/{pieces}")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = "resource|client_id|object_id|mi_res_id|msi_res_id|bypass_cache|api-version|[a-z]";
    let value = "true|https://[a-z]{1,8}\\.azure\\.net/?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[!-~]{0,60}";
    let pairs = format!("(({name})=({value})&){{0,6}}");
    prop_oneof![
        Just(String::new()),
        matching(&pairs).prop_map(|pairs| format!("?resource=https://vault.azure.net&{pairs}")),
        repeated("(resource|client_id|=|&|%|%4|%ff|%41|\\+|[!-~]){0,20}")
            .prop_map(|query| format!("?resource=x&{query}")),
    ]
}

/// A few times, or as often as a head has room for.
fn repeated(unit: &str) -> impl Strategy<Value = String> + use<> {
    (matching(unit), prop_oneof![4 => 1..4_usize, 1 => Just(LONGEST_HEAD)]).prop_map(|(unit, times)| {
        let room = (LONGEST_HEAD - 512) / unit.len().max(1);
        unit.repeat(times.min(room))
    })
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let any = (select(HEADERS), matching("[ -~]{0,60}"));
    let usual = prop_oneof![9 => Just("true"), 1 => Just("false")].prop_map(|value| ("metadata", value.to_owned()));
    (usual, proptest::collection::vec(any, 0..60)).prop_map(|(usual, mut all)| {
        all.push(usual);
        all
    })
}

fn head() -> impl Strategy<Value = Head> {
    let parts = (method(), path(), query(), headers());
    let head = parts.prop_map(|(method, path, query, headers)| Head { method, target: path + &query, headers });
    head.prop_filter("what the server hands on", |head| head.is_short_enough() && head.request().is_some())
}

/// The whole answer, and how long it took.
async fn timed(app: &App, head: &Head) -> (Duration, StatusCode, Bytes) {
    let request = head.request().unwrap();
    let started = Instant::now();
    let Ok(answer) = app.answer(request, false).await;
    let took = started.elapsed();
    let status = answer.status();
    (took, status, answer.into_body().collect().await.unwrap().to_bytes())
}

#[test]
fn no_request_makes_the_handler_panic_or_takes_it_longer_than_a_millisecond() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let app = app(Arc::new(Entra));
    let ask = |head: &Head| runtime.block_on(timed(&app, head));
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&head(), |head| {
        let (mut took, status, body) = ask(&head);
        // What it refuses, it explains.
        prop_assert!(
            status.is_success() || serde_json::from_slice::<serde_json::Value>(&body)?.is_object(),
            "{status}"
        );
        // A machine that does something else makes one answer slow, not twenty.
        for _ in 0..20 {
            took = if took < BOUND { break } else { took.min(ask(&head).0) };
        }
        prop_assert!(took < BOUND, "{took:?}");
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
}
