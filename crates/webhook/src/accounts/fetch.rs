//! Asks the API server for one service account.

use std::time::Duration;

use kube::{Api, Client};
use tokio::time::timeout;

use super::annotations;
use super::object::Object;
use crate::failure::of_cluster;
use crate::mutate::ServiceAccount;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where service accounts are.
pub(crate) trait Source: Send + Sync + 'static {
    /// Its annotations; `None` if there is no such account.
    ///
    /// # Errors
    /// Why that cannot be told now.
    fn fetch(&self, namespace: &str, name: &str)
    -> impl Future<Output = Result<Option<ServiceAccount>, String>> + Send;
}

/// The real one.
pub(crate) struct Cluster(pub(crate) Client);

impl Source for Cluster {
    async fn fetch(&self, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, String> {
        let accounts = Api::<Object>::namespaced(self.0.clone(), namespace);
        let account = timeout(PATIENCE, accounts.get_opt(name)).await;
        let account = account.map_err(|_| "the API server does not answer".to_owned())?;
        let found = account.map_err(|error| of_cluster(&error))?;
        Ok(found.map(|found| annotations::of_ours(found.0.annotations.unwrap_or_default()).unwrap_or_default()))
    }
}
