//! All metrics as text: those that were counted, and those that are read at this moment.

use std::fmt;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Metrics, PREFIX};

/// What is read when somebody asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// As `/readyz` says.
    pub is_ready: bool,
    /// Service accounts with annotations of ours.
    pub annotated_accounts: usize,
    /// Until the certificate expires, in seconds, if there is one.
    pub certificate_expiry: Option<i64>,
}

impl Metrics {
    /// Renders them.
    pub(crate) fn render(&self, moment: Moment) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &gauges(moment))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn gauges(moment: Moment) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let ready = ConstGauge::new(u64::from(moment.is_ready));
    registry.register("ready", "Whether reviews can be answered, as /readyz says", ready);
    let accounts = ConstGauge::new(u64::try_from(moment.annotated_accounts).unwrap_or(u64::MAX));
    registry.register("annotated_service_accounts", "Service accounts with annotations of ours", accounts);
    if let Some(left) = moment.certificate_expiry {
        let help = "Until the certificate expires that is served";
        registry.register_with_unit("certificate_expiry", help, Unit::Seconds, ConstGauge::new(left));
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_in_the_documentation() {
        let metrics = Metrics::new(1_700_000_000);
        metrics.durations.observe("demo", std::time::Duration::from_millis(1));
        let moment = Moment { is_ready: true, annotated_accounts: 3, certificate_expiry: Some(60) };
        let text = metrics.render(moment).unwrap();
        let page = include_str!("../../../../docs/operations.md");
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let written = |name: &str, kind: &str| {
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            page.contains(&format!("| `{name}` | {kind} |"))
        };
        let missing: Vec<_> = names.clone().filter(|(name, kind)| !written(name, kind)).collect();
        assert!(names.count() == 8 && missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let moment = Moment { is_ready: false, annotated_accounts: 0, certificate_expiry: None };
        let text = Metrics::new(0).render(moment).unwrap();
        assert!(text.contains("azwi_webhook_ready 0") && !text.contains("certificate_expiry"));
        assert!(text.ends_with("# EOF\n"));
    }
}
