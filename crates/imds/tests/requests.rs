//! What a request line and headers are taken for, and in which order the checks apply.
#![expect(clippy::panic, reason = "a helper that panics is a failed test")]

use azwi_imds::{MetadataHeader, Policy, Rejection, Request, Selector, TokenRequest, parse};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const TOKEN: &str = "/metadata/identity/oauth2/token";
const INFO: &str = "/metadata/identity/info";
const GUID: &str = "0a1b2c3d-0000-4000-8000-abcdefabcdef";
const MANAGEMENT: &str = "api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(field).collect()
}

fn get<'q>(
    path: &str,
    query: Option<&'q str>,
    fields: &[(&'static str, &'static str)],
) -> Result<Request<'q>, Rejection> {
    parse(&Method::GET, path, query, &headers(fields), &Policy::default())
}

/// A token request with the header and the query given.
fn ask(query: &str) -> Result<Request<'_>, Rejection> {
    get(TOKEN, Some(query), &[("metadata", "true")])
}

fn token_request(query: &str) -> TokenRequest<'_> {
    match ask(query) {
        Ok(Request::Token(request)) => request,
        other => panic!("{query}: {other:?}"),
    }
}

fn selector(query: &str) -> Result<Option<Selector>, Rejection> {
    match ask(&format!("{MANAGEMENT}&{query}"))? {
        Request::Token(request) => Ok(request.selector),
        other => panic!("the token path names the token endpoint, not {other:?}"),
    }
}

#[test]
fn a_plain_token_request_asks_for_the_default_identity() {
    let expected =
        TokenRequest { resource: "https://management.azure.com/".into(), selector: None, bypass_cache: false };
    assert_eq!(ask(MANAGEMENT), Ok(Request::Token(expected)));
}

#[test]
fn the_resource_is_kept_byte_for_byte_after_decoding() {
    for (query, resource) in [
        ("resource=https://vault.azure.net", "https://vault.azure.net"),
        ("resource=https%3a%2f%2fVault.Azure.net%2F%2f", "https://Vault.Azure.net//"),
        ("resource=https://a.b/.default", "https://a.b/.default"),
        ("resource=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"),
        ("resource=api://x%2By%2520", "api://x+y%20"),
        ("resource=api://%C3%A9%22%5C", "api://é\"\\"),
        ("resource=a=b?c#d", "a=b?c#d"),
    ] {
        assert_eq!(token_request(query).resource, resource, "{query}");
    }
}

#[test]
fn any_api_version_or_none_is_accepted() {
    for query in
        ["resource=x", "api-version=2019-08-01&resource=x", "api-version=&resource=x", "api-version=1&resource=x"]
    {
        assert_eq!(token_request(query).resource, "x", "{query}");
    }
}

#[test]
fn unknown_parameters_are_ignored_however_often_they_come() {
    assert_eq!(token_request("other=1&resource=x&other=2").resource, "x");
    assert_eq!(token_request("xms_cc=cp1&principal_id=1&authority=x&resource=x&a&b=").resource, "x");
}

#[test]
fn parameter_names_are_case_sensitive() {
    assert_eq!(ask("Resource=x"), Err(Rejection::MissingResource));
}

#[test]
fn a_missing_or_empty_resource_is_refused() {
    for query in ["", "api-version=2018-02-01", "resource", "resource=", "resource=&client_id=1"] {
        assert_eq!(ask(query), Err(Rejection::MissingResource), "{query}");
    }
    assert_eq!(get(TOKEN, None, &[("metadata", "true")]), Err(Rejection::MissingResource));
}

#[test]
fn a_resource_with_whitespace_or_control_characters_is_refused() {
    for resource in ["a+b", "a%20b", "+", "a%0Ab", "a%00", "%7F", "a%C2%A0b", "%E2%80%A8", "%C2%85"] {
        assert_eq!(ask(&format!("resource={resource}")), Err(Rejection::MalformedResource), "{resource}");
    }
}

#[test]
fn a_resource_has_at_most_2048_bytes_after_decoding() {
    assert_eq!(token_request(&format!("resource={}", "%61".repeat(2048))).resource, "a".repeat(2048));
    assert_eq!(ask(&format!("resource={}", "a".repeat(2049))), Err(Rejection::ResourceTooLong));
    assert_eq!(ask(&format!("resource={}", "%C3%A9".repeat(1025))), Err(Rejection::ResourceTooLong));
}

#[test]
fn a_malformed_query_is_refused_even_in_a_parameter_nobody_reads() {
    assert_eq!(ask("resource=x&other=%"), Err(Rejection::InvalidPercentEncoding));
    assert_eq!(ask("resource=x&other=%ff"), Err(Rejection::QueryNotUtf8));
}

#[test]
fn a_parameter_given_twice_is_refused() {
    for query in ["resource=x&resource=x", "resource=x&client_id=&client_id=", "api-version=1&resource=x&api-version=1"]
    {
        assert_eq!(ask(query), Err(Rejection::DuplicateParameter), "{query}");
    }
}

#[test]
fn client_id_and_object_id_are_guids_in_lower_case() {
    let upper = GUID.to_ascii_uppercase();
    assert_eq!(selector(&format!("client_id={upper}")), Ok(Some(Selector::ClientId(GUID.to_owned()))));
    assert_eq!(selector(&format!("object_id={upper}")), Ok(Some(Selector::ObjectId(GUID.to_owned()))));
}

#[test]
fn an_id_that_is_no_guid_names_no_identity() {
    for query in ["client_id=my-identity", "object_id=1", "client_id=+", "client_id=%7B0a1b2c3d%7D"] {
        assert_eq!(selector(query), Err(Rejection::IdentityNotFound), "{query}");
    }
    assert_eq!(selector(&format!("client_id={GUID}+")), Err(Rejection::IdentityNotFound));
}

#[test]
fn the_three_spellings_of_the_resource_id_mean_the_same() {
    let id = "/subscriptions/S/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Id";
    for name in ["msi_res_id", "mi_res_id", "msi-res-id"] {
        assert_eq!(selector(&format!("{name}={id}")), Ok(Some(Selector::ResourceId(id.to_owned()))), "{name}");
    }
}

#[test]
fn empty_selectors_are_ignored() {
    assert_eq!(selector("client_id=&object_id=&msi_res_id=&mi_res_id&msi-res-id="), Ok(None));
    assert_eq!(selector(&format!("client_id=&object_id={GUID}")), Ok(Some(Selector::ObjectId(GUID.to_owned()))));
}

#[test]
fn selectors_exclude_one_another() {
    for query in
        ["client_id=1&object_id=2", "object_id=2&mi_res_id=3", "client_id=1&msi-res-id=3", "msi_res_id=3&mi_res_id=3"]
    {
        assert_eq!(selector(query), Err(Rejection::SelectorsExclusive), "{query}");
    }
}

#[test]
fn bypass_cache_is_on_for_true_only() {
    for (value, expected) in [("true", true), ("True", true), ("", false), ("1", false), ("false", false)] {
        assert_eq!(token_request(&format!("resource=x&bypass_cache={value}")).bypass_cache, expected, "{value:?}");
    }
}

#[test]
fn identity_info_is_answered_under_the_same_method_and_header_rules() {
    assert_eq!(get(INFO, Some("api-version=2018-02-01"), &[("metadata", "true")]), Ok(Request::IdentityInfo));
    assert_eq!(get(INFO, None, &[]), Err(Rejection::MissingMetadataHeader));
    assert_eq!(get(INFO, None, &[("metadata", "true"), ("x-forwarded-for", "::1")]), Err(Rejection::Forwarded));
    let post = parse(&Method::POST, INFO, None, &headers(&[("metadata", "true")]), &Policy::default());
    assert_eq!(post, Err(Rejection::MethodNotAllowed));
}

#[test]
fn the_metadata_header_says_true_in_any_case() {
    for value in ["true", "True", "TRUE", " true ", "\ttrue"] {
        assert!(get(TOKEN, Some(MANAGEMENT), &[("metadata", value)]).is_ok(), "{value:?}");
    }
}

#[test]
fn any_other_metadata_header_counts_as_missing() {
    for value in ["", "false", "1", "true,true", "truex", "\"true\""] {
        let answer = get(TOKEN, Some(MANAGEMENT), &[("metadata", value)]);
        assert_eq!(answer, Err(Rejection::MissingMetadataHeader), "{value:?}");
    }
}

#[test]
fn availability_probes_without_the_header_get_its_refusal_whatever_the_query() {
    for query in [None, Some("api-version=2018-02-01"), Some(MANAGEMENT), Some("a=%&a"), Some("client_id=x")] {
        assert_eq!(get(TOKEN, query, &[]), Err(Rejection::MissingMetadataHeader), "{query:?}");
    }
}

#[test]
fn a_policy_may_ignore_the_metadata_header_but_nothing_else() {
    let policy = Policy { metadata_header: MetadataHeader::Ignored };
    let parse = |fields: &[_]| parse(&Method::GET, TOKEN, Some("resource=x"), &headers(fields), &policy);
    assert!(parse(&[]).is_ok());
    assert!(parse(&[("metadata", "false")]).is_ok());
    assert_eq!(parse(&[("x-forwarded-for", "10.0.0.1")]), Err(Rejection::Forwarded));
}

#[test]
fn a_forwarded_request_is_refused_even_if_the_header_is_empty() {
    for value in ["10.0.0.1", ""] {
        let answer = get(TOKEN, Some(MANAGEMENT), &[("metadata", "true"), ("x-forwarded-for", value)]);
        assert_eq!(answer, Err(Rejection::Forwarded), "{value:?}");
    }
}

#[test]
fn only_get_is_allowed() {
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let answer = parse(&method, TOKEN, Some(MANAGEMENT), &headers(&[("metadata", "true")]), &Policy::default());
        assert_eq!(answer, Err(Rejection::MethodNotAllowed), "{method}");
    }
}

#[test]
fn imds_v2_does_not_exist_whatever_the_method_and_headers() {
    let header_sets: [&[_]; 3] = [&[], &[("metadata", "true")], &[("x-forwarded-for", "::1")]];
    for path in ["/metadata/identity/getplatformmetadata", "/metadata/identity/issuecredential"] {
        for method in [Method::GET, Method::POST, Method::HEAD] {
            for fields in header_sets {
                let answer = parse(&method, path, Some("cred-api-version=2.0"), &headers(fields), &Policy::default());
                assert_eq!(answer, Err(Rejection::ImdsV2), "{method} {path} {fields:?}");
            }
        }
    }
}

/// Each request has every fault of those after it, so the answer shows which check comes first.
#[test]
fn checks_apply_in_the_order_of_imds() {
    let forwarded = ("x-forwarded-for", "::1");
    let metadata = ("metadata", "true");
    let all = "client_id=1&object_id=2&resource=";
    let post = |path, fields: &[_]| parse(&Method::POST, path, Some(all), &headers(fields), &Policy::default());
    assert_eq!(post("/metadata/identity/oauth2/token%", &[forwarded]), Err(Rejection::HostilePath));
    assert_eq!(post("/metadata/identity/oauth2/tokenXYZ", &[forwarded]), Err(Rejection::NotFound));
    assert_eq!(post(TOKEN, &[forwarded]), Err(Rejection::MethodNotAllowed));
    assert_eq!(get(TOKEN, Some(all), &[forwarded]), Err(Rejection::MissingMetadataHeader));
    assert_eq!(get(TOKEN, Some(all), &[metadata, forwarded]), Err(Rejection::Forwarded));
    assert_eq!(ask(&format!("{all}&x=%")), Err(Rejection::InvalidPercentEncoding));
    assert_eq!(ask(all), Err(Rejection::MissingResource));
    assert_eq!(ask(&format!("{all}x")), Err(Rejection::SelectorsExclusive));
    assert_eq!(ask("client_id=1&resource=x"), Err(Rejection::IdentityNotFound));
}

#[test]
fn other_categories_are_named_by_their_canonical_path() {
    let metadata = [("metadata", "true")];
    for (path, canonical) in [
        ("/metadata/instance", "/metadata/instance"),
        ("//Metadata/instance/compute/", "/metadata/instance/compute"),
        ("/metadata/attested/document", "/metadata/attested/document"),
        ("/metadata/versions", "/metadata/versions"),
        ("/metadata/loadbalancer", "/metadata/loadbalancer"),
    ] {
        assert_eq!(get(path, None, &metadata), Ok(Request::Category { path: canonical.to_owned() }), "{path}");
    }
    assert_eq!(get("/metadata/Instance", None, &metadata), Err(Rejection::NotFound));
}

#[test]
fn other_categories_are_guarded_like_the_identity_endpoints() {
    assert_eq!(get("/metadata/instance", None, &[]), Err(Rejection::MissingMetadataHeader));
    let forwarded = [("metadata", "true"), ("x-forwarded-for", "x")];
    assert_eq!(get("/metadata/instance", None, &forwarded), Err(Rejection::Forwarded));
}
