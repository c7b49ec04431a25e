//! A stand-in of an API server, as far as the webhook asks one: its version, lists of service accounts in pages, watches in
//! which nothing happens, and objects that are stored as they are written. Over TLS, as everywhere.
//!
//! For what needs many service accounts at once, or no cluster at all; what the webhook and a real API server make of each
//! other is seen with a real one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chart::NAMESPACE;
use crate::tls_server::{Authority, TlsServer, Visit};

/// Where all service accounts are.
pub const ACCOUNTS_NAMESPACE: &str = "shop";

/// The webhook's own objects.
const SECRET: &str = "azure-wi-webhook-server-cert";
const CONFIGURATION: &str = "azure-wi-webhook-mutating-webhook-configuration";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const ACCOUNTS: &str = "/api/v1/serviceaccounts";

/// A watch in which nothing happens.
const SILENCE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The service accounts of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Accounts {
    /// How many there are.
    pub all: usize,
    /// The first so many have annotations of ours.
    pub annotated: usize,
}

/// The name of one of them; all are equally long.
pub fn account_name(number: usize) -> String {
    format!("cart-{number:06}")
}

/// A running one, for one webhook.
pub struct ApiServer {
    server: TlsServer,
    objects: Arc<Mutex<Objects>>,
    directory: TempDir,
}

/// By path.
type Objects = BTreeMap<String, Value>;

impl ApiServer {
    /// With these service accounts.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(accounts: Accounts) -> anyhow::Result<Self> {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": CONFIGURATION, "resourceVersion": "1" },
            "webhooks": [{ "name": "mutation.azure-workload-identity.io", "clientConfig": {} }],
        });
        let objects = Objects::from([(format!("{CONFIGURATIONS}/{CONFIGURATION}"), configuration)]);
        let objects = Arc::new(Mutex::new(objects));
        let authority = Authority::new("a cluster")?;
        let stored = Arc::clone(&objects);
        let answer = move |visit: &Visit| answer(visit, accounts, &mut lock(&stored));
        let server = TlsServer::start_with(authority.certify(&["127.0.0.1"])?, answer)?;
        let directory = TempDir::with_prefix("azwi-api-server-")?;
        let api = Self { server, objects, directory };
        fs::write(api.kubeconfig(), config(api.server.port(), authority.pem()).to_string())?;
        Ok(api)
    }

    /// How it is reached.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Who vouches for the webhook, as PEM text.
    ///
    /// # Errors
    /// If it has not said so yet.
    pub fn webhook_authority(&self) -> anyhow::Result<Vec<u8>> {
        let objects = lock(&self.objects);
        let secret = objects.get(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"));
        let ca = secret.and_then(|secret| secret.pointer("/data/ca.crt")?.as_str());
        Ok(STANDARD.decode(ca.context("the webhook has stored no certificate")?)?)
    }
}

fn config(port: u16, ca: &str) -> Value {
    let cluster =
        json!({ "server": format!("https://127.0.0.1:{port}"), "certificate-authority-data": STANDARD.encode(ca) });
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{ "name": "it", "cluster": cluster }],
        "users": [{ "name": "it", "user": { "token": "webhook" } }],
        "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
    })
}

fn answer(visit: &Visit, accounts: Accounts, objects: &mut Objects) -> String {
    let mut words = visit.request_line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match (method, path) {
        _ if parameter("watch").is_some() => SILENCE.to_owned(),
        ("GET", "/version") => response(200, &version()),
        ("GET", ACCOUNTS) => response(200, &accounts.page(parameter("limit"), parameter("continue"))),
        ("GET", _) if parameter("fieldSelector").is_some() => response(200, &list(&[], None)),
        ("GET", _) => objects.get(path).map_or_else(not_found, |object| response(200, object)),
        _ => store(method, path, &visit.body, objects),
    }
}

fn store(method: &str, path: &str, body: &str, objects: &mut Objects) -> String {
    let mut object: Value = serde_json::from_str(body).unwrap_or_default();
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let path = if method == "POST" { format!("{path}/{name}") } else { path.to_owned() };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), "2".into());
    }
    let answer = response(200, &object);
    objects.insert(path, object);
    answer
}

fn response(status: u16, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn not_found() -> String {
    let failure =
        json!({ "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404, "metadata": {} });
    response(404, &failure)
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.25", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn list(items: &[Value], next: Option<usize>) -> Value {
    let next = next.map(|next| next.to_string()).unwrap_or_default();
    json!({
        "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
        "metadata": { "resourceVersion": "1", "continue": next }, "items": items,
    })
}

impl Accounts {
    fn page(self, limit: Option<&str>, from: Option<&str>) -> Value {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
        let first = number(from).unwrap_or(0);
        let end = number(limit).map_or(self.all, |limit| self.all.min(first + limit));
        list(&(first..end).map(|number| self.account(number)).collect::<Vec<_>>(), (end < self.all).then_some(end))
    }

    /// With what the API server says of who wrote it, which is more than all else.
    fn account(self, number: usize) -> Value {
        let mut metadata = json!({
            "name": account_name(number), "namespace": ACCOUNTS_NAMESPACE, "resourceVersion": "1",
            "uid": format!("8f0b6f0a-5a1f-4a43-9a5c-{number:012}"), "creationTimestamp": "2026-01-01T00:00:00Z",
        });
        if let (true, Some(metadata)) = (number < self.annotated, metadata.as_object_mut()) {
            let client_id = format!("22222222-2222-4222-8222-{number:012}");
            let fields = json!({ "f:metadata": { "f:annotations": {
                ".": {}, "f:azure.workload.identity/client-id": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {},
            } } });
            let applied = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
                "annotations": { "azure.workload.identity/client-id": client_id }, "name": account_name(number),
            } });
            metadata.insert(
                "annotations".to_owned(),
                json!({
                    "azure.workload.identity/client-id": client_id,
                    "kubectl.kubernetes.io/last-applied-configuration": applied.to_string(),
                }),
            );
            metadata.insert(
                "managedFields".to_owned(),
                json!([{
                    "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
                    "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields,
                }]),
            );
        }
        json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
