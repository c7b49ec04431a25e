//! What holds for all requests and answers, not only for those that somebody has thought of.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use azwi_imds::{
    EntraDetails, Failure, FailureStatus, Policy, Rejection, Request, RetryAfter, Selector, TokenAnswer, TokenBody,
    TokenRequest, parse,
};
use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::Value;

const TOKEN: &str = "/metadata/identity/oauth2/token";
/// Longest head that the server reads.
const LONGEST_HEAD: usize = 16 * 1024;
/// Longest that a request may be thought about.
const BOUND: Duration = Duration::from_millis(1);

fn metadata() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("metadata"), HeaderValue::from_static("true"))])
}

fn get<'q>(path: &str, query: &'q str) -> Result<Request<'q>, Rejection> {
    parse(&Method::GET, path, Some(query), &metadata(), &Policy::default())
}

/// Anything that may stand in a decoded resource.
fn resource() -> impl Strategy<Value = String> {
    r"[^\s\p{Cc}]{1,200}".prop_filter("one word", |text| !text.contains(char::is_whitespace))
}

fn guid() -> impl Strategy<Value = String> {
    "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
}

/// A selector and the parameter that names it.
fn selector() -> impl Strategy<Value = (&'static str, Selector)> {
    prop_oneof![
        guid().prop_map(|id| ("client_id", Selector::ClientId(id))),
        guid().prop_map(|id| ("object_id", Selector::ObjectId(id))),
        (prop_oneof!["msi_res_id", "mi_res_id", "msi-res-id"], "\\PC{1,200}")
            .prop_map(|(name, id)| (resource_id_name(&name), Selector::ResourceId(id))),
    ]
}

fn resource_id_name(name: &str) -> &'static str {
    ["msi_res_id", "mi_res_id", "msi-res-id"].into_iter().find(|known| *known == name).unwrap_or_default()
}

fn id(selector: &Selector) -> &str {
    let (Selector::ClientId(id) | Selector::ObjectId(id) | Selector::ResourceId(id)) = selector;
    id
}

/// All of it percent-encoded, as some clients do.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

proptest! {
    #[test]
    fn a_request_means_what_was_rendered_into_it(
        resource in resource(),
        selector in proptest::option::of(selector()),
        bypass_cache: bool,
        version in "[0-9-]{0,10}",
    ) {
        let mut query = Serializer::new(String::new());
        query.append_pair("api-version", &version).append_pair("unknown", &version);
        if let Some((name, selector)) = &selector {
            query.append_pair(name, id(selector));
        }
        query.append_pair("bypass_cache", if bypass_cache { "true" } else { "false" });
        query.append_pair("resource", &resource);
        let query = query.finish();
        let selector = selector.map(|(_, selector)| selector);
        let expected = TokenRequest { resource: Cow::Borrowed(&resource), selector, bypass_cache };
        prop_assert_eq!(get(TOKEN, &query), Ok(Request::Token(expected)));
    }

    #[test]
    fn a_resource_means_the_same_however_it_is_escaped(resource in resource()) {
        let query = format!("resource={}", escaped(&resource));
        let expected = TokenRequest { resource: Cow::Borrowed(&resource), selector: None, bypass_cache: false };
        prop_assert_eq!(get(TOKEN, &query), Ok(Request::Token(expected)));
    }

    #[test]
    fn a_token_body_says_what_was_rendered_into_it(
        access_token in "\\PC{0,300}",
        client_id in guid(),
        resource in resource(),
        expires_on: u64,
        not_before: u64,
        ext_expires_in: u64,
        before: u64,
        now: u64,
    ) {
        let answer = TokenAnswer {
            access_token: &access_token,
            client_id: &client_id,
            expires_on,
            ext_expires_in,
            not_before,
            resource: &resource,
        };
        let body = TokenBody::new(&answer, before).at(now);
        let json: Value = serde_json::from_slice(body.text())?;
        let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
        let expires_in = expires_on.saturating_sub(now);
        prop_assert_eq!((text("access_token"), text("client_id")), (access_token.as_str(), client_id.as_str()));
        prop_assert_eq!((text("resource"), text("token_type")), (resource.as_str(), "Bearer"));
        let times = [expires_on, not_before, expires_in, ext_expires_in.max(expires_in)].map(|time| time.to_string());
        let said = ["expires_on", "not_before", "expires_in", "ext_expires_in"].map(text);
        prop_assert_eq!(said.as_slice(), times.as_slice());
        prop_assert!(!body.text().contains(&b'\n'));
    }

    #[test]
    fn a_failure_says_what_was_rendered_into_it(
        description in "[a-zA-Z0-9 .:\"'\\\\/é]{0,500}",
        error in "[a-z_]{1,40}",
        error_codes in proptest::collection::vec(any::<u64>(), 1..16),
        trace_id in guid(),
        seconds: u64,
    ) {
        let details = EntraDetails {
            error_codes: error_codes.clone(), trace_id: Some(trace_id.clone()), ..EntraDetails::default()
        };
        let status = FailureStatus::Unavailable { retry_after: RetryAfter::new(seconds) };
        let failure = Failure { status, error: error.clone(), description: description.clone(), details: Some(details) };
        let json: Value = serde_json::from_slice(failure.response().body())?;
        prop_assert_eq!(json, serde_json::json!({
            "error": error, "error_description": description, "error_codes": error_codes, "trace_id": trace_id,
        }));
    }

    #[test]
    fn no_request_is_too_strange_to_be_answered(
        method in "[A-Z]{1,8}",
        path in "(/|metadata|identity|oauth2|token|%2f|%|\\\\|\\.\\.|;|\\PC){0,40}",
        query in proptest::option::of("(resource|client_id|=|&|%|%4|%ff|\\+|\\PC){0,40}"),
        value in "(true|false| |x){0,3}",
    ) {
        let method: Method = method.parse()?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static("metadata"), value.parse::<HeaderValue>()?)]);
        match parse(&method, &path, query.as_deref(), &headers, &Policy::default()) {
            Err(rejection) => prop_assert!(rejection.status().is_client_error()),
            Ok(_) => prop_assert!(method == Method::GET || method == Method::POST),
        }
    }
}

/// The best of twenty, since a busy machine may be slow most of the time.
fn thinking_time(path: &str, query: &str) -> Duration {
    let once = || {
        let started = Instant::now();
        let answer = get(path, query).map(drop).map_err(|rejection| rejection.response());
        let took = started.elapsed();
        drop(answer);
        took
    };
    (0..20).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn no_request_takes_long_to_understand() {
    let fill = |unit: &str| unit.repeat(LONGEST_HEAD / unit.len());
    let queries = [
        "&",
        "a",
        "=",
        "a&",
        "&a",
        "a=b&",
        "%",
        "%4",
        "%41",
        "%41=%41&",
        "+",
        "%ff",
        "é",
        "resource=x&",
        "client_id=&",
    ];
    let paths = ["/", "//", "a/", "/.", "/metadata", "%", "\\", "é", "/metadata/identity/oauth2/token"];
    for query in queries.map(fill) {
        let query = format!("resource=x&{query}");
        let took = thinking_time(TOKEN, &query);
        assert!(took < BOUND, "{took:?} for {:?}…", query.get(..40));
    }
    for path in paths.map(fill) {
        let took = thinking_time(&path, "resource=x");
        assert!(took < BOUND, "{took:?} for {:?}…", path.get(..40));
    }
}
