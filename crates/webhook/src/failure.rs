//! How an error of a library is told: with its causes, in one line, as a user can read it.

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

/// What the API server said, or why it could not be asked.
pub(crate) fn of_cluster(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn of_an_answer_of_the_api_server_its_message_is_told() {
        let status = kube::core::Status::failure("secrets is forbidden", "Forbidden").with_code(403);
        assert_eq!(of_cluster(&kube::Error::Api(Box::new(status))), "secrets is forbidden");
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let cause = Layer("no route", Some(Box::new(Layer("a to b", None))));
        assert_eq!(
            chain(&Layer("cannot connect: no route", Some(Box::new(cause)))),
            "cannot connect: no route: a to b"
        );
    }
}
