//! How an error of a library is told: with its causes, in one line.

use std::error::Error;

/// `error` and what caused it, unless that says no more.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let cause = Layer("no route", Some(Box::new(Layer("a to b", None))));
        assert_eq!(
            chain(&Layer("cannot connect: no route", Some(Box::new(cause)))),
            "cannot connect: no route: a to b"
        );
    }
}
