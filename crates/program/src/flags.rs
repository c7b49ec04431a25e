//! How flags are written: as azure-workload-identity's programs, which are in Go, have them.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

/// Go's flag package takes `-name=value` for `--name=value`; manifests written for the Go programs rely on it.
pub fn go_style(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => format!("-{text}").into(),
        _ => argument,
    }
}

/// The values of `--log-level`.
///
/// # Errors
/// What would be right.
pub fn log_level(value: &str) -> Result<LevelFilter, String> {
    match value {
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" | "all" => Ok(LevelFilter::TRACE),
        _ => Err(format!("{value:?} is not one of info, debug, trace, all")),
    }
}

/// Whole seconds in a range.
///
/// # Errors
/// What would be right.
pub fn seconds(value: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    let seconds = value.parse().ok().filter(|seconds| range.contains(seconds));
    let (least, most) = range.into_inner();
    let why = || format!("{value:?} is not a number of seconds from {least} to {most}");
    seconds.map(Duration::from_secs).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_as_good_as_two_and_what_is_no_long_flag_stays() {
        for (written, meant) in
            [("-probe", "--probe"), ("--probe", "--probe"), ("-h", "-h"), ("-", "-"), ("a-b", "a-b")]
        {
            assert_eq!(go_style(written.into()), meant);
        }
    }

    #[test]
    fn all_is_everything() {
        assert_eq!(log_level("all"), Ok(LevelFilter::TRACE));
        assert!(log_level("loud").is_err_and(|why| why.contains("info, debug, trace, all")));
    }

    #[test]
    fn seconds_are_whole_and_within_their_range() {
        assert_eq!(seconds("10", 0..=10), Ok(Duration::from_secs(10)));
        for bad in ["11", "-1", "1.5", "1s"] {
            assert!(seconds(bad, 0..=10).is_err_and(|why| why.contains("from 0 to 10")), "{bad}");
        }
    }
}
