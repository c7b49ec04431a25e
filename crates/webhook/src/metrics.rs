//! What an operator sees from outside: counted where it happens, or read when somebody asks.
//!
//! Every label but the namespace has a closed set of values, and of namespaces only so many are told apart, since whoever
//! reaches the webhook may make some up.

mod durations;
mod exposition;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use self::durations::Durations;
pub(crate) use self::exposition::Moment;

/// What every name of ours begins with; the Go webhook's metric keeps its own.
const PREFIX: &str = "azwi_webhook";

/// What is counted as it happens.
pub(crate) struct Metrics {
    registry: Registry,
    /// How long reviews took.
    pub durations: Durations,
    /// What became of them.
    pub reviews: Reviews,
    /// Where the service account's annotations came from.
    pub lookups: Lookups,
}

/// Reviews by result.
pub(crate) struct Reviews {
    /// The pod was changed.
    pub patched: Counter,
    /// There was nothing to change.
    pub unchanged: Counter,
    /// What the pod or its service account says makes no sense.
    pub denied: Counter,
    /// There is no such service account.
    pub no_service_account: Counter,
    /// Our fault, or the API server's.
    pub failed: Counter,
    /// It was no review of a pod.
    pub invalid: Counter,
}

/// Lookups of service accounts by result.
pub(crate) struct Lookups {
    /// Known.
    pub memory: Counter,
    /// Asked for.
    pub cluster: Counter,
    /// Not there.
    pub not_found: Counter,
    /// Cannot be told.
    pub unavailable: Counter,
}

impl Metrics {
    /// All zero. `started` is when the process did so, in seconds since the epoch.
    pub(crate) fn new(started: i64) -> Self {
        let mut registry = Registry::default();
        let durations = Durations::new(&mut registry);
        let ours = registry.sub_registry_with_prefix(PREFIX);
        let build = Family::<[(&str, &str); 2], Gauge>::default();
        build.get_or_create_owned(&[("version", env!("CARGO_PKG_VERSION")), ("commit", env!("AZWI_COMMIT"))]).set(1);
        ours.register("build_info", "What this webhook was built from", build);
        let start = ConstGauge::new(started);
        ours.register_with_unit("start_time", "When the process started, since the epoch", Unit::Seconds, start);
        let reviews = Reviews::new(ours);
        let lookups = Lookups::new(ours);
        Self { registry, durations, reviews, lookups }
    }
}

impl Reviews {
    /// Registers all results, so that each is there from the start.
    fn new(registry: &mut Registry) -> Self {
        let family = Family::<[(&str, &str); 1], Counter>::default();
        registry.register("reviews", "Admission reviews by result", family.clone());
        let result = |name| family.get_or_create_owned(&[("result", name)]);
        Self {
            patched: result("patched"),
            unchanged: result("unchanged"),
            denied: result("denied"),
            no_service_account: result("no_service_account"),
            failed: result("failed"),
            invalid: result("invalid"),
        }
    }
}

impl Lookups {
    /// As [`Reviews::new`].
    fn new(registry: &mut Registry) -> Self {
        let family = Family::<[(&str, &str); 1], Counter>::default();
        registry.register("service_account_lookups", "Lookups of service accounts by result", family.clone());
        let result = |name| family.get_or_create_owned(&[("result", name)]);
        Self {
            memory: result("memory"),
            cluster: result("cluster"),
            not_found: result("not_found"),
            unavailable: result("unavailable"),
        }
    }
}
