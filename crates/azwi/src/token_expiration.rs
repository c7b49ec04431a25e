//! The lifetime of service account tokens, as azure-workload-identity's `azwi` takes it: Go's way to write a duration.

use azwi_conventions::{MAX_TOKEN_EXPIRATION, MIN_TOKEN_EXPIRATION};

/// In whole hours, minutes and seconds, such as `2h30m`; in seconds.
///
/// # Errors
/// It is none, or none that the webhook takes.
pub(crate) fn parse(text: &str) -> Result<u32, String> {
    let seconds = sum(text).filter(|seconds| (MIN_TOKEN_EXPIRATION..=MAX_TOKEN_EXPIRATION).contains(seconds));
    seconds.ok_or_else(|| format!("{text:?} is not a duration from 1h to 24h, such as 2h30m"))
}

fn sum(text: &str) -> Option<u32> {
    let (mut rest, mut sum) = (text, 0_u32);
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let unit = match after.chars().next()? {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        sum = number.parse::<u32>().ok()?.checked_mul(unit)?.checked_add(sum)?;
        rest = after.get(1..)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_of_hours_minutes_and_seconds() {
        for (text, seconds) in [("1h", 3600), ("24h0m", 86_400), ("90m1s", 5401), ("1h30m15s", 5415)] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn one_that_the_webhook_would_refuse_is_refused() {
        for bad in ["", "59m", "24h1s", "25h", "1d", "h", "3600", "-1h", "1.5h", "99999999999h", "1h "] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
