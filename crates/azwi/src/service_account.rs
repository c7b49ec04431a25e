//! `azwi serviceaccount`: an identity in Entra ID, a Kubernetes service account, the trust between the two, and a role.
//!
//! What is there already is used and left as it is; what is missing is made. So both commands can be run again after
//! whatever kept them from their end. Nothing that was not asked for is deleted.

mod arguments;
mod create;
mod delete;
mod identity;
mod kubernetes;
mod report;

use std::io::{self, Write};

use clap::{Args, Subcommand};

use crate::azure::identity::AzureError;
use crate::azure::rest::RestError;
use crate::cluster::ClusterError;
use arguments::{Arguments, Missing};
use report::Report;

const CREATE_EXAMPLES: &str = "\
Examples:
  # An application, its service account and the trust between them, but no role
  azwi serviceaccount create --service-account-name cart --service-account-namespace shop \\
    --service-account-issuer-url https://issuer.example --skip-phases role-assignment

  # A user-assigned managed identity that may read a resource group's secrets
  azwi serviceaccount create --service-account-name cart --service-account-namespace shop \\
    --service-account-issuer-url https://issuer.example --subscription-id ID \\
    --managed-identity-name cart --managed-identity-resource-group shop --managed-identity-location westeurope \\
    --azure-role 'Key Vault Secrets User' --azure-scope /subscriptions/ID/resourceGroups/shop

  # The trust only, with an application that is there
  azwi serviceaccount create phase federated-identity --service-account-name cart --service-account-namespace shop \\
    --service-account-issuer-url https://issuer.example --aad-application-client-id ID";

const DELETE_EXAMPLES: &str = "\
Examples:
  # The service account and its application, with all that the application had
  azwi serviceaccount delete --service-account-name cart --service-account-namespace shop \\
    --service-account-issuer-url https://issuer.example --skip-phases role-assignment

  # The trust only
  azwi serviceaccount delete phase federated-identity --service-account-name cart --service-account-namespace shop \\
    --service-account-issuer-url https://issuer.example";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create what is missing of an identity, its service account, the trust between them and its role
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<Arguments>),
    /// Delete an identity, its service account and the trust between them
    #[command(after_help = DELETE_EXAMPLES)]
    Delete(Box<Arguments>),
}

/// The commands.
#[derive(Debug, Args)]
pub(crate) struct ServiceAccount {
    #[command(subcommand)]
    command: Command,
}

/// Why it was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceAccountError {
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error(transparent)]
    Azure(#[from] AzureError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("Kubernetes: {0}")]
    Kubernetes(String),
    #[error("there is no {0}: the phase aad-application creates it")]
    NoIdentity(String),
    #[error("managed identity {0} is not there: say where to create it by --managed-identity-location")]
    NoLocation(String),
    #[error("there is no role {role:?} at {scope}: see `az role definition list`")]
    NoRole { role: String, scope: String },
    #[error("{0} has no service principal that could have a role")]
    NoPrincipal(String),
    #[error(
        "{0} has 20 federated identity credentials, and Entra ID allows no more: use another identity, delete those that \
         nobody needs, or let one credential of a managed identity stand for a whole cluster of AKS by an identity binding"
    )]
    TooManyCredentials(String),
    #[error(
        "{identity} has a federated identity credential named {name} that trusts somebody else ({subject} of {issuer}): \
         delete it if nobody needs it"
    )]
    NameTaken { identity: String, name: String, subject: String, issuer: String },
    #[error("cannot say what is done: {0}")]
    Told(#[from] io::Error),
}

impl From<RestError> for ServiceAccountError {
    fn from(error: RestError) -> Self {
        Self::Azure(error.into())
    }
}

impl From<kube::Error> for ServiceAccountError {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(match error {
            kube::Error::Api(status) => status.message,
            other => other.to_string(),
        })
    }
}

/// Runs one of the commands. What was done before an error is told, too.
///
/// # Errors
/// Azure or Kubernetes refuses, or a flag is missing.
pub(crate) async fn run(
    ServiceAccount { command }: ServiceAccount,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut impl Write,
) -> Result<(), ServiceAccountError> {
    match command {
        Command::Create(arguments) => {
            let mut report = Report::new(&arguments, out);
            let done = create::run(&arguments, lookup, &mut report).await;
            report.finish(done.is_ok().then(|| create::next(&arguments)).flatten())?;
            done
        }
        Command::Delete(arguments) => {
            let mut report = Report::new(&arguments, out);
            let done = delete::run(&arguments, lookup, &mut report).await;
            report.finish(None)?;
            done
        }
    }
}
