//! Compute resources of the containers that are added.

use std::collections::BTreeMap;

use azwi_conventions::annotation::PROXY_RESOURCES;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Denial;
use super::annotations::Annotations;
use super::denial::{Owner, bad_value};

/// What a namespace with a quota asks of every container. No limit of CPU: a throttled sidecar makes every app wait.
const DEFAULT: &str = r#"{"requests":{"cpu":"10m","memory":"32Mi"},"limits":{"memory":"64Mi"}}"#;

/// The suffixes of a quantity, as Kubernetes has them.
const SUFFIXES: [&str; 15] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n", "u", "m", "k", "M", "G", "T", "P", "E"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Resources {
    requests: Option<BTreeMap<String, Value>>,
    limits: Option<BTreeMap<String, Value>>,
}

/// Those of a pod's annotation, as they stand there.
///
/// # Errors
/// They are none that a container can have, as far as this shows in one amount by itself; whether a request is within
/// its limit the API server says better.
pub(super) fn read<'a>(annotations: &'a Annotations<'_>) -> Result<&'a RawValue, Denial> {
    let Some(value) = annotations.get(PROXY_RESOURCES) else { return Ok(serde_json::from_str(DEFAULT)?) };
    check(value).map_err(|why| {
        let must_be = r#"JSON like {"requests":{"cpu":"10m","memory":"32Mi"},"limits":{"memory":"64Mi"}}"#;
        bad_value(Owner::Pod, PROXY_RESOURCES, value, format_args!("{must_be}: {why}"))
    })
}

fn check(value: &str) -> Result<&RawValue, String> {
    let resources: Resources = serde_json::from_str(value).map_err(|error| error.to_string())?;
    let amounts = resources.requests.iter().chain(&resources.limits).flatten();
    for (name, amount) in amounts {
        if !is_amount(amount) {
            return Err(format!("{name} is {amount}, which is no quantity"));
        }
    }
    serde_json::from_str(value).map_err(|error| error.to_string())
}

fn is_amount(value: &Value) -> bool {
    match value {
        Value::String(text) => is_quantity(text),
        Value::Number(number) => is_quantity(&number.to_string()),
        _ => false,
    }
}

/// A number of the quantity syntax of Kubernetes' `resource.Quantity`, without a sign: no resource can be less than none.
fn is_quantity(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i8>().is_ok());
    is_number && (suffix.is_empty() || SUFFIXES.contains(&suffix) || is_exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_a_number_with_a_suffix_or_an_exponent() {
        for good in ["0", "1", "0.5", ".5", "1.", "10m", "32Mi", "1E", "1e3", "1E-3", "100n"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", ".", "m", "-1", "1.2.3", "1 Mi", "1mi", "1MB", "1e", "1e999", "half"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_the_default_could_be_asked_for() {
        assert_eq!(check(DEFAULT).unwrap().get(), DEFAULT);
    }

    #[test]
    fn amounts_are_strings_or_numbers() {
        assert!(check(r#"{"limits":{"cpu":1,"memory":"64Mi","example.com/gpu":0.5}}"#).is_ok());
        for bad in [r#"{"limits":{"cpu":null}}"#, r#"{"limits":{"cpu":true}}"#, r#"{"limits":{"cpu":-1}}"#] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_are_requests_and_limits_and_nothing_else() {
        for bad in ["", "[]", "7", r#"{"cpu":"1"}"#, r#"{"limits":"1"}"#, r#"{"limits":{},"limits":{}}"#] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check("{}").is_ok());
    }
}
