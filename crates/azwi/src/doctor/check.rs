//! One link of the chain: whether it holds, by what one sees that, and what to do.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Of which pod, workload, service account or file.
    pub(crate) subject: String,
    /// What was looked at.
    pub(crate) name: &'static str,
    /// None where nobody could look; the evidence says why.
    pub(crate) holds: Option<bool>,
    pub(crate) evidence: String,
    /// Only where it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    pub(crate) fn holds(subject: &str, name: &'static str, evidence: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), name, holds: Some(true), evidence: evidence.into(), fix: None }
    }

    pub(crate) fn fails(
        subject: &str,
        name: &'static str,
        evidence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (evidence, fix) = (evidence.into(), Some(fix.into()));
        Self { subject: subject.to_owned(), name, holds: Some(false), evidence, fix }
    }

    pub(crate) fn unknown(subject: &str, name: &'static str, why: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), name, holds: None, evidence: why.into(), fix: None }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.holds == Some(false)
    }
}
