//! `azwi doctor`: walks the chain from a pod's label to Entra's answer and says of each link whether it holds, by what
//! one sees that, and what to do. The checks are functions of what was gathered, from a cluster or from files. Nothing is
//! changed anywhere. A token is read for its claims, sent to Entra alone, and never shown.

mod check;
mod credentials;
mod examination;
mod federation;
mod issuer;
mod live;
mod objects;
mod policy;
mod refusal;
mod sidecar;
mod targets;
mod trial;
mod webhook;
mod workload;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use azwi_entra::{AssertionClaims, TrustError};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::azure::identity::{Azure, AzureError};
use crate::azure::login::{self, Login};
use crate::cluster::{ClusterError, Connection};
use crate::jwt;

use check::Check;
use examination::Examination;
use issuer::Issuers;
use objects::{Objects, text};
use targets::{Named, targets};

const EXAMPLES: &str = "\
Examples:
  # Of all that ask for an identity in a namespace
  azwi doctor -n shop

  # Of one pod or workload, and of its federated credentials as whoever `az login` made you
  azwi doctor pod/cart-0 -n shop
  azwi doctor deployment/cart -n shop --azure

  # Of files that somebody has sent
  kubectl get pods,deployments,statefulsets,replicasets,serviceaccounts,events -n shop -o yaml > shop.yaml
  kubectl get mutatingwebhookconfigurations,namespaces -o yaml > cluster.yaml
  azwi doctor --offline shop.yaml,cluster.yaml

  # Of a token, with the identity's credentials and the issuer's documents
  kubectl create token cart -n shop --audience api://AzureADTokenExchange > token
  az identity federated-credential list --identity-name cart --resource-group shop > credentials.json
  curl --silent ISSUER/.well-known/openid-configuration > discovery.json
  curl --silent ISSUER/openid/v1/jwks > jwks.json
  azwi doctor pod/cart-0 -n shop --offline shop.yaml,cluster.yaml,credentials.json \\
    --token-file token --discovery-file discovery.json --jwks-file jwks.json";

/// The flags of the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_args(login::only_with("azure")))]
pub(crate) struct Arguments {
    /// pod/NAME, deployment/NAME or another workload; all that ask for an identity if absent
    #[arg(value_name = "KIND/NAME")]
    workload: Option<Named>,
    /// Where it is [default: the kubeconfig's; with --offline all of them]
    #[arg(long, short)]
    namespace: Option<String>,
    /// Compare with the identity's federated credentials in Azure, too
    #[arg(long)]
    azure: bool,
    /// PEM file with more certificate authorities to trust: Entra's, or the issuer's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How to print the checks
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    offline: Offline,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    login: Login,
}

/// In place of a cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a cluster")]
struct Offline {
    /// What `kubectl get --output yaml` and `az … federated-credential list` printed
    #[arg(
        id = "offline",
        long,
        value_delimiter = ',',
        value_name = "FILE,…",
        conflicts_with_all = ["azure", "ca_file", "context", "kubeconfig"]
    )]
    files: Vec<PathBuf>,
    /// A service account token of the pod
    #[arg(long, value_name = "FILE", requires = "offline")]
    token_file: Option<PathBuf>,
    /// The issuer's /.well-known/openid-configuration
    #[arg(long, value_name = "FILE", requires = "token_file")]
    discovery_file: Option<PathBuf>,
    /// What the issuer publishes at the document's `jwks_uri`
    #[arg(long, value_name = "FILE", requires = "token_file")]
    jwks_file: Option<PathBuf>,
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
    #[error("--ca-file: {0}")]
    Trust(#[from] TrustError),
    #[error("--ca-file, or the system's certificate authorities: {0}")]
    Roots(#[from] reqwest::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Azure(#[from] AzureError),
    #[error("there is no {0}")]
    NotThere(String),
    #[error(
        "nothing to look at: nothing {0} has the label azure.workload.identity/use, or a service account with the \
         annotation azure.workload.identity/client-id. KIND/NAME names what should have"
    )]
    Nothing(String),
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
/// A file or the cluster cannot be read, there is nothing to look at, or a check does not hold.
pub(crate) async fn run(
    arguments: &Arguments,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut impl Write,
) -> Result<(), DoctorError> {
    let checks =
        if arguments.offline.files.is_empty() { arguments.live(lookup).await? } else { arguments.of_files()? };
    print(&checks, arguments.output, out)?;
    match checks.iter().filter(|check| check.is_failing()).count() {
        0 => Ok(()),
        failing => Err(DoctorError::Failing { failing, all: checks.len() }),
    }
}

impl Arguments {
    fn of_files(&self) -> Result<Vec<Check>, DoctorError> {
        let documents: Vec<Vec<Value>> = self.offline.files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        let mut objects = Objects::new(documents.concat());
        for (kind, plural) in [
            ("ServiceAccount", "serviceaccounts"),
            (crate::webhook::KIND, "mutatingwebhookconfigurations"),
            ("Namespace", "namespaces"),
        ] {
            if objects.of_kind(kind).next().is_none() {
                objects.lack(kind, format!("none in the files: add what kubectl get {plural} --output yaml prints"));
            }
        }
        let targets = self.targets(&objects, self.namespace.as_deref(), "in the files")?;
        let mut checks: Vec<_> =
            targets.into_iter().flat_map(|target| workload::checks(&objects, target, now())).collect();
        checks.extend(self.token_checks(&objects)?);
        Ok(checks)
    }

    async fn live(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Check>, DoctorError> {
        let azure = if self.azure { Some(Azure::new(&self.login, lookup).await?) } else { None };
        let roots = self.roots()?;
        let issuers = Issuers::new(roots.as_deref())?;
        let cluster = self.connection.connect().await?;
        let namespace = self.namespace.as_deref().unwrap_or(&cluster.namespace);
        let objects = live::objects(&cluster, namespace).await?;
        if objects.of_kind("Namespace").next().is_none() && objects.why_unread("Namespace").is_none() {
            return Err(DoctorError::NotThere(format!("namespace {namespace}")));
        }
        let examination = Examination { cluster: &cluster, namespace, issuers, roots, azure };
        let (mut checks, mut accounts) = (Vec::new(), BTreeSet::new());
        for target in self.targets(&objects, Some(namespace), &format!("in namespace {namespace}"))? {
            checks.extend(workload::checks(&objects, target, now()));
            checks.extend(examination.of(target, &mut accounts).await?);
        }
        Ok(checks)
    }

    fn targets<'a>(
        &self,
        objects: &'a Objects,
        namespace: Option<&str>,
        place: &str,
    ) -> Result<Vec<&'a Value>, DoctorError> {
        let targets = targets(objects, self.workload.as_ref(), namespace);
        match &self.workload {
            _ if !targets.is_empty() => Ok(targets),
            Some(named) => Err(DoctorError::NotThere(format!("{named} {place}"))),
            None => Err(DoctorError::Nothing(place.to_owned())),
        }
    }

    fn token_checks(&self, objects: &Objects) -> Result<Vec<Check>, DoctorError> {
        const SUBJECT: &str = "token";
        let Offline { token_file: Some(path), discovery_file, jwks_file, .. } = &self.offline else {
            return Ok(Vec::new());
        };
        let token = fs::read_to_string(path).map_err(|cause| DoctorError::File { path: path.clone(), cause })?;
        let (header, claims) = parts(&token).ok_or_else(|| DoctorError::Token(path.clone()))?;
        let mut checks = vec![federation::expiry(SUBJECT, &claims, now())];
        if let Some(path) = discovery_file {
            let document = read(path)?.into_iter().next().unwrap_or_default();
            checks.push(federation::discovery(SUBJECT, &claims, &document));
        }
        if let Some(path) = jwks_file {
            let keys = read(path)?.into_iter().next().unwrap_or_default();
            checks.push(federation::signing_key(SUBJECT, text(&header, "/kid"), &keys));
        }
        checks.push(match objects.credentials() {
            Some(credentials) => federation::credential(SUBJECT, &claims, &credentials),
            None => Check::unknown(
                SUBJECT,
                "federated credential",
                "none in the files: add what az identity federated-credential list prints",
            ),
        });
        Ok(checks)
    }

    /// The PEM text of --ca-file.
    fn roots(&self) -> Result<Option<Vec<u8>>, DoctorError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|cause| DoctorError::File { path: path.clone(), cause });
        self.ca_file.as_ref().map(read).transpose()
    }
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Header and claims of a JWT, unverified.
fn parts(token: &str) -> Option<(Value, AssertionClaims)> {
    Some((jwt::header(token)?, jwt::claims(token)?))
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
        let mark = match check.holds {
            Some(true) => '✓',
            Some(false) => '✗',
            None => '?',
        };
        writeln!(out, "{mark} {}: {}: {}", check.subject, check.name, check.evidence)?;
        if let Some(fix) = &check.fix {
            writeln!(out, "  fix: {fix}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
