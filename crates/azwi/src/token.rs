//! `azwi token`: exchanges a service account token at Entra ID and shows what the access token says of its owner. The
//! access token itself is shown only to who asks for it, and the service account token to nobody.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use azwi_conventions::{DEFAULT_AUTHORITY_HOST, TOKEN_EXCHANGE_AUDIENCE, annotation, env};
use azwi_entra::{
    Assertion, AssertionError, AssertionFile, AuthorityError, AuthorityHost, CaBundle, ClientId, ExchangeError,
    Exchanger, HttpsProxy, LoopbackHttp, Resource, SystemRoots, TenantId, TrustError, TrustRoots,
};
use clap::{Arg, Args};
use serde_json::{Value, json};

use crate::aadsts;
use crate::azure::cloud::Cloud;
use crate::cluster::{ClusterError, Connection};
use crate::jwt;

const EXAMPLES: &str = "\
Examples:
  # What Entra says to the service account cart, by its annotations
  azwi token --service-account cart -n shop --tenant-id TENANT_ID

  # Within a pod that the webhook has set up: its variables say all
  azwi token

  # An access token for a shell
  azwi token --service-account cart -n shop --tenant-id TENANT_ID \\
    --resource https://vault.azure.net --show-token";

/// Longer than Entra ever takes to answer.
const LIMIT: Duration = Duration::from_secs(30);

/// The flags of the command.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "printed as help, where backticks are noise")]
#[command(after_help = EXAMPLES, mut_args(of_cluster))]
pub(crate) struct Arguments {
    /// A file with a service account token [default: AZURE_FEDERATED_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Have the cluster sign a token for this service account
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    service_account: Option<String>,
    /// Where the service account is [default: the kubeconfig's]
    #[arg(long, short, requires = "service_account")]
    namespace: Option<String>,
    /// Whom that token is for [default: api://AzureADTokenExchange, or that of the cloud]
    #[arg(long, requires = "service_account")]
    audience: Option<String>,
    /// Of the application or managed identity [default: the service account's annotation, or AZURE_CLIENT_ID]
    #[arg(long, value_name = "GUID")]
    client_id: Option<String>,
    /// Its tenant, by GUID or by domain [default: the service account's annotation, or AZURE_TENANT_ID]
    #[arg(long, value_name = "TENANT")]
    tenant_id: Option<String>,
    /// What the access token is for [default: Resource Manager of the cloud]
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// Where Entra is [default: AZURE_AUTHORITY_HOST, or https://login.microsoftonline.com/]
    #[arg(long, value_name = "URL")]
    authority_host: Option<String>,
    /// PEM file with more certificate authorities to trust
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the access token in place of its claims
    #[arg(long)]
    show_token: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Only who has a token signed needs a cluster.
fn of_cluster(argument: Arg) -> Arg {
    let is_its = ["context", "kubeconfig"].contains(&argument.get_id().as_str());
    if is_its { argument.requires("service_account") } else { argument }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{0}")]
    Assertion(#[from] AssertionError),
    #[error(
        "--token-file, {}, or --service-account with a service account's name: one is needed",
        env::AZURE_FEDERATED_TOKEN_FILE
    )]
    NoAssertion,
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("there is no service account {0}")]
    NoAccount(String),
    #[error("{flag}, {variable} or the service account's annotation {annotation}: one is needed")]
    Missing { flag: &'static str, variable: &'static str, annotation: &'static str },
    #[error("{flag}: {reason}")]
    Wrong { flag: &'static str, reason: String },
    #[error("--authority-host: {0}")]
    Authority(#[from] AuthorityError),
    #[error("--ca-file {}: {cause}", .path.display())]
    CaFile { path: PathBuf, cause: io::Error },
    #[error("--ca-file: {0}")]
    Trust(#[from] TrustError),
    #[error("{cause}{more}", cause = .0, more = explanation(.0))]
    Exchange(#[from] ExchangeError),
    #[error("stdout: {0}")]
    Stdout(#[from] io::Error),
    #[error("stdout: {0}")]
    Json(#[from] serde_json::Error),
}

/// Looks variables up.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Runs the command.
///
/// # Errors
/// A file cannot be read, the cluster refuses, or Entra cannot be asked or refuses.
pub(crate) async fn run(arguments: &Arguments, lookup: Lookup<'_>, out: &mut impl Write) -> Result<(), TokenError> {
    let given = arguments.authority_host.clone().or_else(|| variable(lookup, env::AZURE_AUTHORITY_HOST));
    let host = given.as_deref().unwrap_or(DEFAULT_AUTHORITY_HOST);
    let authority = AuthorityHost::parse(host, LoopbackHttp::Refused)?;
    let Presented { assertion, client, tenant } = arguments.presented(host, lookup).await?;
    let resource = arguments.resource.clone().unwrap_or_else(|| resource_manager(host));
    let resource = Resource::parse(resource).map_err(|error| wrong("--resource", &error))?;
    let roots = TrustRoots::System(SystemRoots::default(), arguments.ca_bundle()?);
    let exchanger = Exchanger::new(authority, None, roots, HttpsProxy::default());
    let token = exchanger.exchange(&tenant, &client, &resource, &assertion, LIMIT).await?;
    if arguments.show_token {
        return Ok(writeln!(out, "{}", token.secret.expose())?);
    }
    // A resource may have its tokens encrypted: then the times are all there is to see.
    let claims = jwt::claims(token.secret.expose())
        .unwrap_or_else(|| json!({ "exp": token.expires_on, "nbf": token.not_before }));
    serde_json::to_writer_pretty(&mut *out, &claims)?;
    Ok(writeln!(out)?)
}

/// What Entra is shown, and for whom.
struct Presented {
    assertion: Assertion,
    client: ClientId,
    tenant: TenantId,
}

impl Arguments {
    async fn presented(&self, host: &str, lookup: Lookup<'_>) -> Result<Presented, TokenError> {
        let (assertion, account) = match &self.service_account {
            Some(name) => self.requested(name, host).await?,
            None => (self.file(lookup)?.read()?, Value::Null),
        };
        let annotated = |key: &str| account.get("metadata")?.get("annotations")?.get(key)?.as_str().map(str::to_owned);
        let value = |given: &Option<String>, flag, variable_name, annotation| {
            let value = given.clone().or_else(|| annotated(annotation)).or_else(|| variable(lookup, variable_name));
            value.ok_or(TokenError::Missing { flag, variable: variable_name, annotation })
        };
        let client = value(&self.client_id, "--client-id", env::AZURE_CLIENT_ID, annotation::CLIENT_ID)?;
        let tenant = value(&self.tenant_id, "--tenant-id", env::AZURE_TENANT_ID, annotation::TENANT_ID)?;
        Ok(Presented {
            assertion,
            client: ClientId::parse(&client).map_err(|error| wrong("--client-id", &error))?,
            tenant: TenantId::parse(&tenant).map_err(|error| wrong("--tenant-id", &error))?,
        })
    }

    /// A token that the cluster signs, and the service account that it is of.
    async fn requested(&self, name: &str, host: &str) -> Result<(Assertion, Value), TokenError> {
        let cluster = self.connection.connect().await?;
        let namespace = self.namespace.as_deref().unwrap_or(&cluster.namespace);
        let found = cluster.get(&format!("api/v1/namespaces/{namespace}/serviceaccounts/{name}")).await?;
        let account = found.ok_or_else(|| TokenError::NoAccount(format!("{namespace}/{name}")))?;
        let usual = Cloud::at(host).map_or(TOKEN_EXCHANGE_AUDIENCE, |cloud| cloud.audience);
        let token = cluster.token(namespace, name, self.audience.as_deref().unwrap_or(usual)).await?;
        Ok((Assertion::new(token), account))
    }

    fn file(&self, lookup: Lookup<'_>) -> Result<AssertionFile, TokenError> {
        let given = self.token_file.clone();
        let path = given.or_else(|| variable(lookup, env::AZURE_FEDERATED_TOKEN_FILE).map(PathBuf::from));
        path.map(AssertionFile::new).ok_or(TokenError::NoAssertion)
    }

    fn ca_bundle(&self) -> Result<Option<CaBundle>, TokenError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let pem = fs::read(path).map_err(|cause| TokenError::CaFile { path: path.clone(), cause })?;
        Ok(Some(CaBundle::from_pem(&pem)?))
    }
}

/// Of the cloud whose Entra ID is at `host`; of the public one if that has no name.
pub(crate) fn resource_manager(host: &str) -> String {
    let known = Cloud::at(host).map(|cloud| cloud.resource_manager.url);
    format!("{}/", known.as_deref().unwrap_or("https://management.azure.com"))
}

/// An empty one is none.
fn variable(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).filter(|value| !value.is_empty())
}

fn wrong(flag: &'static str, error: &dyn std::error::Error) -> TokenError {
    TokenError::Wrong { flag, reason: error.to_string() }
}

/// Of a refusal whose code is known: on lines of their own.
fn explanation(error: &ExchangeError) -> String {
    let ExchangeError::Refused(refusal) = error else { return String::new() };
    let found = refusal.error_codes.first().and_then(|code| aadsts::explain(*code));
    found.map(|found| format!("\n  cause: {}\n  fix: {}", found.cause, found.fix)).unwrap_or_default()
}
