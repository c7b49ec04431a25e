//! A running cluster as a kubeconfig has it, for all commands that ask one.
//!
//! Speaks JSON, not types: what this build does not know of an object is nobody's loss.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use http::Request;
use http::header::CONTENT_TYPE;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use thiserror::Error;

/// Objects in one answer, so that a large cluster's does not become one.
const PAGE: usize = 500;
/// In seconds; the shortest that Kubernetes signs.
const TOKEN_LIFETIME: u32 = 600;
const NOT_FOUND: u16 = 404;
const MANAGER: &str = "azwi";
const JSON: &str = "application/json";

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct Connection {
    /// Where clusters and users are described [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Which of its contexts [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
}

/// As arguments.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.kubeconfig {
            write!(f, " --kubeconfig {}", path.display())?;
        }
        self.context.as_ref().map_or(Ok(()), |context| write!(f, " --context {context}"))
    }
}

impl Connection {
    /// # Errors
    /// There is no kubeconfig, or none that makes sense.
    pub(crate) async fn connect(&self) -> Result<Cluster, ClusterError> {
        let config = self.config().await?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(ClusterError::Unreachable)?;
        Ok(Cluster { client, namespace })
    }

    async fn config(&self) -> Result<Config, ClusterError> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Ok(Config::infer().await?);
        }
        let file = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path)?,
            None => Kubeconfig::read()?,
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Ok(Config::from_custom_kubeconfig(file, &options).await?)
    }
}

/// Why a cluster could not be read or changed.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// Nobody there, or nobody who trusts us.
    #[error("the cluster: {0}")]
    Unreachable(kube::Error),
    /// Neither a kubeconfig nor a pod's own account.
    #[error("no cluster is configured: {0}")]
    Nowhere(#[from] kube::config::InferConfigError),
    /// One that makes no sense.
    #[error("the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
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

/// A cluster, and where one is in it.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Of the kubeconfig's context, or `default`.
    pub(crate) namespace: String,
}

impl Cluster {
    /// What stands in its tokens as `iss`.
    pub(crate) async fn issuer(&self) -> Result<String, ClusterError> {
        let document = self.send("GET", ".well-known/openid-configuration", Vec::new()).await?;
        document.get("issuer").and_then(Value::as_str).map(str::to_owned).ok_or(ClusterError::NoIssuer)
    }

    /// All objects of a list, each with its kind.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, ClusterError> {
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

    /// The object at `path`; none if it is not there.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>, ClusterError> {
        match self.send("GET", path, Vec::new()).await {
            Err(error) if error.is("NotFound") => Ok(None),
            other => other.map(Some),
        }
    }

    /// What is at `path` and no JSON, such as a log.
    pub(crate) async fn text(&self, path: &str) -> Result<String, ClusterError> {
        let request = Request::get(format!("/{path}")).body(Vec::new());
        let request = request.map_err(|error| ClusterError::Unreachable(kube::Error::HttpError(error)))?;
        self.client.request_text(request).await.map_err(|error| refused(path, error))
    }

    /// Creates `object` in the list at `path`; as the cluster has it then.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, ClusterError> {
        self.send("POST", &managed(path), object.to_string().into_bytes()).await
    }

    /// A token of a service account, as kubelet would ask for it.
    pub(crate) async fn token(&self, namespace: &str, account: &str, audience: &str) -> Result<String, ClusterError> {
        let path = format!("api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": [audience], "expirationSeconds": TOKEN_LIFETIME },
        });
        let answer = self.create(&path, &request).await?;
        let token = answer.pointer("/status/token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or(ClusterError::Refused { path, message: "the answer has no token".to_owned() })
    }

    /// Changes what `changes` has of the object at `path`, and nothing else.
    pub(crate) async fn patch(&self, path: &str, changes: &Value) -> Result<(), ClusterError> {
        let path = managed(path);
        let kind = "application/strategic-merge-patch+json";
        self.send_with("PATCH", &path, kind, changes.to_string().into_bytes()).await.map(drop)
    }

    /// Deletes the object at `path`; it may be gone already.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClusterError> {
        match self.send("DELETE", path, Vec::new()).await {
            Err(error) if error.is("NotFound") => Ok(()),
            other => other.map(drop),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Value, ClusterError> {
        self.send_with(method, path, JSON, body).await
    }

    async fn send_with(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<Value, ClusterError> {
        let request = Request::builder().method(method).uri(format!("/{path}")).header(CONTENT_TYPE, kind);
        let request = request.body(body).map_err(|error| ClusterError::Unreachable(kube::Error::HttpError(error)))?;
        self.client.request(request).await.map_err(|error| refused(path, error))
    }
}

impl ClusterError {
    /// Whether the API server gives this reason.
    pub(crate) fn is(&self, reason: &str) -> bool {
        matches!(self, Self::Refused { message, .. } if message.starts_with(reason))
    }
}

/// In the API server's own words, where it is its refusal.
fn refused(path: &str, error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) => {
            // Of a group that nobody has installed there is no more than the code.
            let reason = if status.code == NOT_FOUND { "NotFound" } else { status.reason.as_str() };
            let message = if status.message.is_empty() { reason.to_owned() } else { status.message.clone() };
            ClusterError::Refused { path: path.to_owned(), message: with_reason(reason, message) }
        }
        other => ClusterError::Unreachable(other),
    }
}

/// With who writes, for those who look at `managedFields`.
fn managed(path: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}fieldManager={MANAGER}")
}

fn with_reason(reason: &str, message: String) -> String {
    if message.starts_with(reason) { message } else { format!("{reason}: {message}") }
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
