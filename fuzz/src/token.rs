//! Entra's answer when it agrees, and what becomes of it: a body that every SDK can read, with times that make sense.

use azwi_entra::AccessToken;
use azwi_imds::{TokenAnswer, TokenBody};
use serde_json::Value;

/// When the answer comes, in seconds since the epoch.
const NOW: u64 = 1_700_000_000;
/// Longest that is believed, in seconds.
const WEEK: u64 = 7 * 24 * 3600;

/// Any bytes are a body.
pub fn check(data: &[u8]) {
    if let Some(token) = AccessToken::from_json(data, NOW) {
        assert_times(&token);
        assert_readable(&token);
    }
}

/// No time lies further away than a week.
pub(crate) fn assert_times(token: &AccessToken) {
    let expires_in = token.expires_in.as_secs();
    assert!((1..=WEEK).contains(&expires_in), "{token:?}");
    assert!((expires_in..=WEEK).contains(&token.ext_expires_in), "{token:?}");
    for time in [token.expires_on, token.not_before] {
        assert!((NOW - WEEK..=NOW + WEEK).contains(&time), "{token:?}");
    }
}

/// One line of JSON strings in the order in which SDKs search for them.
fn assert_readable(token: &AccessToken) {
    let resource = "https://vault.azure.net";
    let answer = TokenAnswer {
        access_token: token.secret.expose(),
        client_id: "22222222-2222-4222-8222-222222222222",
        expires_on: token.expires_on,
        ext_expires_in: token.ext_expires_in,
        not_before: token.not_before,
        resource,
    };
    let body = String::from_utf8_lossy(TokenBody::new(&answer, NOW).text()).into_owned();
    assert!(!body.contains(char::is_control), "{body}");
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_eq!(json.get("access_token").and_then(Value::as_str), Some(token.secret.expose()));
    assert_eq!(json.get("resource").and_then(Value::as_str), Some(resource));
    assert!(
        json.as_object().is_some_and(|fields| fields.len() == 8 && fields.values().all(Value::is_string)),
        "{body}"
    );
}
