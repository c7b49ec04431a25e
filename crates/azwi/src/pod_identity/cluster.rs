//! A running cluster: the objects that a plan is made of, and the three kinds of request that change one.
//!
//! Speaks JSON, not types: what this build does not know of an object is nobody's loss.

use http::Request;
use http::header::CONTENT_TYPE;
use kube::Client;
use serde_json::Value;
use thiserror::Error;

use super::directory::GROUP;

/// Objects in one answer, so that a large cluster's does not become one.
const PAGE: usize = 500;
const MANAGER: &str = "azwi";

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

/// Why a cluster could not be read or changed.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No kubeconfig, or none that makes sense.
    #[error("the cluster: {0}")]
    Unreachable(kube::Error),
    /// The API server's own words.
    #[error("{path}: {message}")]
    Refused {
        /// Of the API.
        path: String,
        /// Why.
        message: String,
    },
    /// Its discovery document has no issuer.
    #[error("the cluster does not say who issues its tokens: say it with --service-account-issuer-url")]
    NoIssuer,
}

/// A cluster as the kubeconfig has it.
pub(super) struct Cluster(Client);

impl Cluster {
    pub(super) async fn connect() -> Result<Self, ClusterError> {
        Client::try_default().await.map(Self).map_err(ClusterError::Unreachable)
    }

    /// What stands in its tokens as `iss`.
    pub(super) async fn issuer(&self) -> Result<String, ClusterError> {
        let document = self.send("GET", ".well-known/openid-configuration", Vec::new()).await?;
        document.get("issuer").and_then(Value::as_str).map(str::to_owned).ok_or(ClusterError::NoIssuer)
    }

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

    async fn list(&self, path: &str) -> Result<Vec<Value>, ClusterError> {
        let (mut objects, mut next) = (Vec::new(), String::new());
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = format!("{path}{separator}limit={PAGE}{next}");
            let list = self.send("GET", &page, Vec::new()).await?;
            objects.extend(items(&list));
            match list.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                _ => return Ok(objects),
            }
        }
    }

    /// Creates `object` in the list at `path`.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<(), ClusterError> {
        let path = format!("{path}?fieldManager={MANAGER}");
        self.send_with("POST", &path, "application/json", object.to_string().into_bytes()).await.map(drop)
    }

    /// Changes what `changes` has of the object at `path`, and nothing else.
    pub(super) async fn patch(&self, path: &str, changes: &Value) -> Result<(), ClusterError> {
        let path = format!("{path}?fieldManager={MANAGER}");
        let kind = "application/strategic-merge-patch+json";
        self.send_with("PATCH", &path, kind, changes.to_string().into_bytes()).await.map(drop)
    }

    /// Deletes the object at `path`; it may be gone already.
    pub(super) async fn delete(&self, path: &str) -> Result<(), ClusterError> {
        match self.send("DELETE", path, Vec::new()).await {
            Err(error) if error.is("NotFound") => Ok(()),
            other => other.map(drop),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Value, ClusterError> {
        self.send_with(method, path, "application/json", body).await
    }

    async fn send_with(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<Value, ClusterError> {
        let request = Request::builder().method(method).uri(format!("/{path}")).header(CONTENT_TYPE, kind);
        let request = request.body(body).map_err(|error| ClusterError::Unreachable(kube::Error::HttpError(error)))?;
        self.0.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => {
                let message = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
                ClusterError::Refused { path: path.to_owned(), message: with_reason(&status.reason, message) }
            }
            other => ClusterError::Unreachable(other),
        })
    }
}

impl ClusterError {
    /// Whether the API server gives this reason.
    fn is(&self, reason: &str) -> bool {
        matches!(self, Self::Refused { message, .. } if message.starts_with(reason))
    }
}

fn with_reason(reason: &str, message: String) -> String {
    if message.starts_with(reason) { message } else { format!("{reason}: {message}") }
}

/// The list of one namespace.
fn within(path: &str, namespace: Option<&str>) -> String {
    match (namespace, path.rsplit_once('/')) {
        (Some(namespace), Some((group, plural))) => format!("{group}/namespaces/{namespace}/{plural}"),
        _ => path.to_owned(),
    }
}

/// What is in a list does not say what it is: the list does.
fn items(list: &Value) -> Vec<Value> {
    let text = |name| list.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind").trim_end_matches("List"));
    let with_kind = |item: &Value| {
        let mut item = item.clone();
        if let Value::Object(fields) = &mut item {
            fields.insert("apiVersion".to_owned(), api_version.into());
            fields.insert("kind".to_owned(), kind.into());
        }
        item
    };
    list.get("items").and_then(Value::as_array).into_iter().flatten().map(with_kind).collect()
}
