//! The alerts and the dashboard in `examples/monitoring/`, and the page about metrics: they speak of what a sidecar
//! really tells, and of nothing else.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::Result;
use azwi_tests::http::METADATA;
use azwi_tests::metrics::{FLAG, Sample, Scrape};
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::{ORPHAN, RESOURCE, Stage};
use serde_json::Value;

/// Labels that Prometheus adds, as `examples/monitoring/prometheus.yaml` tells it to.
const TARGET: [&str; 2] = ["namespace", "pod"];

/// What a sidecar tells after some traffic and some faults.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| samples().unwrap());

fn samples() -> Result<Vec<Sample>> {
    let stage = Stage::with(&[], &[FLAG])?;
    let ask = |resource: &str| stage.proxy.token(&format!("resource=https://{resource}"));
    assert_eq!((stage.token()?.status, stage.token()?.status), (200, 200));
    for (resource, fault) in [
        ("vault.azure.net", r#"{"aadsts":90055,"retry_after":60}"#),
        ("vault.azure.net/", r#"{"status":503,"remaining":1}"#),
        ("storage.azure.com", r#"{"garbage":true,"remaining":1}"#),
        // One is not enough: a connection that was used before may just have grown old, and is tried anew without a word.
        ("storage.azure.com/", r#"{"reset":true,"remaining":3}"#),
        ("graph.microsoft.com", r#"{"aadsts":500011}"#),
    ] {
        stage.entra.faults(fault)?;
        ask(resource)?;
    }
    stage.entra.clear_faults()?;
    assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?.status, 403);
    assert_eq!(stage.proxy.ask("GET", TOKEN, &[METADATA])?.status, 400);
    Ok(Scrape::of(&stage.proxy)?.samples)
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn array<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).unwrap()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&file("examples/monitoring/alerts.yaml")).unwrap();
    array(&rules, "groups").iter().flat_map(|group| array(group, "rules")).cloned().collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&file("examples/monitoring/dashboard.json")).unwrap()
}

/// Every query, of the alerts, of the panels and of the variables.
fn queries() -> Vec<String> {
    let (alerts, dashboard) = (alerts(), dashboard());
    let panels = array(&dashboard, "panels").iter().flat_map(|panel| array(panel, "targets"));
    let variables = array(dashboard.get("templating").unwrap(), "list").iter().map(|variable| text(variable, "/query"));
    let expressions = alerts.iter().chain(panels).map(|query| text(query, "/expr"));
    expressions.chain(variables).map(str::to_owned).collect()
}

/// A metric as a query names it, with what it wants of its labels.
#[derive(Debug)]
struct Selector {
    metric: String,
    matchers: Vec<(String, String)>,
}

fn selectors(query: &str) -> Vec<Selector> {
    query.match_indices("azwi_proxy_").filter_map(|(start, _)| query.get(start..)).map(selector).collect()
}

fn selector(text: &str) -> Selector {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (metric, rest) = text.split_at(end);
    let matchers = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
    let matchers = matchers.split(',').filter(|matcher| !matcher.is_empty()).map(matcher).collect();
    Selector { metric: metric.to_owned(), matchers }
}

/// `label="value"`, whichever operator.
fn matcher(text: &str) -> (String, String) {
    let (label, value) = text.split_once(['=', '!']).unwrap();
    (label.trim().to_owned(), value.trim_matches(['=', '~', '"', ' ']).to_owned())
}

fn of_metric(metric: &str) -> Vec<&'static Sample> {
    SAMPLES.iter().filter(|sample| sample.name == metric).collect()
}

/// Names of labels in `by (…)` and in `{{…}}`.
fn mentioned_labels(text: &str) -> Vec<String> {
    let groups = text.split("by (").skip(1).filter_map(|rest| rest.split(')').next()).flat_map(|list| list.split(','));
    let templates = text.split("{{").skip(1).filter_map(|rest| rest.split('}').next());
    let templates = templates.filter(|template| !template.contains("$value"));
    groups.chain(templates).map(|label| label.trim().trim_start_matches("$labels.").to_owned()).collect()
}

#[test]
fn every_metric_in_a_query_is_one_that_the_sidecar_has() {
    let selectors: Vec<_> = queries().iter().flat_map(|query| selectors(query)).collect();
    assert!(selectors.len() > 30);
    for Selector { metric, .. } in selectors {
        assert!(!of_metric(&metric).is_empty(), "{metric}");
    }
}

#[test]
fn every_label_and_value_in_a_query_is_one_that_the_metric_has() {
    for Selector { metric, matchers } in queries().iter().flat_map(|query| selectors(query)) {
        for (label, value) in matchers.iter().filter(|(label, _)| !TARGET.contains(&label.as_str())) {
            for value in value.split('|') {
                let has = |sample: &&Sample| sample.labels.get(label).is_some_and(|found| found == value);
                assert!(of_metric(&metric).iter().any(has), "{metric}: no {label}={value}");
            }
        }
    }
}

#[test]
fn every_label_that_is_grouped_by_or_shown_is_one_that_there_is() {
    let known: BTreeSet<_> = SAMPLES.iter().flat_map(|sample| sample.labels.keys().map(String::as_str)).collect();
    let alerts: Vec<_> = alerts().iter().map(ToString::to_string).collect();
    let dashboard = dashboard().to_string();
    let labels: Vec<_> = alerts.iter().chain([&dashboard]).flat_map(|text| mentioned_labels(text)).collect();
    assert!(labels.contains(&"aadsts".to_owned()) && labels.contains(&"pod".to_owned()), "{labels:?}");
    for label in labels {
        assert!(known.contains(label.as_str()) || TARGET.contains(&label.as_str()), "{label}");
    }
}

#[test]
fn every_alert_says_whom_it_concerns_how_grave_it_is_and_what_to_do() {
    let alerts = alerts();
    let names: BTreeSet<_> = alerts.iter().map(|alert| text(alert, "/alert")).collect();
    assert_eq!(names.len(), alerts.len());
    for alert in &alerts {
        let name = text(alert, "/alert");
        assert!(["critical", "warning", "info"].contains(&text(alert, "/labels/severity")), "{name}");
        assert!(text(alert, "/annotations/summary").contains("{{"), "{name}");
        assert!(text(alert, "/annotations/description").len() > 60, "{name}");
    }
}

#[test]
fn the_scraper_looks_for_the_container_and_the_port_that_the_instructions_give_and_adds_the_labels() {
    let config: Value = serde_saphyr::from_str(&file("examples/monitoring/prometheus.yaml")).unwrap();
    let [job] = array(&config, "scrape_configs") else { panic!("{config}") };
    let relabelings = array(job, "relabel_configs");
    assert_eq!(text(&relabelings[0], "/regex"), "azwi-proxy;metrics");
    let added: Vec<_> = relabelings.iter().map(|rule| text(rule, "/target_label")).filter(|l| !l.is_empty()).collect();
    assert_eq!(added, TARGET);
    assert!(file("examples/monitoring/README.md").contains("- name: metrics\n    containerPort: 9090"));
}

#[test]
fn the_page_about_metrics_knows_every_metric_and_every_value_of_a_label() {
    let page = file("docs/metrics.md");
    for sample in SAMPLES.iter() {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| sample.name.strip_suffix(suffix));
        let family = family.unwrap_or(&sample.name);
        assert!(page.contains(&format!("| `{family}` |")), "{family}");
        for label in ["outcome", "result"] {
            let value = sample.labels.get(label);
            assert!(value.is_none_or(|value| page.contains(&format!("\n| `{value}` |"))), "{value:?}");
        }
    }
}

#[test]
fn the_page_about_metrics_speaks_of_no_other_metric() {
    let page = file("docs/metrics.md");
    for Selector { metric, .. } in selectors(&page) {
        let has = |suffix| !of_metric(&format!("{metric}{suffix}")).is_empty();
        assert!(["", "_bucket"].into_iter().any(has), "{metric}");
    }
}
