//! The objects of a running cluster that a plan is made of.

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError};

use super::directory::GROUP;

/// What makes pods, and what they run as.
const WORKLOADS: [&str; 9] = [
    "api/v1/pods",
    "api/v1/replicationcontrollers",
    "api/v1/serviceaccounts",
    "apis/apps/v1/daemonsets",
    "apis/apps/v1/deployments",
    "apis/apps/v1/replicasets",
    "apis/apps/v1/statefulsets",
    "apis/batch/v1/cronjobs",
    "apis/batch/v1/jobs",
];
const POD_IDENTITY: [&str; 3] = ["azureidentities", "azureidentitybindings", "azurepodidentityexceptions"];
/// What makes a plan tell more, for those who may read it.
const HELPFUL: [&str; 4] = [
    "api/v1/namespaces",
    "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    // Pod identity's own pods, as its manifests and as its chart label them.
    "api/v1/pods?labelSelector=component+in+(nmi,mic)",
    "api/v1/pods?labelSelector=app.kubernetes.io/component+in+(nmi,mic)",
];

impl Cluster {
    /// All that a plan for `namespace`, or for all, is made of. What is pod identity's is read in all namespaces where
    /// that is allowed, for a binding may be in another one than its pods.
    pub(super) async fn objects(&self, namespace: Option<&str>) -> Result<Vec<Value>, ClusterError> {
        let mut objects = Vec::new();
        for path in WORKLOADS {
            objects.extend(self.list(&within(path, namespace)).await?);
        }
        for plural in POD_IDENTITY {
            let path = format!("apis/{GROUP}/v1/{plural}");
            objects.extend(match self.list(&path).await {
                Err(error) if error.is("Forbidden") && namespace.is_some() => {
                    self.list(&within(&path, namespace)).await?
                }
                Err(error) if error.is("NotFound") => Vec::new(),
                other => other?,
            });
        }
        let role_bindings = within("apis/rbac.authorization.k8s.io/v1/rolebindings", namespace);
        for path in HELPFUL.into_iter().chain([role_bindings.as_str()]) {
            match self.list(path).await {
                Err(error) if error.is("Forbidden") => {}
                other => objects.extend(other?),
            }
        }
        Ok(objects)
    }
}

/// The list of one namespace.
fn within(path: &str, namespace: Option<&str>) -> String {
    match (namespace, path.rsplit_once('/')) {
        (Some(namespace), Some((group, plural))) => format!("{group}/namespaces/{namespace}/{plural}"),
        _ => path.to_owned(),
    }
}
