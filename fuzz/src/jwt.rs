//! A JWT that nobody has verified: a service account token, of which the log tells the claims, and an access token, of
//! which the times are believed if they can be.

use azwi_entra::{AccessToken, Assertion};
use serde_json::json;

use crate::token::assert_times;

/// When the answer comes, in seconds since the epoch.
const NOW: u64 = 1_700_000_000;

/// Any text is a token.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let assertion = Assertion::new(text);
    assert_eq!(format!("{assertion:?}"), r"Assertion([redacted])");
    if let Some(claims) = assertion.claims() {
        assert!(text.split('.').count() >= 3, "{claims:?}");
        // What the log tells.
        let _ = claims.aud.to_string();
    }
    let body = json!({ "access_token": text, "expires_in": 3600 }).to_string();
    match AccessToken::from_json(body.as_bytes(), NOW) {
        Some(token) => assert_times(&token),
        None => assert!(text.is_empty(), "{text:?}"),
    }
}
