//! Token exchanges: how many, how long, and what Entra said.

use std::borrow::Cow;
use std::time::Duration;

use azwi_entra::{AccessToken, Class, ExchangeError, Refusal};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds in seconds. A healthy Entra takes 0.1 to 0.5; the sidecar gives it 3.5 at first, 10 later.
const BUCKETS: [f64; 9] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8];

/// Result and AADSTS code.
type Labels = [(&'static str, Cow<'static, str>); 2];

/// Each try at Entra, whatever caused it.
pub(crate) struct Exchanges {
    in_flight: Gauge,
    duration: Histogram,
    results: Family<Labels, Counter>,
}

impl Exchanges {
    /// Registers them.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new = Self { in_flight: Gauge::default(), duration: Histogram::new(BUCKETS), results: Family::default() };
        registry.register("exchanges_in_flight", "Token exchanges under way", new.in_flight.clone());
        let help = "How long token exchanges took, failed ones included";
        registry.register_with_unit("exchange_duration", help, Unit::Seconds, new.duration.clone());
        let help = "Token exchanges by result and AADSTS code";
        registry.register("exchanges", help, new.results.clone());
        // There from the start, so that the first one is an increase too.
        drop(new.results.get_or_create_owned(&labels("success", "none")));
        new
    }

    /// One has begun; it ends with [`Self::end`].
    pub(crate) fn begin(&self) {
        self.in_flight.inc();
    }

    /// One has ended.
    pub(crate) fn end(&self, result: &Result<AccessToken, ExchangeError>, took: Duration) {
        self.in_flight.dec();
        self.duration.observe(took.as_secs_f64());
        let labels = match result {
            Ok(_) => labels("success", "none"),
            Err(ExchangeError::Refused(refusal)) => labels(class(refusal.class()), code(refusal)),
            Err(ExchangeError::Transport { .. }) => labels("no_answer", "none"),
            Err(ExchangeError::Malformed(_)) => labels("malformed_answer", "none"),
        };
        self.results.get_or_create_owned(&labels).inc();
    }
}

fn labels(result: &'static str, aadsts: impl Into<Cow<'static, str>>) -> Labels {
    [("result", result.into()), ("aadsts", aadsts.into())]
}

/// Only codes that the taxonomy knows: an authority may invent others without end.
fn code(refusal: &Refusal) -> Cow<'static, str> {
    match refusal.error_codes.first() {
        Some(&code) if azwi_entra::is_known(code) => code.to_string().into(),
        Some(_) => "other".into(),
        None => "none".into(),
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Permanent => "permanent",
        Class::Propagating => "propagating",
        Class::Request => "request",
        Class::StaleAssertion => "stale_assertion",
        Class::MalformedAssertion => "malformed_assertion",
        Class::Issuer => "issuer",
        Class::Transient => "transient",
        Class::Throttled => "throttled",
    }
}
