//! A string that must not be seen: assertions and access tokens.
//!
//! Refuses to be printed; the one way out is [`Secret::expose`], which is easy to search for.

use std::fmt;

/// An assertion or an access token. `Debug` and `Display` print `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a string out of sight.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_redacted_however_it_is_printed() {
        let secret = Secret::new("eyJhbGciOi");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
    }
}
