//! One request, from hyper's types to the answer.
//!
//! A cached token is answered in the synchronous part of the service: no task, no lock, no allocation that outlives the
//! request. Everything else waits in a boxed future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use azwi_imds::{Failure, Policy, Rejection, TokenRequest};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::cache::TokenCache;
use crate::clock::Clock;
use crate::failure::misconfigured;
use crate::identities::{Identities, Unresolved};
use crate::key::Key;
use crate::readiness::{self, Readiness};

/// What hyper writes.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The sidecar behind its listener.
pub(crate) struct App {
    /// How strict the protocol is.
    pub policy: Policy,
    /// Who may be asked for.
    pub identities: Identities,
    /// What is already known; `None` as long as no service account token file is configured.
    pub tokens: Option<TokenCache>,
    /// Whether tokens can be asked for.
    pub readiness: Readiness,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl App {
    /// Answers a request, at once where that is possible.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Answering {
        if request.uri().path() == "/readyz" {
            return Answering::Now(Some(self.readyz(request.method())));
        }
        let uri = request.uri();
        let parsed = azwi_imds::parse(request.method(), uri.path(), uri.query(), request.headers(), &self.policy);
        match parsed {
            Ok(azwi_imds::Request::Token(request)) => self.token(request),
            Ok(azwi_imds::Request::IdentityInfo) => Answering::Now(Some(self.identity_info())),
            Err(rejection) => reject(rejection),
        }
    }

    fn token(&self, request: TokenRequest) -> Answering {
        let identity = match self.identities.resolve(request.selector.as_ref()) {
            Ok(identity) => identity,
            Err(Unresolved::Rejected(rejection)) => return reject(rejection),
            Err(Unresolved::Misconfigured(what)) => return refuse(&misconfigured(what)),
        };
        let Some(tokens) = &self.tokens else {
            return refuse(&misconfigured("AZURE_FEDERATED_TOKEN_FILE is not set"));
        };
        let slot = match Key::new(identity, request.resource) {
            Ok(key) => tokens.slot(key),
            Err(_) => return reject(Rejection::MalformedResource),
        };
        if request.bypass_cache {
            return Answering::Later(Box::pin(async move { from_outcome(slot.wait_for_new().await) }));
        }
        match slot.ready() {
            Some(body) => Answering::Now(Some(token(body))),
            None => Answering::Later(Box::pin(async move { from_outcome(slot.wait().await) })),
        }
    }

    fn identity_info(&self) -> Answer {
        match self.identities.tenant() {
            Some(tenant) => full(azwi_imds::identity_info(tenant.as_str())),
            None => full(misconfigured("AZURE_TENANT_ID is not set").response()),
        }
    }

    fn readyz(&self, method: &Method) -> Answer {
        if method != Method::GET && method != Method::HEAD {
            return full(Rejection::MethodNotAllowed.response());
        }
        let reasons = self.readiness.reasons(self.clock.now().unix);
        if reasons.is_empty() {
            return plain(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"ok"));
        }
        let body = readiness::render(&reasons);
        plain(StatusCode::SERVICE_UNAVAILABLE, "application/json; charset=utf-8", body.into())
    }
}

/// An answer that is there, or one that is waited for.
pub(crate) enum Answering {
    /// Taken by the first poll.
    Now(Option<Answer>),
    /// Waits for an exchange.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for Answering {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match self.get_mut() {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Self::Later(answer) => answer.as_mut().poll(context),
        }
    }
}

fn from_outcome(outcome: Result<Bytes, Failure>) -> Answer {
    match outcome {
        Ok(body) => token(body),
        Err(failure) => full(failure.response()),
    }
}

fn token(body: Bytes) -> Answer {
    plain(StatusCode::OK, "application/json; charset=utf-8", body)
}

fn reject(rejection: Rejection) -> Answering {
    tracing::debug!(%rejection, "request rejected");
    Answering::Now(Some(full(rejection.response())))
}

fn refuse(failure: &Failure) -> Answering {
    tracing::error!(description = failure.description, "token refused");
    Answering::Now(Some(full(failure.response())))
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let length = HeaderValue::from(body.len());
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

fn full(response: Response<Vec<u8>>) -> Answer {
    response.map(Full::from)
}
