//! Why a pod is refused, in the words that `kubectl` shows.

use std::fmt::{self, Display};

/// Longest part of a value that is repeated to whoever wrote it, in characters.
const SHOWN: usize = 80;

/// Why a pod is refused: the text that a user sees, which belongs to status 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denial(pub String);

impl From<serde_json::Error> for Denial {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("the pod cannot be read: {error}"))
    }
}

/// Who has an annotation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    Pod,
    ServiceAccount,
}

impl Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "pod",
            Self::ServiceAccount => "service account",
        })
    }
}

/// A value that an annotation cannot have. `must_be` says what it can.
pub(super) fn bad_value(owner: Owner, annotation: &str, value: &str, must_be: impl Display) -> Denial {
    Denial(format!("annotation {annotation} of the {owner} is {}: must be {must_be}", Quoted(value)))
}

/// A value in quotes, on one line and not too long.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_annotation_owner_value_and_what_it_can_be() {
        let denial = bad_value(Owner::Pod, "azure.workload.identity/x", "a\nb", "c");
        assert_eq!(denial.0, r#"annotation azure.workload.identity/x of the pod is "a\nb": must be c"#);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(Quoted(&"ä".repeat(81)).to_string(), format!("\"{}\"…", "ä".repeat(80)));
    }
}
