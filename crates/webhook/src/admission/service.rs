//! Answers requests of the API server: a review in, a verdict out.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, timeout_at};

use super::body::{Bodies, BodyError};
use super::deadline;
use super::review::{Envelope, Review, Verdict};
use crate::accounts::{Accounts, LookupError, Origin, Source};
use crate::metrics::Metrics;
use crate::mutate::{self, Mutation, Pod, ServiceAccount, Settings};

/// The path that the webhook configuration names.
const PATH: &str = "/mutate-v1-pod";

/// Everything a verdict depends on.
pub(crate) struct Admission<S> {
    accounts: Accounts<S>,
    settings: Settings,
    metrics: Arc<Metrics>,
    bodies: Bodies,
}

impl<S: Source> Admission<S> {
    /// Mutates pods by `settings` and by what `accounts` know.
    pub(crate) fn new(accounts: Accounts<S>, settings: Settings, metrics: Arc<Metrics>) -> Self {
        Self { accounts, settings, metrics, bodies: Bodies::new() }
    }

    /// Answers one request; never fails, so that the connection goes on.
    pub(crate) async fn respond<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let response = match (request.uri().path(), request.method()) {
            (PATH, &Method::POST) => self.answer(request).await,
            (PATH, _) => not_allowed(),
            _ => status(StatusCode::NOT_FOUND),
        };
        Ok(response)
    }

    async fn answer<B: Body<Data = Bytes> + Unpin>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let deadline = Instant::now() + deadline::allowed(request.uri().query());
        let body = request.into_body();
        let answer =
            timeout_at(deadline, self.bodies.with(body, async |body: &[u8]| self.review(body, deadline).await));
        let answer = match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => self.unreadable(if error == BodyError::TooLarge { 413 } else { 400 }, &error.to_string()),
            Err(_) => self.unreadable(408, "the review did not arrive in time"),
        };
        let mut response = Response::new(Full::from(answer));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn unreadable(&self, code: u16, why: &str) -> String {
        self.metrics.reviews.invalid.inc();
        tracing::warn!(why, "a review cannot be read");
        Envelope::unknown().answer(&Verdict::Denied { code, message: why.to_owned() })
    }

    async fn review(&self, body: &[u8], deadline: Instant) -> String {
        let started = Instant::now();
        let review = match Review::parse(body) {
            Ok(review) => review,
            Err(answer) => {
                self.metrics.reviews.invalid.inc();
                return answer;
            }
        };
        let verdict = self.judge(&review, deadline).await;
        self.metrics.durations.observe(&review.namespace, started.elapsed());
        review.envelope.answer(&verdict)
    }

    async fn judge(&self, review: &Review<'_>, deadline: Instant) -> Verdict {
        let reviews = &self.metrics.reviews;
        let pod = match &review.pod {
            Ok(pod) => pod,
            Err(denial) => return denied(&review.namespace, "", denial.0.clone(), &reviews.denied),
        };
        let name = pod.service_account_name();
        match self.find(&review.namespace, name, deadline).await {
            Ok(account) => self.mutate(&review.namespace, pod, &account),
            Err(error @ LookupError::NotFound(_)) => {
                denied(&review.namespace, name, error.to_string(), &reviews.no_service_account)
            }
            Err(error @ LookupError::Unavailable(..)) => {
                reviews.failed.inc();
                tracing::error!(namespace = &*review.namespace, service_account = name, %error, "failed");
                Verdict::Denied { code: 503, message: error.to_string() }
            }
        }
    }

    async fn find(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Arc<ServiceAccount>, LookupError> {
        let lookups = &self.metrics.lookups;
        let found = self.accounts.find(namespace, name, deadline).await;
        let counter = match &found {
            Ok((_, Origin::Memory)) => &lookups.memory,
            Ok((_, Origin::Cluster)) => &lookups.cluster,
            Err(LookupError::NotFound(_)) => &lookups.not_found,
            Err(LookupError::Unavailable(..)) => &lookups.unavailable,
        };
        counter.inc();
        found.map(|(account, _)| account)
    }

    fn mutate(&self, namespace: &str, pod: &Pod<'_>, account: &ServiceAccount) -> Verdict {
        let (reviews, name) = (&self.metrics.reviews, pod.service_account_name());
        match mutate::mutate(pod, account, &self.settings) {
            Ok(Mutation { patch, warnings }) => {
                if patch.is_some() { &reviews.patched } else { &reviews.unchanged }.inc();
                tracing::debug!(
                    namespace,
                    service_account = name,
                    patched = patch.is_some(),
                    warnings = warnings.len(),
                    "allowed"
                );
                Verdict::Allowed { patch, warnings }
            }
            Err(denial) => denied(namespace, name, denial.0, &reviews.denied),
        }
    }
}

fn denied(namespace: &str, service_account: &str, why: String, counter: &Counter) -> Verdict {
    counter.inc();
    tracing::info!(namespace, service_account, why, "denied");
    Verdict::bad_request(why)
}

fn not_allowed() -> Response<Full<Bytes>> {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
pub(super) mod tests {
    use std::future::pending;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::Frame;
    use serde_json::{Value, json};

    use super::super::body;
    use super::*;
    use crate::accounts::Store;

    /// Knows `demo/cart`, denies that there are others, and does not answer for the namespace `slow`.
    pub(in crate::admission) struct Cluster;

    impl Source for Cluster {
        async fn fetch(&self, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, String> {
            match (namespace, name) {
                ("demo", "cart") => Ok(Some(ServiceAccount::default())),
                ("slow", _) => pending().await,
                _ => Ok(None),
            }
        }
    }

    fn admission() -> Admission<Cluster> {
        let accounts = Accounts::new(Arc::new(Store::default()), Cluster);
        Admission::new(accounts, settings(), Arc::new(Metrics::new(0)))
    }

    pub(in crate::admission) fn settings() -> Settings {
        Settings {
            audience: "api://AzureADTokenExchange".to_owned(),
            authority_host: "https://login.microsoftonline.com/".to_owned(),
            tenant_id: "11111111-1111-4111-8111-111111111111".to_owned(),
            proxy_image: "proxy".to_owned(),
            proxy_init_image: "proxy-init".to_owned(),
            native_sidecar: true,
            log_level: String::new(),
            token_endpoint: None,
        }
    }

    fn review(namespace: &str, account: &str) -> Vec<u8> {
        let containers = json!([{ "name": "app", "image": "app" }]);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "cart-1" },
            "spec": { "serviceAccountName": account, "containers": containers },
        });
        let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
        let request = json!({ "uid": "u", "kind": kind, "namespace": namespace, "object": pod });
        json!({ "apiVersion": "admission.k8s.io/v1", "request": request }).to_string().into_bytes()
    }

    async fn post(admission: &Admission<Cluster>, body: impl Body<Data = Bytes> + Unpin) -> Value {
        let request = Request::post("/mutate-v1-pod?timeout=3s").body(body).unwrap();
        let Ok(response) = admission.respond(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = serde_json::from_slice(&response.collect().await.unwrap().to_bytes()).unwrap();
        answer["response"].clone()
    }

    async fn ask(admission: &Admission<Cluster>, namespace: &str, account: &str) -> Value {
        post(admission, Full::from(review(namespace, account))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_with_a_service_account_is_patched() {
        let admission = admission();
        let response = ask(&admission, "demo", "cart").await;
        assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
        assert_eq!(admission.metrics.reviews.patched.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_without_its_service_account_is_denied_by_name() {
        let admission = admission();
        let response = ask(&admission, "demo", "till").await;
        assert_eq!(response["status"]["code"], 400);
        assert_eq!(response["status"]["message"], "service account demo/till not found");
        assert_eq!(admission.metrics.reviews.no_service_account.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_comes_before_the_api_server_gives_up() {
        let started = Instant::now();
        let response = ask(&admission(), "slow", "cart").await;
        assert_eq!(response["status"]["code"], 503);
        assert_eq!(response["uid"], "u");
        assert!(started.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_review_that_does_not_end_is_answered_too() {
        let started = Instant::now();
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, ()>>());
        assert_eq!(post(&admission(), endless).await["status"]["code"], 408);
        assert!(started.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_review_that_is_too_large_is_answered_with_the_limit() {
        let response = post(&admission(), Full::from(vec![b' '; body::MAX + 1])).await;
        assert_eq!(response["status"]["message"], "the review is larger than 7 MiB");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_else_is_served() {
        let admission = admission();
        for (method, path, wanted) in [("GET", "/mutate-v1-pod", 405), ("POST", "/", 404), ("POST", "/mutate", 404)] {
            let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap();
            let Ok(response) = admission.respond(request).await;
            assert_eq!(response.status(), wanted);
        }
    }
}
