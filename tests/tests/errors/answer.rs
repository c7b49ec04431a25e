//! What all answers without a token have in common, and ways to get one.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use azwi_tests::http::{METADATA, Response};
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::Stage;

/// The eight seconds of a request, and two for a busy machine.
pub(crate) const BUDGET: Duration = Duration::from_secs(10);

pub(crate) const BAD_REQUEST: &str = "400 Bad Request";
pub(crate) const FORBIDDEN: &str = "403 Forbidden";
pub(crate) const THROTTLED: &str = "429 Too Many Requests";
pub(crate) const UNAVAILABLE: &str = "503 Service Unavailable";

/// What SDKs retry.
pub(crate) const TEMPORARY: &str = "temporarily_unavailable";

/// An answer that SDKs can read, neither repeat in vain nor take for "there is no IMDS here", and that fits a log line.
#[track_caller]
pub(crate) fn assert_refusal(response: &Response, status_line: &str, error: &str) {
    let body = &response.body;
    assert_eq!((response.status_line().as_str(), response.field("error").as_str()), (status_line, error), "{body}");
    assert_eq!(response.header("Content-Type"), Some("application/json; charset=utf-8"));
    assert!(!response.field("error_description").is_empty(), "{body}");
    assert!(body.len() < 4096 && !body.contains(char::is_control), "{body}");
    assert!(!body.to_lowercase().contains("unreachable") && !body.contains("Identity not found"), "{body}");
    // Only these two are repeated, and azidentity for Go gives up where it would have to wait for more than a minute.
    let is_repeated = [THROTTLED, UNAVAILABLE].contains(&status_line);
    if is_repeated {
        assert_retry_after(response, 1..=20);
    } else {
        assert_eq!(response.header("Retry-After"), None, "{body}");
    }
}

/// Names Entra's code, and the ids by which its support finds the request.
#[track_caller]
pub(crate) fn assert_from_entra(response: &Response, code: u64) {
    let description = response.field("error_description");
    assert!(description.contains(&format!("AADSTS{code}: ")), "{}", response.body);
    assert_eq!(response.json().get("error_codes"), Some(&vec![code].into()), "{}", response.body);
    // Entra repeats them in its text.
    for (field, label) in [("trace_id", "Trace ID"), ("correlation_id", "Correlation ID"), ("timestamp", "Timestamp")] {
        let value = response.field(field);
        assert!(!value.is_empty() && description.contains(&format!("{label}: {value}")), "{}", response.body);
    }
}

/// `Retry-After` is an integer, and among `seconds`.
#[track_caller]
pub(crate) fn assert_retry_after(response: &Response, seconds: std::ops::RangeInclusive<u64>) {
    let value = response.header("Retry-After").unwrap_or_default();
    assert!(value.parse().is_ok_and(|value| seconds.contains(&value)), "Retry-After: {value}, not {seconds:?}");
}

/// The answer while Entra refuses with `code`, for a resource that was not asked for before.
pub(crate) fn refused_with(stage: &Stage, code: u64) -> Result<Response> {
    stage.entra.faults(&format!(r#"{{"aadsts":{code}}}"#))?;
    stage.proxy.token(&resource(code))
}

/// A resource of its own for each case, as it stands in a query.
pub(crate) fn resource(case: impl std::fmt::Display) -> String {
    format!("resource=https://{case}.example")
}

/// The path and query of a request for a token.
pub(crate) fn target(query: &str) -> String {
    format!("{TOKEN}?api-version=2018-02-01&{query}")
}

/// Asks on a connection of its own, and leaves the answer for later.
pub(crate) fn start(stage: &Stage, query: &str) -> Result<azwi_tests::http::Connection> {
    let mut connection = stage.proxy.connect()?;
    connection.request("GET", &target(query), &[METADATA])?;
    Ok(connection)
}

/// Runs `test` for all cases side by side, since each may take a request's whole budget.
pub(crate) fn side_by_side<T: Sync>(cases: &[T], test: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| test(case))).collect();
        running.into_iter().try_for_each(|case| case.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
