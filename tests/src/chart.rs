//! What is made of the chart: the table of its values, and the manifest for those who have no helm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cluster::{program, run};

/// Where releases are by custom, and where the plain manifest puts everything.
pub const NAMESPACE: &str = "azure-workload-identity-system";

/// The table stands between them.
const VALUES: [&str; 2] = ["<!-- values -->\n", "<!-- /values -->\n"];

/// Pods there must not ask for more than the webhook does.
const NAMESPACE_OBJECT: &str = r#"apiVersion: v1
kind: Namespace
metadata:
  name: azure-workload-identity-system
  labels:
    azure-workload-identity.io/system: "true"
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/audit-version: latest
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: latest
    pod-security.kubernetes.io/warn: restricted
    pod-security.kubernetes.io/warn-version: latest
"#;

const HEAD: &str = "\
# Made of charts/workload-identity-webhook by `cargo xtask chart`. Put in AZURE_TENANT_ID, AZURE_ENVIRONMENT and the names
# of your images, as docs/install-webhook.md says.
";

/// One of the chart's values.
#[derive(Debug, PartialEq, Eq)]
pub struct Documented {
    /// E.g. `image.repository`.
    pub name: String,
    /// As YAML in one line, if it fits there.
    pub default: String,
    /// What it does.
    pub meaning: String,
}

/// The chart's directory.
pub fn directory() -> PathBuf {
    root().join("charts/workload-identity-webhook")
}

/// The manifest for those who have no helm.
pub fn manifest_file() -> PathBuf {
    root().join("deploy/azure-wi-webhook.yaml")
}

/// The page with the table of values.
pub fn readme_file() -> PathBuf {
    directory().join("README.md")
}

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Renders the chart with these arguments for helm; nothing but helm is asked.
///
/// # Errors
/// If helm is not there, or refuses: the error is what the user is told.
pub fn template(arguments: &[&str]) -> anyhow::Result<String> {
    helm(&["template", "azwi"], arguments)
}

/// What helm finds in the chart.
///
/// # Errors
/// As [`template`].
pub fn lint(arguments: &[&str]) -> anyhow::Result<String> {
    helm(&["lint", "--strict"], arguments)
}

fn helm(command: &[&str], arguments: &[&str]) -> anyhow::Result<String> {
    run(Command::new(program("helm")?).args(command).arg(directory()).args(arguments), "")?.good()
}

/// What [`manifest_file`] should be.
///
/// # Errors
/// As [`template`].
pub fn manifest() -> anyhow::Result<String> {
    let variables = ["azureTenantID=${AZURE_TENANT_ID}", "azureEnvironment=${AZURE_ENVIRONMENT:-AzurePublicCloud}"];
    let values = variables.join(",");
    // The schema knows no variables.
    let rendered = template(&["--namespace", NAMESPACE, "--set", &values, "--skip-tests", "--skip-schema-validation"])?;
    let lines = rendered.lines().filter(|line| !is_of_a_release(line)).map(|line| format!("{line}\n"));
    Ok([HEAD.to_owned(), NAMESPACE_OBJECT.to_owned(), lines.collect()].concat())
}

/// Labels that tell releases apart have no place where there is none: azure-workload-identity's manifest, whose
/// Deployment's selector cannot be changed, has none of them either.
fn is_of_a_release(line: &str) -> bool {
    let line = line.trim_start();
    ["app: ", "chart: ", "release: ", "# Source: "].iter().any(|start| line.starts_with(start))
}

/// What [`readme_file`] should be.
///
/// # Errors
/// If it or the values cannot be read.
pub fn readme() -> anyhow::Result<String> {
    let page = fs::read_to_string(readme_file())?;
    let [start, end] = VALUES;
    let (before, rest) = page.split_once(start).context("no place for the values")?;
    let (_, after) = rest.split_once(end).context("no end of the values")?;
    let rows: String = values()?.iter().map(row).collect();
    Ok(format!("{before}{start}| value | default | meaning |\n|---|---|---|\n{rows}{end}{after}"))
}

fn row(value: &Documented) -> String {
    let default = if value.default.is_empty() { String::new() } else { format!("`{}`", value.default) };
    format!("| `{}` | {default} | {} |\n", value.name, value.meaning)
}

/// Every value, as `values.yaml` documents it.
///
/// # Errors
/// If it cannot be read, or a value has no comment.
pub fn values() -> anyhow::Result<Vec<Documented>> {
    documented(&fs::read_to_string(directory().join("values.yaml"))?)
}

/// A comment belongs to the key below it, and to all that stands below that key unless it has a comment of its own. A key
/// without comment is a section.
fn documented(yaml: &str) -> anyhow::Result<Vec<Documented>> {
    let mut values: Vec<Documented> = Vec::new();
    let (mut section, mut comment) = (String::new(), Vec::new());
    for line in yaml.lines() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        match text.split_once(':') {
            _ if text.is_empty() => comment.clear(),
            _ if text.starts_with('#') => comment.push(text.trim_start_matches(['#', ' '])),
            Some((key, default)) if !comment.is_empty() => {
                let name = if indent == 0 { key.to_owned() } else { format!("{section}.{key}") };
                values.push(Documented { name, default: default.trim().to_owned(), meaning: comment.join(" ") });
                comment.clear();
            }
            Some((key, "")) if indent == 0 => key.clone_into(&mut section),
            _ if indent == 0 => bail!("{text} has no comment"),
            _ => append(values.last_mut().context("no key above")?, text),
        }
    }
    Ok(values)
}

/// What stands below a key is its default, too.
fn append(value: &mut Documented, text: &str) {
    let separator = if value.default.is_empty() { "" } else { " " };
    value.default.push_str(separator);
    value.default.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, default: &str, meaning: &str) -> Documented {
        Documented { name: name.to_owned(), default: default.to_owned(), meaning: meaning.to_owned() }
    }

    #[test]
    fn a_comment_belongs_to_the_key_below_it() {
        let yaml = "# Of nothing.\n\n# How many,\n# all in all.\ncount: 2\nimage:\n  # Where.\n  place: here\n";
        let wanted = [value("count", "2", "How many, all in all."), value("image.place", "here", "Where.")];
        assert_eq!(documented(yaml).unwrap(), wanted);
    }

    #[test]
    fn what_stands_below_a_key_is_its_default() {
        let yaml = "# What it may have.\nlimits:\n  cpu: 1\n  memory: 2Mi\n";
        assert_eq!(documented(yaml).unwrap(), [value("limits", "cpu: 1 memory: 2Mi", "What it may have.")]);
    }

    #[test]
    fn a_value_without_a_comment_is_an_error() {
        assert!(documented("count: 2\n").is_err_and(|error| error.to_string().contains("count")));
    }
}
