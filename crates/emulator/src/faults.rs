//! The fault in force: what the next requests suffer instead of, or besides, their checks.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::entra::aadsts::Aadsts;

/// Whom a request is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// The token endpoint.
    #[default]
    Token,
    /// Microsoft Graph.
    Graph,
    /// Azure Resource Manager.
    Arm,
}

/// Every field is optional; at most one of `status`/`aadsts`, `hang`, `reset` and `garbage`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent fields of a JSON document")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fault {
    /// Whose requests suffer.
    #[serde(skip_serializing_if = "is_token")]
    pub(crate) api: Api,
    /// Before anything else happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<u64>,
    /// HTTP status, 400 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// Seconds, in the header of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u32>,
    /// Number of the error; its usual name, text and status unless `status` says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aadsts: Option<Aadsts>,
    /// Never answers.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) hang: bool,
    /// Ends the connection with RST.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) reset: bool,
    /// Answers 200 with something that is not JSON.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) garbage: bool,
    /// The fault ends after so many requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remaining: Option<u64>,
    /// Seconds, for tokens issued while the fault is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_lifetime: Option<u32>,
    /// Seconds, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_in: Option<u32>,
    /// What is created meanwhile is missed by so many looks at it, of the token endpoint, Graph and Resource Manager
    /// each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replication_lag: Option<u32>,
    /// Only requests of this client are concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// The issuer answers 503, and the token endpoint has forgotten its keys.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) issuer_down: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Fault>);

impl Fault {
    /// What makes it meaningless, naming the fields.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let refusal = self.status.is_some() || self.aadsts.is_some();
        let outcomes = [refusal, self.hang, self.reset, self.garbage];
        if outcomes.iter().filter(|chosen| **chosen).count() > 1 {
            return Some("at most one of status/aadsts, hang, reset and garbage");
        }
        if self.status.is_some_and(|status| !(400..=599).contains(&status)) {
            return Some("status: 400 to 599");
        }
        if self.aadsts.is_some() && self.api != Api::Token {
            return Some("aadsts: only the token endpoint has such codes; give a status");
        }
        if self.retry_after.is_some() && !refusal {
            return Some("retry_after: needs status or aadsts");
        }
        if self.remaining == Some(0) {
            return Some("remaining: at least 1");
        }
        if self.token_lifetime == Some(0) {
            return Some("token_lifetime: at least 1");
        }
        None
    }

    /// The error to answer with instead of checking the request.
    pub(crate) fn refusal(&self) -> Option<Aadsts> {
        self.aadsts.or_else(|| self.status.map(Aadsts::usual_for_status))
    }

    fn concerns(&self, api: Api, client_id: Option<&str>) -> bool {
        api == self.api
            && match (&self.client_id, client_id) {
                (None, _) => true,
                (Some(wanted), Some(client_id)) => wanted.eq_ignore_ascii_case(client_id),
                (Some(_), None) => false,
            }
    }
}

impl Faults {
    pub(crate) fn set(&self, fault: Fault) {
        *self.lock() = fault;
    }

    pub(crate) fn get(&self) -> Fault {
        self.lock().clone()
    }

    /// What a request of this client suffers; counts `remaining` down.
    pub(crate) fn take(&self, api: Api, client_id: Option<&str>) -> Fault {
        let mut current = self.lock();
        if !current.concerns(api, client_id) {
            return Fault::default();
        }
        let fault = current.clone();
        match &mut current.remaining {
            Some(1) => *current = Fault::default(),
            Some(remaining) => *remaining -= 1,
            None => {}
        }
        fault
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_token(api: &Api) -> bool {
    *api == Api::Token
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_ends_after_its_remaining_requests() {
        let faults = Faults::default();
        faults.set(Fault { hang: true, remaining: Some(2), ..Fault::default() });
        assert!(faults.take(Api::Token, None).hang);
        assert!(faults.take(Api::Token, None).hang);
        assert_eq!(faults.take(Api::Token, None), Fault::default());
    }

    #[test]
    fn a_fault_of_one_client_leaves_the_others_alone() {
        let faults = Faults::default();
        faults.set(Fault { hang: true, client_id: Some("a".to_owned()), remaining: Some(1), ..Fault::default() });
        assert!(!faults.take(Api::Token, Some("b")).hang);
        assert!(!faults.take(Api::Token, None).hang);
        assert!(faults.take(Api::Token, Some("A")).hang);
    }

    #[test]
    fn two_outcomes_at_once_are_refused() {
        let fault = Fault { hang: true, status: Some(503), ..Fault::default() };
        assert!(fault.problem().unwrap().starts_with("at most one of"));
    }

    #[test]
    fn a_status_that_is_no_error_is_refused() {
        let fault = Fault { status: Some(200), ..Fault::default() };
        assert!(fault.problem().unwrap().starts_with("status"));
    }

    #[test]
    fn a_bare_429_is_entras_throttling() {
        let fault = Fault { status: Some(429), ..Fault::default() };
        assert_eq!(fault.refusal(), Some(Aadsts(90_055)));
    }
}
