//! Why a command could not do what it was asked for.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::azure::identity::AzureError;
use crate::azure::rest::RestError;
use crate::cluster::ClusterError;

use super::files::RenderError;
use super::output::OutputError;
use super::settings::IssuerError;

/// Of `detect` and `migrate`.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the sentence beside each says what it is")]
pub enum Error {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Yaml(PathBuf, Box<serde_saphyr::Error>),
    #[error("files do not say who issues the cluster's tokens: say it with --service-account-issuer-url")]
    NoIssuer,
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(
        "no webhook of this cluster is asked about pods with the label azure.workload.identity/use, so migrated pods would \
         get no token: install it first (docs/install-webhook.md)"
    )]
    NoWebhook,
    #[error("Azure has no {0}, or does not show it to you")]
    NoIdentity(String),
    #[error("{0}")]
    Azure(Box<dyn std::error::Error>),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot say what is done: {0}")]
    Told(#[from] io::Error),
}

impl From<AzureError> for Error {
    fn from(error: AzureError) -> Self {
        Self::Azure(Box::new(error))
    }
}

impl From<RestError> for Error {
    fn from(error: RestError) -> Self {
        Self::Azure(Box::new(error))
    }
}
