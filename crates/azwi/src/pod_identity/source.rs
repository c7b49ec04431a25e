//! What a plan is made of, as the command line names it: a cluster or files, what Azure said, and settings.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use azwi_conventions::DEFAULT_PROXY_PORT;
use azwi_identity::TenantId;
use clap::Args;
use serde_json::Value;

use crate::azure::identity::Azure;
use crate::azure::login::Login;
use crate::cluster::{Cluster, Connection};
use crate::token_expiration;

use super::error::Error;
use super::live;
use super::plan::Plan;
use super::settings::{Issuer, Settings};

/// Whose workloads.
#[derive(Debug, Clone, Args)]
pub(super) struct Scope {
    /// Namespace of the workloads
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
    /// Take the workloads of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
}

impl Scope {
    /// The namespace, if it is not all of them.
    pub(super) fn namespace(&self) -> Option<&str> {
        (!self.all_namespaces).then_some(self.namespace.as_str())
    }
}

/// As arguments.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace() {
            Some(namespace) => write!(f, " --namespace {namespace}"),
            None => f.write_str(" --all-namespaces"),
        }
    }
}

/// What is to be said to plan.
#[derive(Debug, Clone, Args)]
pub(super) struct Source {
    #[command(flatten)]
    pub(super) scope: Scope,
    /// Issuer of the cluster's service account tokens; else the cluster is asked
    #[arg(long, value_name = "URL")]
    service_account_issuer_url: Option<String>,
    /// Lifetime of the service account tokens, such as 1h; else the webhook's default
    #[arg(long, value_name = "DURATION", value_parser = token_expiration::parse)]
    service_account_token_expiration: Option<u32>,
    /// Tenant of identities that do not say theirs; else the webhook's
    #[arg(long, value_parser = tenant)]
    tenant_id: Option<TenantId>,
    /// Audience of the service account tokens [default: that of --azure-env]
    #[arg(long)]
    audience: Option<String>,
    /// Where sidecars listen
    #[arg(short, long, default_value_t = DEFAULT_PROXY_PORT)]
    proxy_port: u16,
    /// Ask Azure for identities and their federated identity credentials; with files, read what `az` printed in JSON
    #[arg(long, value_name = "FILE,…", num_args = 0.., value_delimiter = ',')]
    azure: Option<Vec<PathBuf>>,
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    login: Login,
}

impl Source {
    /// Azure, if it is to be asked.
    pub(super) async fn azure(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<Azure>, Error> {
        let is_asked = self.azure.as_ref().is_some_and(Vec::is_empty);
        Ok(if is_asked { Some(Azure::new(&self.login, lookup).await?) } else { None })
    }

    /// The plan for a running cluster, with the objects that it was made of.
    pub(super) async fn of_cluster(
        &self,
        cluster: &Cluster,
        azure: Option<&Azure>,
    ) -> Result<(Plan, Vec<Value>), Error> {
        let issuer = match &self.service_account_issuer_url {
            Some(url) => url.clone(),
            None => cluster.issuer().await?,
        };
        let objects = cluster.objects(self.scope.namespace()).await?;
        let plan = self.plan(&objects, self.scope.namespace(), azure, &self.settings(&issuer)?).await?;
        Ok((plan, objects))
    }

    /// The same for all namespaces.
    pub(super) async fn of_all_namespaces(
        &self,
        cluster: &Cluster,
        azure: Option<&Azure>,
    ) -> Result<(Plan, Vec<Value>), Error> {
        let scope = Scope { all_namespaces: true, ..self.scope.clone() };
        Self { scope, ..self.clone() }.of_cluster(cluster, azure).await
    }

    /// The plan for all that is in `files`, as `kubectl get --output yaml` or `json` prints it.
    pub(super) async fn of_files(&self, files: &[PathBuf], azure: Option<&Azure>) -> Result<Plan, Error> {
        let issuer = self.service_account_issuer_url.as_deref().ok_or(Error::NoIssuer)?;
        let objects: Vec<Vec<Value>> = files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        self.plan(&objects.concat(), None, azure, &self.settings(issuer)?).await
    }

    /// Azure is asked about no other identities than those that the plan without it has.
    async fn plan(
        &self,
        objects: &[Value],
        namespace: Option<&str>,
        azure: Option<&Azure>,
        settings: &Settings,
    ) -> Result<Plan, Error> {
        let files = self.azure.iter().flatten();
        let mut known: Vec<Value> = files.map(|path| read(path)).collect::<Result<Vec<_>, _>>()?.concat();
        let plan = super::plan(objects, &known, settings).within(namespace);
        let Some(azure) = azure else { return Ok(plan) };
        known.extend(live::identities(azure, &plan.identities).await?);
        Ok(super::plan(objects, &known, settings).within(namespace))
    }

    fn settings(&self, issuer: &str) -> Result<Settings, Error> {
        Ok(Settings {
            audience: self.audience.clone().unwrap_or_else(|| self.login.azure_env.audience().to_owned()),
            tenant_id: self.tenant_id.clone(),
            token_expiration: self.service_account_token_expiration,
            proxy_port: self.proxy_port,
            ..Settings::new(Issuer::parse(issuer)?)
        })
    }
}

/// JSON is YAML, too.
fn read(path: &Path) -> Result<Vec<Value>, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::File(path.to_owned(), error))?;
    serde_saphyr::from_multiple(&text).map_err(|error| Error::Yaml(path.to_owned(), Box::new(error)))
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.to_string())
}
