//! The Kubernetes service account, with the annotations that the webhook reads.

use std::collections::BTreeMap;

use azwi_conventions::annotation::{CLIENT_ID, SERVICE_ACCOUNT_TOKEN_EXPIRATION, TENANT_ID};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cluster::Connection;

use super::ServiceAccountError;
use super::report::Outcome;

const NOT_FOUND: u16 = 404;

/// A service account as it should be.
#[derive(Debug)]
pub(super) struct Account<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) client_id: &'a str,
    pub(super) tenant_id: Option<&'a str>,
    /// Seconds.
    pub(super) token_expiration: Option<u32>,
}

impl Account<'_> {
    fn annotations(&self) -> BTreeMap<String, String> {
        let expiration = self.token_expiration.map(|seconds| seconds.to_string());
        let all = [
            (CLIENT_ID, Some(self.client_id.to_owned())),
            (TENANT_ID, self.tenant_id.map(str::to_owned)),
            (SERVICE_ACCOUNT_TOKEN_EXPIRATION, expiration),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// Creates it, or changes those of its annotations that are others.
    ///
    /// # Errors
    /// Kubernetes refuses.
    pub(super) async fn ensure(&self, connection: &Connection, dry_run: bool) -> Result<Outcome, ServiceAccountError> {
        let accounts = accounts(connection, self.namespace).await?;
        let wanted = self.annotations();
        let Some(there) = accounts.get_opt(self.name).await? else {
            let metadata =
                ObjectMeta { name: Some(self.name.to_owned()), annotations: Some(wanted), ..ObjectMeta::default() };
            let account = ServiceAccount { metadata, ..ServiceAccount::default() };
            if !dry_run {
                accounts.create(&PostParams::default(), &account).await?;
            }
            return Ok(Outcome::Created);
        };
        let found = there.metadata.annotations.unwrap_or_default();
        if wanted.iter().all(|(key, value)| found.get(key) == Some(value)) {
            return Ok(Outcome::Exists);
        }
        if !dry_run {
            let patch = Patch::Merge(json!({ "metadata": { "annotations": wanted } }));
            accounts.patch(self.name, &PatchParams::default(), &patch).await?;
        }
        Ok(Outcome::Updated)
    }
}

/// # Errors
/// Kubernetes refuses.
pub(super) async fn delete(
    connection: &Connection,
    namespace: &str,
    name: &str,
    dry_run: bool,
) -> Result<Outcome, ServiceAccountError> {
    let accounts = accounts(connection, namespace).await?;
    if accounts.get_opt(name).await?.is_none() {
        return Ok(Outcome::Absent);
    }
    if dry_run {
        return Ok(Outcome::Deleted);
    }
    match accounts.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(Outcome::Deleted),
        Err(kube::Error::Api(status)) if status.code == NOT_FOUND => Ok(Outcome::Absent),
        Err(error) => Err(error.into()),
    }
}

async fn accounts(connection: &Connection, namespace: &str) -> Result<Api<ServiceAccount>, ServiceAccountError> {
    Ok(Api::namespaced(connection.connect().await?.client, namespace))
}
