//! An API server for tests: objects by path, with the optimistic concurrency of the real one. It knows no watch.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_service::Service;

#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    conflicts: usize,
}

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.state().objects[path].clone()
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state().store(path, object);
    }

    /// How many writes came too late.
    pub(crate) fn conflicts(&self) -> usize {
        self.state().conflicts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> (StatusCode, Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        (StatusCode::OK, object)
    }

    fn answer(&mut self, method: &Method, path: &str, object: Value) -> (StatusCode, Value) {
        let path = match object["metadata"]["name"].as_str() {
            Some(name) if *method == Method::POST => format!("{path}/{name}"),
            _ => path.to_owned(),
        };
        let version = self.objects.get(&path).map(|stored| stored["metadata"]["resourceVersion"].clone());
        match (method.as_str(), version) {
            ("GET", Some(_)) => (StatusCode::OK, self.objects[&path].clone()),
            ("GET" | "PUT", None) => failure(StatusCode::NOT_FOUND, "NotFound"),
            ("PUT", Some(version)) if version != object["metadata"]["resourceVersion"] => self.conflict("Conflict"),
            ("POST", Some(_)) => self.conflict("AlreadyExists"),
            ("PUT" | "POST", _) => self.store(&path, object),
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn conflict(&mut self, reason: &str) -> (StatusCode, Value) {
        self.conflicts += 1;
        failure(StatusCode::CONFLICT, reason)
    }
}

fn failure(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    let message = if reason == "NotFound" { "not found" } else { reason };
    let object = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": status.as_u16(),
    });
    (status, object)
}

impl Service<Request<Body>> for FakeApi {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let object = serde_json::from_slice(&body).unwrap_or_default();
            // Others get their turn between a read and the write that follows.
            tokio::task::yield_now().await;
            let (status, object) = api.state().answer(&head.method, head.uri.path(), object);
            let mut response = Response::new(Full::from(object.to_string()));
            *response.status_mut() = status;
            Ok(response)
        })
    }
}
