//! What an operator sees from outside: counted where it happens, or read when somebody asks.
//!
//! Every label has a closed set of values, none of which comes from a request: no token, no identity, no resource.

mod exchanges;
mod exposition;
mod requests;
mod server;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use self::exchanges::Exchanges;
pub(crate) use self::requests::Requests;
pub(crate) use self::server::serve;

/// What every name begins with.
const PREFIX: &str = "azwi_proxy";

/// What is counted as it happens.
pub(crate) struct Metrics {
    registry: Registry,
    /// What apps asked for, and what became of it.
    pub requests: Requests,
    /// What Entra was asked for.
    pub exchanges: Exchanges,
}

impl Metrics {
    /// All zero. `started` is when the process did so, in seconds since the epoch.
    pub(crate) fn new(started: u64) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        // A gauge, since the older text format does not know the type `info`.
        let build = Family::<[(&str, &str); 2], Gauge>::default();
        build.get_or_create_owned(&[("version", env!("CARGO_PKG_VERSION")), ("commit", env!("AZWI_COMMIT"))]).set(1);
        registry.register("build_info", "What this sidecar was built from", build);
        let start = ConstGauge::new(started);
        registry.register_with_unit("start_time", "When the process started, since the epoch", Unit::Seconds, start);
        let requests = Requests::new(&mut registry);
        let exchanges = Exchanges::new(&mut registry);
        Self { registry, requests, exchanges }
    }
}
