//! All metrics as text: those that were counted, and those that are read at this moment.
//!
//! What is not known is left out; a zero would say something else.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Metrics, PREFIX};
use crate::cache::TokenCache;
use crate::service::App;

/// Renders `metrics`, and what `app` is like now, in the text format of `OpenMetrics` 1.0.
pub(super) fn render(metrics: &Metrics, app: &App) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, &metrics.registry)?;
    encode_registry(&mut text, &moment(app))?;
    encode_eof(&mut text)?;
    Ok(text)
}

fn moment(app: &App) -> Registry {
    let now = app.clock.now().unix;
    let mut gauges = Gauges(Registry::with_prefix(PREFIX));
    gauges.flag("ready", "Whether tokens can be asked for, as /readyz says", app.readiness.reasons(now).is_empty());
    if let Some(reachable) = app.concerns.authority.is_reachable() {
        gauges.flag("authority_reachable", "Whether Entra answered when it was last asked, in whatever way", reachable);
    }
    if let Some(claims) = app.readiness.claims() {
        let left = i64::try_from(claims.exp).unwrap_or(i64::MAX).saturating_sub_unsigned(now);
        gauges.seconds("assertion_expiry", "Until the service account token expires", left);
        let help = "Whether the service account token is meant for another audience than Entra's usual one";
        gauges.flag("assertion_audience_unexpected", help, app.concerns.audience.is_unexpected(&claims));
    }
    if let Some(tokens) = &app.tokens {
        gauges.tokens(tokens);
    }
    gauges.0
}

struct Gauges(Registry);

impl Gauges {
    fn tokens(&mut self, tokens: &TokenCache) {
        let mut cached = 0_u64;
        let mut earliest: Option<Duration> = None;
        for slot in tokens.slots() {
            cached += u64::from(slot.is_filled());
            earliest = [earliest, slot.expires_in()].into_iter().flatten().min();
        }
        self.0.register("cached_tokens", "Tokens that can be handed out", ConstGauge::new(cached));
        if let Some(left) = earliest {
            let help = "Until the first of the tokens in use expires; 0 if one has, and no other could be fetched";
            self.seconds("token_expiry", help, left.as_secs());
        }
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) {
        self.0.register(name, help, ConstGauge::new(u64::from(value)));
    }

    fn seconds<N>(&mut self, name: &str, help: &str, value: N)
    where
        N: EncodeGaugeValue + fmt::Debug + Send + Sync + 'static,
        ConstGauge<N>: EncodeMetric,
    {
        self.0.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(value));
    }
}
