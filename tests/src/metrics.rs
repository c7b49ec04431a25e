//! What a Prometheus would see of a sidecar that serves metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

use crate::http::{Connection, Response};
use crate::proxy::Proxy;

/// For a sidecar that is to serve metrics on a free port of loopback.
pub const FLAG: &str = "--metrics-addr=127.0.0.1:0";

/// One line: a name, labels, a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With its suffix, e.g. `_total`.
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// As it was at the scrape.
    pub value: f64,
}

/// All samples of one scrape.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// As it came.
    pub text: String,
    /// In the order in which they came.
    pub samples: Vec<Sample>,
}

impl Scrape {
    /// Asks `proxy`, which was started with [`FLAG`].
    ///
    /// # Errors
    /// If it does not serve metrics, or what comes is not the text format.
    pub fn of(proxy: &Proxy) -> anyhow::Result<Self> {
        let response = ask(proxy, "GET", "/metrics", &[])?;
        ensure!(response.status == 200, "{}", response.status_line());
        Self::parse(response.body)
    }

    fn parse(text: String) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| format!("no sample: {line:?}")));
        Ok(Self { samples: samples.collect::<Result<_, _>>()?, text })
    }

    /// The value of the first sample of `name` that has all of `labels`.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has =
            |sample: &Sample| labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value));
        self.samples.iter().find(|sample| sample.name == name && has(sample)).map(|sample| sample.value)
    }

    /// How many requests had that outcome.
    pub fn requests(&self, outcome: &str) -> Option<f64> {
        self.value("azwi_proxy_requests_total", &[("outcome", outcome)])
    }

    /// How many exchanges had that result.
    pub fn exchanges(&self, result: &str, aadsts: &str) -> Option<f64> {
        self.value("azwi_proxy_exchanges_total", &[("result", result), ("aadsts", aadsts)])
    }
}

/// Where `proxy` serves metrics, as its log says.
///
/// # Errors
/// If it does not.
pub fn address(proxy: &Proxy) -> anyhow::Result<SocketAddr> {
    let line = proxy.log.wait_for(&[("message", "serving metrics")]).context("it serves no metrics")?;
    let address = line.get("address").and_then(|address| address.as_str()).context("no address")?;
    Ok(address.parse()?)
}

/// Any request to the port for metrics.
///
/// # Errors
/// If there is no answer.
pub fn ask(proxy: &Proxy, method: &str, target: &str, headers: &[&str]) -> anyhow::Result<Response> {
    let mut connection = Connection::to(address(proxy)?)?;
    connection.request(method, target, headers)?;
    connection.response()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, self::labels(labels.strip_suffix('}')?)?),
        None => (series, BTreeMap::new()),
    };
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// No value of ours holds a comma.
fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let label = |label: &str| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
    };
    text.split(',').map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_taken_apart() {
        let text = "# TYPE a counter\na_total{x=\"1\",y=\"z\"} 3\nb -2.5\n# EOF\n";
        let scrape = Scrape::parse(text.to_owned()).unwrap();
        assert_eq!(scrape.value("a_total", &[("y", "z")]), Some(3.0));
        assert_eq!(scrape.value("a_total", &[("y", "other")]), None);
        assert_eq!(scrape.value("b", &[]), Some(-2.5));
    }

    #[test]
    fn what_is_no_sample_is_an_error() {
        for text in ["a", "a{x=1} 1", "a b"] {
            assert!(Scrape::parse(text.to_owned()).is_err(), "{text}");
        }
    }
}
