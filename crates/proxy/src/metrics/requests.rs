//! Requests by outcome. Probes are not among them, nor is who went away before the answer.
//!
//! The counters are looked up once, so that a cached answer costs one relaxed increment.

use azwi_imds::{Failure, FailureStatus, Rejection};
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One counter for each value of the label `outcome`.
pub(crate) struct Requests {
    /// A token from memory.
    pub cached: Counter,
    /// A token that was waited for.
    fetched: Counter,
    /// Refused before anybody was asked.
    refused_request: Counter,
    /// No such path.
    not_found: Counter,
    /// The pod lacks what an exchange needs.
    pub misconfigured: Counter,
    /// Entra's final no: 400 or 403.
    refused_by_entra: Counter,
    /// 429.
    throttled: Counter,
    /// 503: Entra, the way to it or the service account token is missing.
    unavailable: Counter,
    /// Which tenant it is.
    pub identity_info: Counter,
    /// Answered by the real metadata service.
    passthrough: Counter,
    /// Meant for it, but it could not be asked.
    pub passthrough_failed: Counter,
    /// Meant for it, but that way is closed.
    pub passthrough_blocked: Counter,
}

impl Requests {
    /// Registers all outcomes, so that each is there from the start.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<[(&str, &str); 1], Counter>::default();
        registry.register("requests", "Requests of apps by outcome", family.clone());
        let outcome = |name| family.get_or_create_owned(&[("outcome", name)]);
        Self {
            cached: outcome("cached"),
            fetched: outcome("fetched"),
            refused_request: outcome("refused_request"),
            not_found: outcome("not_found"),
            misconfigured: outcome("misconfigured"),
            refused_by_entra: outcome("refused_by_entra"),
            throttled: outcome("throttled"),
            unavailable: outcome("unavailable"),
            identity_info: outcome("identity_info"),
            passthrough: outcome("passthrough"),
            passthrough_failed: outcome("passthrough_failed"),
            passthrough_blocked: outcome("passthrough_blocked"),
        }
    }

    /// The counter of a request that was at fault itself.
    pub(crate) fn rejected(&self, rejection: Rejection) -> &Counter {
        if rejection.status() == StatusCode::NOT_FOUND { &self.not_found } else { &self.refused_request }
    }

    /// The counter of a token that was waited for.
    pub(crate) fn waited<T>(&self, outcome: &Result<T, Box<Failure>>) -> &Counter {
        match outcome.as_ref().map_err(|failure| failure.status) {
            Ok(_) => &self.fetched,
            Err(FailureStatus::BadRequest | FailureStatus::Forbidden) => &self.refused_by_entra,
            Err(FailureStatus::TooManyRequests { .. }) => &self.throttled,
            Err(FailureStatus::Unavailable { .. }) => &self.unavailable,
        }
    }

    /// The counter of what only the real metadata service can answer.
    pub(crate) fn passed_through<T, E>(&self, result: &Result<T, E>) -> &Counter {
        if result.is_ok() { &self.passthrough } else { &self.passthrough_failed }
    }
}
