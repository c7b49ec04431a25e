//! What holds for all that Entra and the cluster may say, not only for what they have been seen to say.

use std::time::Duration;

use azwi_entra::{AccessToken, Assertion, ClientId, Refusal, Resource, Scope, TenantId};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Seconds since the epoch.
const NOW: u64 = 1_700_000_000;
/// Longest lifetime that is believed.
const WEEK: u64 = 7 * 24 * 3600;

fn jwt(claims: &Value) -> String {
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.c2lnbmF0dXJl", part(&json!({ "alg": "RS256", "kid": "k" })), part(claims))
}

/// JSON of any shape.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| proptest::collection::vec(inner, 0..6).prop_map(Value::from))
}

proptest! {
    #[test]
    fn a_token_answer_is_read_as_it_was_written(
        lifetime in 1..=WEEK,
        extended in 0..=WEEK,
        refresh_in in proptest::option::of(1..=WEEK),
        age in 0_u64..300,
    ) {
        let access_token = jwt(&json!({ "exp": NOW + lifetime, "nbf": NOW - age }));
        let mut answer = json!({
            "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": extended, "access_token": access_token,
        });
        if let Some(seconds) = refresh_in {
            answer["refresh_in"] = seconds.into();
        }
        let token = AccessToken::from_json(answer.to_string().as_bytes(), NOW).expect("a token");
        prop_assert_eq!(token.secret.expose(), access_token);
        prop_assert_eq!((token.expires_in.as_secs(), token.expires_on), (lifetime, NOW + lifetime));
        prop_assert_eq!((token.not_before, token.ext_expires_in), (NOW - age, extended.max(lifetime)));
        prop_assert_eq!(token.refresh_in, refresh_in.map(Duration::from_secs));
    }

    #[test]
    fn no_answer_gives_a_token_a_time_that_is_further_away_than_a_week(
        expires_in: u64, extended: u64, exp in anything(), nbf in anything(),
    ) {
        let access_token = jwt(&json!({ "exp": exp, "nbf": nbf }));
        let answer = json!({ "expires_in": expires_in, "ext_expires_in": extended, "access_token": access_token });
        if let Some(token) = AccessToken::from_json(answer.to_string().as_bytes(), NOW) {
            prop_assert!((1..=WEEK).contains(&token.expires_in.as_secs()));
            prop_assert!((NOW - WEEK..=NOW + WEEK).contains(&token.expires_on));
            prop_assert!((NOW - WEEK..=NOW + WEEK).contains(&token.not_before));
            prop_assert!((1..=WEEK).contains(&token.ext_expires_in));
        }
    }

    #[test]
    fn a_refusal_is_read_as_it_was_written(
        status in 400_u16..600,
        error in "[a-z_]{1,40}",
        description in "\\PC{0,400}",
        error_codes in proptest::collection::vec(any::<u64>(), 0..16),
        trace_id in proptest::option::of("[0-9a-f-]{36}"),
    ) {
        let body = json!({
            "error": error, "error_description": description, "error_codes": error_codes, "trace_id": trace_id,
        });
        let refusal = Refusal::from_response(status, None, body.to_string().as_bytes(), "");
        prop_assert_eq!((refusal.status, refusal.error), (status, error));
        prop_assert_eq!((refusal.description, refusal.error_codes), (description, error_codes));
        prop_assert_eq!((refusal.trace_id, refusal.correlation_id), (trace_id, None));
    }

    #[test]
    fn no_refusal_repeats_the_assertion(before in "\\PC{0,2100}", after in "\\PC{0,40}", subject in "[a-z:]{20,60}") {
        let assertion = jwt(&json!({ "sub": subject }));
        let body = json!({ "error_description": format!("{before}{assertion}{after}"), "trace_id": assertion });
        let refusal = Refusal::from_response(400, None, body.to_string().as_bytes(), &assertion);
        for part in assertion.split('.').filter(|part| part.len() >= 16) {
            // Not even the beginning of it.
            prop_assert!(!refusal.description.contains(&part[..16]) && refusal.trace_id.as_ref().is_none_or(|id| !id.contains(part)));
        }
    }

    #[test]
    fn claims_are_read_as_they_were_signed(
        iss in "\\PC{1,80}", sub in "\\PC{1,80}", aud in proptest::collection::vec("[^,]{1,40}", 1..4), exp: u64,
    ) {
        let assertion = Assertion::new(jwt(&json!({ "iss": iss, "sub": sub, "aud": aud, "exp": exp })));
        let claims = assertion.claims().expect("claims");
        prop_assert_eq!((claims.iss, claims.sub, claims.aud.to_string(), claims.exp), (iss, sub, aud.join(","), exp));
    }

    #[test]
    fn claims_of_any_shape_are_read_or_not_at_all(iss in anything(), sub in anything(), aud in anything(), exp in anything()) {
        let claims = Assertion::new(jwt(&json!({ "iss": iss, "sub": sub, "aud": aud, "exp": exp }))).claims();
        prop_assert_eq!(claims.as_ref().map(|claims| Value::from(claims.iss.as_str())), claims.is_some().then_some(iss));
    }

    #[test]
    fn a_client_id_is_the_same_in_any_case(id in "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}") {
        let parse = |id: &str| ClientId::parse(id).map(|id| id.to_string());
        prop_assert_eq!(parse(&id), Ok(id.to_lowercase()));
        prop_assert_eq!(parse(&id.to_uppercase()), Ok(id.to_lowercase()));
    }

    #[test]
    fn no_tenant_leaves_its_path_segment(text in "\\PC{0,40}") {
        if let Ok(tenant) = TenantId::parse(&text) {
            prop_assert!(tenant.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'));
            prop_assert!(!tenant.as_str().contains("..") && tenant.as_str().contains(['-', '.']));
        }
    }

    #[test]
    fn the_audience_of_a_scope_is_the_resource_to_the_byte(text in "\\PC{1,80}") {
        if let Ok(resource) = Resource::parse(text.clone()) {
            let scope = Scope::of(&resource);
            let (audience, suffix) = scope.as_str().rsplit_once('/').expect("a slash");
            prop_assert_eq!((audience, suffix), (text.strip_suffix("/.default").unwrap_or(&text), ".default"));
        }
    }
}
