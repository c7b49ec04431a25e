//! One link of the chain: whether it holds, by what one sees that, and what to do.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Of which pod, workload or file.
    pub(crate) subject: String,
    /// What was looked at.
    pub(crate) name: &'static str,
    pub(crate) holds: bool,
    pub(crate) evidence: String,
    /// Only where it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    pub(crate) fn holds(subject: &str, name: &'static str, evidence: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), name, holds: true, evidence: evidence.into(), fix: None }
    }

    pub(crate) fn fails(
        subject: &str,
        name: &'static str,
        evidence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (evidence, fix) = (evidence.into(), Some(fix.into()));
        Self { subject: subject.to_owned(), name, holds: false, evidence, fix }
    }
}
