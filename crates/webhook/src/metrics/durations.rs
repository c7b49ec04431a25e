//! How long reviews took, by namespace: the one metric of the Go webhook, with its name, labels and buckets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds.
const BUCKETS: [f64; 32] = [
    0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08,
    0.09, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 2.5, 3.0,
];
/// So many namespaces are told apart. What comes later counts under no name.
const MAX_NAMESPACES: usize = 1000;

type Labels = [(&'static str, Cow<'static, str>); 2];

/// One histogram a namespace.
pub(crate) struct Durations {
    family: Family<Labels, Histogram, fn() -> Histogram>,
    by_namespace: Mutex<HashMap<Box<str>, Histogram>>,
}

impl Durations {
    /// Registers them.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let help = "Distribution of how long it took for the azure-workload-identity mutation request";
        registry.register("azwi_mutation_request", help, family.clone());
        Self { family, by_namespace: Mutex::default() }
    }

    /// One review of a pod in `namespace` has taken so long.
    pub(crate) fn observe(&self, namespace: &str, took: Duration) {
        let mut known = self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = took.as_secs_f64();
        if let Some(histogram) = known.get(namespace) {
            return histogram.observe(seconds);
        }
        let namespace = if known.len() < MAX_NAMESPACES { namespace } else { "" };
        let labels = [("namespace", Cow::Owned(namespace.to_owned())), ("service_name", Cow::Borrowed("webhook"))];
        let histogram = self.family.get_or_create_owned(&labels);
        histogram.observe(seconds);
        known.insert(namespace.into(), histogram);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn text(namespaces: impl IntoIterator<Item = String>) -> String {
        let mut registry = Registry::default();
        let durations = Durations::new(&mut registry);
        namespaces.into_iter().for_each(|name| durations.observe(&name, Duration::from_micros(1500)));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn name_labels_and_buckets_are_those_of_the_go_webhook() {
        let text = text(["demo".to_owned()]);
        for (bound, count) in [("0.001", 0), ("0.002", 1), ("3.0", 1), ("+Inf", 1)] {
            let labels = format!(r#"le="{bound}",namespace="demo",service_name="webhook""#);
            let line = format!("azwi_mutation_request_bucket{{{labels}}} {count}");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
        assert!(text.contains(r#"azwi_mutation_request_count{namespace="demo",service_name="webhook"} 1"#));
    }

    #[test]
    fn made_up_namespaces_take_no_memory_without_end() {
        let text = text((0..3 * MAX_NAMESPACES).map(|number| format!("made-up-{number}")));
        assert_eq!(text.matches("azwi_mutation_request_count").count(), MAX_NAMESPACES + 1);
        assert!(text.contains(r#"_count{namespace="",service_name="webhook"} 2000"#));
    }
}
