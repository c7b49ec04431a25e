//! What kubelet asks: whether the process lives, and whether it may get reviews.

use azwi_program::pages::{Page, TEXT};
use http::StatusCode;

use crate::readiness::Readiness;

/// The page of a path; with `/readyz/…` and `/healthz/…` as the Go webhook has them too.
pub(crate) fn page(path: &str, readiness: &Readiness) -> Option<Page> {
    match path.split('/').nth(1)? {
        "healthz" => Some((StatusCode::OK, TEXT, "ok".to_owned())),
        "readyz" => Some(ready(&readiness.reasons())),
        _ => None,
    }
}

fn ready(reasons: &[&str]) -> Page {
    if reasons.is_empty() {
        return (StatusCode::OK, TEXT, "ok".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {}\n", reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_is_not_ready_lives_and_says_what_it_lacks() {
        let readiness = Readiness::default();
        assert_eq!(page("/healthz", &readiness).unwrap().0, 200);
        let (status, _, text) = page("/readyz", &readiness).unwrap();
        assert_eq!(status, 503);
        assert!(text.contains("there is no certificate yet; "), "{text}");
    }

    #[test]
    fn there_is_nothing_else() {
        assert!(page("/", &Readiness::default()).is_none() && page("/metrics", &Readiness::default()).is_none());
    }
}
