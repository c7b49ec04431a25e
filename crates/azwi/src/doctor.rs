//! `azwi doctor`: walks the chain from a pod's label to Entra's answer and says of each link whether it holds, by what
//! one sees that, and what to do. The checks are functions of what was gathered and ask nobody anything. A token is read
//! for its claims, and never shown.

mod check;
mod federation;
mod objects;
mod workload;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use serde_json::Value;

use check::Check;
use federation::Claims;
use objects::{Objects, kind, name, namespace};

const EXAMPLES: &str = "\
Examples:
  # Of all pods and workloads in the files
  kubectl get pods,serviceaccounts -n shop -o yaml > shop.yaml
  kubectl get mutatingwebhookconfigurations,namespaces -o yaml > cluster.yaml
  azwi doctor --offline shop.yaml,cluster.yaml

  # Of one pod, and of its token against the identity's credentials and the issuer's documents
  kubectl create token cart -n shop --audience api://AzureADTokenExchange > token
  az identity federated-credential list --identity-name cart --resource-group shop > credentials.json
  curl --silent ISSUER/.well-known/openid-configuration > discovery.json
  curl --silent ISSUER/openid/v1/jwks > jwks.json
  azwi doctor pod/cart-0 -n shop --offline shop.yaml,cluster.yaml,credentials.json \\
    --token-file token --discovery-file discovery.json --jwks-file jwks.json";

/// The flags of the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// pod/NAME, deployment/NAME or another workload; all if absent
    #[arg(value_name = "KIND/NAME")]
    workload: Option<String>,
    /// Only what is in this namespace
    #[arg(long, short)]
    namespace: Option<String>,
    /// What `kubectl get --output yaml` and `az … federated-credential list` printed
    #[arg(long, required = true, value_delimiter = ',', value_name = "FILE,…")]
    offline: Vec<PathBuf>,
    /// A service account token of the pod
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The issuer's /.well-known/openid-configuration
    #[arg(long, value_name = "FILE", requires = "token_file")]
    discovery_file: Option<PathBuf>,
    /// What the issuer publishes at the document's `jwks_uri`
    #[arg(long, value_name = "FILE", requires = "token_file")]
    jwks_file: Option<PathBuf>,
    /// How to print the checks
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line per check
    Text,
    /// An array with an object per check
    Json,
}

/// Why there is no report, or one that is no good news.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoctorError {
    #[error("{}: {cause}", .path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("{}: {cause}", .path.display())]
    Yaml { path: PathBuf, cause: Box<serde_saphyr::Error> },
    #[error("--token-file {}: holds no token", .0.display())]
    Token(PathBuf),
    #[error("nothing to look at: the files have no such pod or workload")]
    Nothing,
    #[error("{failing} of {all} checks do not hold")]
    Failing { failing: usize, all: usize },
    #[error("stdout: {0}")]
    Stdout(#[from] io::Error),
    #[error("stdout: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read, there is nothing to look at, or a check does not hold.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), DoctorError> {
    let documents: Vec<Vec<Value>> = arguments.offline.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let objects = Objects::new(documents.concat());
    let mut checks: Vec<Check> = objects
        .workloads()
        .filter(|object| arguments.concerns(object))
        .flat_map(|object| workload::checks(&objects, object))
        .collect();
    if checks.is_empty() {
        return Err(DoctorError::Nothing);
    }
    checks.extend(arguments.token_checks(&objects)?);
    print(&checks, arguments.output, out)?;
    match checks.iter().filter(|check| !check.holds).count() {
        0 => Ok(()),
        failing => Err(DoctorError::Failing { failing, all: checks.len() }),
    }
}

impl Arguments {
    fn concerns(&self, object: &Value) -> bool {
        let here = self.namespace.as_deref().is_none_or(|wanted| namespace(object) == wanted);
        let named = self.workload.as_deref().is_none_or(|wanted| {
            wanted.split_once('/').is_some_and(|(wanted_kind, wanted_name)| {
                kind(object).eq_ignore_ascii_case(wanted_kind) && name(object) == wanted_name
            })
        });
        here && named
    }

    fn token_checks(&self, objects: &Objects) -> Result<Vec<Check>, DoctorError> {
        let Some(path) = &self.token_file else { return Ok(Vec::new()) };
        let token = fs::read_to_string(path).map_err(|cause| DoctorError::File { path: path.clone(), cause })?;
        let malformed = || DoctorError::Token(path.clone());
        let claims: Claims = part(&token, 1).ok_or_else(malformed)?;
        let header: Value = part(&token, 0).ok_or_else(malformed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut checks = vec![federation::expiry(&claims, now)];
        if let Some(path) = &self.discovery_file {
            let document = read(path)?.into_iter().next().unwrap_or_default();
            checks.push(federation::discovery(&claims, &document));
        }
        if let Some(path) = &self.jwks_file {
            let keys = read(path)?.into_iter().next().unwrap_or_default();
            checks.push(federation::signing_key(objects::text(&header, "/kid"), &keys));
        }
        checks.push(federation::credential(&claims, &objects.credentials()));
        Ok(checks)
    }
}

/// A part of a JWT, unverified.
fn part<T: DeserializeOwned>(jwt: &str, index: usize) -> Option<T> {
    let part = jwt.trim().split('.').nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// JSON is YAML, too.
fn read(path: &Path) -> Result<Vec<Value>, DoctorError> {
    let text = fs::read_to_string(path).map_err(|cause| DoctorError::File { path: path.to_owned(), cause })?;
    serde_saphyr::from_multiple(&text)
        .map_err(|cause| DoctorError::Yaml { path: path.to_owned(), cause: Box::new(cause) })
}

fn print(checks: &[Check], output: Output, out: &mut impl Write) -> Result<(), DoctorError> {
    if output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, checks)?;
        return Ok(writeln!(out)?);
    }
    for check in checks {
        let mark = if check.holds { '✓' } else { '✗' };
        writeln!(out, "{mark} {}: {}: {}", check.subject, check.name, check.evidence)?;
        if let Some(fix) = &check.fix {
            writeln!(out, "  fix: {fix}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
