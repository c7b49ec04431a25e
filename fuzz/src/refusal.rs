//! Entra's answer when it does not agree, or a gateway's: whatever it says becomes a refusal that SDKs can read, and the
//! assertion that it may echo goes no further.

use std::time::Duration;

use azwi_entra::Refusal;
use azwi_imds::{EntraDetails, Failure, FailureStatus, RetryAfter};

use crate::answer::assert_refusal;

/// What Entra was sent: a JWT, not signed by anybody.
const ASSERTION: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0.bm8gc2lnbmF0dXJlIGF0IGFsbC4uLg";

/// Two bytes are the status, the rest is the body.
pub fn check(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk() else { return };
    let status = u16::from_be_bytes(*status);
    let refusal = Refusal::from_response(status, Some(Duration::from_secs(u64::from(status))), body, ASSERTION);
    let texts = [
        Some(&refusal.error),
        Some(&refusal.description),
        refusal.timestamp.as_ref(),
        refusal.trace_id.as_ref(),
        refusal.correlation_id.as_ref(),
    ];
    for text in texts.into_iter().flatten() {
        assert!(text.len() <= 2048, "{} bytes", text.len());
        assert!(!ASSERTION.split('.').any(|part| text.contains(part)), "{text:?}");
    }
    assert!(refusal.error_codes.len() <= 16 && !refusal.to_string().is_empty());
    // The same, whichever way it is told.
    let _ = refusal.class();
    let retry_after = RetryAfter::new(u64::from(status));
    for status in [
        FailureStatus::BadRequest,
        FailureStatus::Forbidden,
        FailureStatus::TooManyRequests { retry_after },
        FailureStatus::Unavailable { retry_after },
    ] {
        assert_refusal(&failure(&refusal, status).response());
    }
}

fn failure(refusal: &Refusal, status: FailureStatus) -> Failure {
    let details = EntraDetails {
        error_codes: refusal.error_codes.clone(),
        timestamp: refusal.timestamp.clone(),
        trace_id: refusal.trace_id.clone(),
        correlation_id: refusal.correlation_id.clone(),
    };
    Failure { status, error: refusal.error.clone(), description: refusal.to_string(), details: Some(details) }
}
