//! Reads JSON that others wrote: what is missing is null or an error, never a panic.

use anyhow::Context as _;
use serde_json::Value;

static NULL: Value = Value::Null;

pub(crate) fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&NULL)
}

/// A field that must be there and be a text.
pub(crate) fn text_field(object: &Value, name: &str) -> anyhow::Result<String> {
    field(object, name).as_str().map(str::to_owned).with_context(|| format!("no {name:?} in {object}"))
}

/// Without JSON's quotes and brackets where there is one text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_audience_of_one_reads_as_text() {
        assert_eq!(plain(&json!(["api://AzureADTokenExchange"])), "api://AzureADTokenExchange");
    }

    #[test]
    fn a_missing_field_is_named_together_with_what_was_there() {
        let error = text_field(&json!({"a": 1}), "b").unwrap_err().to_string();
        assert_eq!(error, r#"no "b" in {"a":1}"#);
    }
}
