//! Until when an answer is of use: the API server says how long it waits, in the URL.

use std::time::Duration;

/// What the API server waits unless the webhook's configuration says otherwise
/// (`timeoutSeconds` of admissionregistration.k8s.io/v1).
const DEFAULT: Duration = Duration::from_secs(10);
/// The longest that a configuration may say.
const MAX: Duration = Duration::from_secs(30);
/// The shortest: whoever says less is no API server.
const MIN: Duration = Duration::from_secs(1);
/// What we take of it: the rest is for the way.
const SHARE: f64 = 0.9;

/// How long we may take, of the query of the URL: `timeout=10s`, as Go writes durations.
pub(crate) fn allowed(query: Option<&str>) -> Duration {
    let given = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("timeout="));
    given.and_then(seconds).unwrap_or(DEFAULT).clamp(MIN, MAX).mul_f64(SHARE)
}

/// Up to thirty seconds Go needs no other units.
fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_api_servers_patience_is_for_the_way() {
        assert_eq!(allowed(Some("timeout=20s")), Duration::from_secs(18));
        assert_eq!(allowed(Some("a=b&timeout=1500ms")), Duration::from_millis(1350));
    }

    #[test]
    fn it_is_ten_seconds_where_the_api_server_does_not_say() {
        for query in [None, Some(""), Some("timeout=never"), Some("timeout=-1s"), Some("timeout=0s")] {
            assert_eq!(allowed(query), Duration::from_secs(9), "{query:?}");
        }
    }

    #[test]
    fn nobody_waits_longer_or_shorter_than_kubernetes_allows() {
        assert_eq!(allowed(Some("timeout=1ms")), Duration::from_millis(900));
        assert_eq!(allowed(Some("timeout=3600s")), Duration::from_secs(27));
    }
}
