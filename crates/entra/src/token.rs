//! What Entra answers when it agrees.
//!
//! The v2.0 endpoint says nothing of `expires_on` or `not_before`: they stand in the token, if it can be read.

use std::time::Duration;

use serde::Deserialize;

use crate::Secret;

/// How far back a token is taken to be valid when it does not say: Entra sets `nbf` five minutes before the issue.
const NOT_BEFORE_SKEW: u64 = 300;
/// Longest lifetime that is believed, in seconds: a week. Entra's longest is 28 hours.
const MAX_LIFETIME: u64 = 7 * 24 * 3600;

/// An access token and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The token itself, opaque to everybody but the resource.
    pub secret: Secret,
    /// Lifetime that was left when Entra answered.
    pub expires_in: Duration,
    /// `exp` of the token, else the time of the answer plus [`Self::expires_in`]; seconds since the epoch.
    pub expires_on: u64,
    /// `nbf` of the token, else five minutes before the answer; seconds since the epoch.
    pub not_before: u64,
    /// How long the token may be used when Entra is down; seconds, at least the lifetime.
    pub ext_expires_in: u64,
    /// When Entra would like it refreshed, if it says so (long-lived tokens).
    pub refresh_in: Option<Duration>,
}

/// The success body of the v2.0 token endpoint.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: u64,
    ext_expires_in: Option<u64>,
    refresh_in: Option<u64>,
}

/// Times inside the token; absent when a resource has its tokens encrypted.
#[derive(Default, Deserialize)]
struct TokenClaims {
    exp: Option<u64>,
    nbf: Option<u64>,
}

impl AccessToken {
    /// Reads a success body that arrived at `now` (seconds since the epoch); `None` if it is not one.
    pub fn from_json(body: &[u8], now: u64) -> Option<Self> {
        let response: TokenResponse = serde_json::from_slice(body).ok()?;
        if response.access_token.is_empty() || response.expires_in == 0 {
            return None;
        }
        let claims: TokenClaims =
            jsonwebtoken::dangerous::insecure_decode_claims(&response.access_token).unwrap_or_default();
        let expires_in = response.expires_in.min(MAX_LIFETIME);
        let latest = now.saturating_add(MAX_LIFETIME);
        let believable = |time: &u64| (now.saturating_sub(MAX_LIFETIME)..=latest).contains(time);
        Some(Self {
            expires_in: Duration::from_secs(expires_in),
            expires_on: claims.exp.filter(believable).unwrap_or(now.saturating_add(expires_in)),
            not_before: claims.nbf.filter(believable).unwrap_or(now.saturating_sub(NOT_BEFORE_SKEW)),
            ext_expires_in: response.ext_expires_in.unwrap_or(0).clamp(expires_in, MAX_LIFETIME),
            refresh_in: response.refresh_in.filter(|&seconds| seconds > 0).map(Duration::from_secs),
            secret: Secret::new(response.access_token),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn read(body: &str) -> Option<AccessToken> {
        AccessToken::from_json(body.as_bytes(), NOW)
    }

    #[test]
    fn times_are_taken_from_the_token() {
        // {"exp":1700003600,"nbf":1699999700}
        let token = read(r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":7200,"access_token":"e30.eyJleHAiOjE3MDAwMDM2MDAsIm5iZiI6MTY5OTk5OTcwMH0.x"}"#).unwrap();
        assert_eq!((token.expires_on, token.not_before), (1_700_003_600, 1_699_999_700));
        assert_eq!((token.expires_in, token.ext_expires_in), (Duration::from_secs(3599), 7200));
    }

    #[test]
    fn an_opaque_token_gets_its_times_from_the_answer() {
        let token = read(r#"{"expires_in":60,"access_token":"opaque"}"#).unwrap();
        assert_eq!((token.expires_on, token.not_before), (NOW + 60, NOW - 300));
        assert_eq!((token.ext_expires_in, token.refresh_in), (60, None));
    }

    #[test]
    fn refresh_in_is_kept_when_entra_says_so() {
        let token = read(r#"{"expires_in":86399,"refresh_in":43199,"access_token":"t"}"#).unwrap();
        assert_eq!(token.refresh_in, Some(Duration::from_secs(43199)));
    }

    #[test]
    fn times_beyond_belief_are_cut_to_a_week() {
        // {"exp":18446744073709551615}
        let token = read(r#"{"expires_in":18446744073709551615,"ext_expires_in":18446744073709551615,"access_token":"e30.eyJleHAiOjE4NDQ2NzQ0MDczNzA5NTUxNjE1fQ.x"}"#).unwrap();
        assert_eq!((token.expires_in.as_secs(), token.ext_expires_in), (MAX_LIFETIME, MAX_LIFETIME));
        assert_eq!(token.expires_on, NOW + MAX_LIFETIME);
    }

    #[test]
    fn an_answer_without_a_usable_token_is_no_token() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"access_token":"","expires_in":60}"#,
            r#"{"access_token":"t","expires_in":0}"#,
            r#"{"access_token":"t"}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
