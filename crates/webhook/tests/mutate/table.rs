//! The table in `docs/annotations.md` says what the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use azwi_conventions::{DEFAULT_PROXY_PORT, DEFAULT_TOKEN_EXPIRATION, annotation};
use azwi_webhook::mutate::{CaSource, ServiceAccount, Settings};
use serde_json::{Value, json};

use super::stage::{self, review};

/// One line of the table: key, where it stands, values, default, effect, what a bad one says.
struct Row(Vec<String>);

impl Row {
    fn key(&self) -> &str {
        self.0[0].split('`').nth(1).unwrap()
    }

    fn default(&self) -> &str {
        &self.0[3]
    }

    /// What is told of a bad value, and that value.
    fn complaint(&self) -> Option<(&str, &str)> {
        let complaint = self.0[5].split('`').find(|part| part.starts_with("annotation "))?;
        let (_, rest) = complaint.split_once(" is \"")?;
        Some((complaint, rest.split_once('"')?.0))
    }

    fn is_of_service_account(&self) -> bool {
        self.0[1].contains("service account")
    }
}

fn root(file: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn table() -> Result<Vec<Row>> {
    let page = root("docs/annotations.md")?;
    let lines = page.lines().filter(|line| line.starts_with("| `azure.workload.identity/"));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    Ok(lines.map(|line| Row(cells(line))).collect())
}

fn row(key: &str) -> Result<Row> {
    table()?.into_iter().find(|row| row.key() == key).with_context(|| format!("{key} is not in the table"))
}

#[test]
fn every_label_and_annotation_is_in_the_table_once_and_no_other() -> Result<()> {
    let source = root("crates/conventions/src/lib.rs")?;
    let values = source.lines().filter_map(|line| line.split_once("&str = \"")?.1.strip_suffix("\";"));
    let keys = values.filter(|value| value.starts_with(annotation::PREFIX) && *value != annotation::PREFIX);
    // The cluster's operator gives that one its end.
    let known: BTreeSet<_> = keys.map(str::to_owned).chain(["azure.workload.identity/use-SUFFIX".to_owned()]).collect();
    let rows = table()?;
    assert_eq!(rows.iter().map(|row| row.key().to_owned()).collect::<BTreeSet<_>>(), known);
    assert_eq!(rows.len(), known.len());
    Ok(())
}

#[test]
fn every_row_has_all_its_cells() -> Result<()> {
    for row in table()? {
        assert_eq!(row.0.len(), 6, "{}", row.key());
        assert!(row.0.iter().all(|cell| !cell.is_empty()), "{}", row.key());
    }
    Ok(())
}

#[test]
fn the_defaults_are_those_of_the_code() -> Result<()> {
    assert_eq!(row(annotation::PROXY_SIDECAR_PORT)?.default(), DEFAULT_PROXY_PORT.to_string());
    assert_eq!(row(annotation::SERVICE_ACCOUNT_TOKEN_EXPIRATION)?.default(), DEFAULT_TOKEN_EXPIRATION.to_string());
    Ok(())
}

#[test]
fn a_bad_value_says_what_the_table_says() -> Result<()> {
    let mut tried = 0;
    for row in table()? {
        let Some((complaint, value)) = row.complaint() else { continue };
        tried += 1;
        assert_eq!(told(&row, value), complaint, "{}", row.key());
    }
    assert_eq!(tried, 10);
    Ok(())
}

#[test]
fn the_annotation_of_a_token_endpoint_says_what_the_table_says() -> Result<()> {
    let row = row("azure.workload.identity/use-SUFFIX")?;
    let settings = Settings { token_endpoint: Some(stage::token_endpoint(CaSource::None)), ..stage::settings() };
    let pod = pod(&[("azure.workload.identity/use-identity-binding", "yes")]);
    let warning = review(&pod, &stage::account(), &settings)?.warnings.concat();
    assert!(row.0[5].contains(&warning.replace("use-identity-binding", "use-SUFFIX")), "{warning}");
    Ok(())
}

fn pod(annotations: &[(&str, &str)]) -> Value {
    let annotations: Value = annotations.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "app"}]}})
}

/// The denial or the warning of a pod with a sidecar that has that value where it belongs.
fn told(row: &Row, value: &str) -> String {
    let sidecar = (annotation::INJECT_PROXY_SIDECAR, "true");
    let (pod, account) = if row.is_of_service_account() {
        (pod(&[sidecar]), account_with(row.key(), value))
    } else {
        (pod(&[sidecar, (row.key(), value)]), stage::account())
    };
    review(&pod, &account, &stage::settings()).map_or_else(|denial| denial.0, |mutation| mutation.warnings.join("\n"))
}

fn account_with(key: &str, value: &str) -> ServiceAccount {
    let mut account = stage::account();
    let field = match key {
        annotation::CLIENT_ID => &mut account.client_id,
        annotation::TENANT_ID => &mut account.tenant_id,
        annotation::IDENTITY_MAP => &mut account.identity_map,
        _ => &mut account.token_expiration,
    };
    *field = Some(value.into());
    account
}
