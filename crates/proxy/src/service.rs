//! One request, from hyper's types to the answer.
//!
//! A cached token is answered in the synchronous part of the service: no task, no allocation that outlives the
//! request. Everything else waits in a boxed future.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use azwi_entra::Resource;
use azwi_imds::{Failure, Policy, Rejection, TokenRequest};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Body;
use prometheus_client::metrics::counter::Counter;

use crate::cache::TokenCache;
use crate::clock::Clock;
use crate::concerns::Concerns;
use crate::failure::{self, misconfigured};
use crate::identities::{Identities, Unresolved};
use crate::metrics::{Metrics, Requests};
use crate::pace::Pace;
use crate::passthrough::{self, Passthrough, Streamed};
use crate::readiness::{self, Readiness};
use crate::slot::{Demand, Slot};

const NO_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE is not set";

/// Made here, or streamed from the real metadata service.
pub(crate) type AnswerBody = Either<Full<Bytes>, Streamed>;

/// What hyper writes.
pub(crate) type Answer = Response<AnswerBody>;

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
    /// The real metadata service, if apps may reach it.
    pub passthrough: Option<Passthrough>,
    /// Refusals before anybody is asked.
    pub refusals: Pace,
    /// What is worth a warning.
    pub concerns: Arc<Concerns>,
    /// What is counted, if anybody wants to know.
    pub metrics: Option<Arc<Metrics>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl App {
    /// Answers a request, at once where that is possible, and in any case where it `is_crowded`.
    pub(crate) fn answer<B>(&self, mut request: Request<B>, is_crowded: bool) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let uri = request.uri();
        match uri.path() {
            "/livez" => return probed(request.method(), ok).into(),
            "/readyz" => return probed(request.method(), || self.readyz()).into(),
            _ => {}
        }
        let parsed = azwi_imds::parse(request.method(), uri.path(), uri.query(), request.headers(), &self.policy);
        match parsed {
            Ok(azwi_imds::Request::Token(wanted)) => match self.token(wanted) {
                Ok(Token::Cached(body)) => {
                    self.count(|requests| &requests.cached);
                    token(mem::take(request.headers_mut()), body).into()
                }
                Ok(Token::Wanted(slot, _)) if is_crowded => self.without_waiting(&slot).into(),
                Ok(Token::Wanted(slot, demand)) => self.wait(slot, demand),
                Err(refused) => (*refused).into(),
            },
            Ok(azwi_imds::Request::IdentityInfo) => self.identity_info().into(),
            Ok(azwi_imds::Request::Category { .. }) if is_crowded && self.passthrough.is_some() => {
                self.count(|requests| &requests.passthrough_failed);
                full(failure::crowded().response()).into()
            }
            Ok(azwi_imds::Request::Category { path }) => self.pass_through(request, path),
            Err(rejection) => self.reject(rejection).into(),
        }
    }

    fn count<'a>(&'a self, counter: impl FnOnce(&'a Requests) -> &'a Counter) {
        if let Some(metrics) = &self.metrics {
            counter(&metrics.requests).inc();
        }
    }

    /// The token, where it lies, or why there is none.
    fn token(&self, request: TokenRequest<'_>) -> Result<Token, Box<Answer>> {
        let identity = match self.identities.resolve(request.selector.as_ref()) {
            Ok(identity) => identity,
            Err(Unresolved::Rejected(rejection)) => return Err(Box::new(self.reject(rejection))),
            Err(Unresolved::Misconfigured(what)) => return Err(Box::new(self.refuse(&misconfigured(what)))),
        };
        let Some(tokens) = &self.tokens else {
            return Err(Box::new(self.refuse(&misconfigured(NO_TOKEN_FILE))));
        };
        let now = self.clock.now();
        let slot = tokens
            .slot(identity, request.resource, now.monotonic)
            .map_err(|_| self.reject(Rejection::MalformedResource))?;
        let demand = if request.bypass_cache { Demand::New } else { Demand::Any };
        let cached = if demand == Demand::Any { slot.ready(now) } else { None };
        Ok(cached.map_or_else(|| Token::Wanted(slot, demand), Token::Cached))
    }

    /// Where the default identity's token for `resource` will lie, or why there can be none.
    pub(crate) fn default_slot(&self, resource: &Resource) -> Result<Arc<Slot>, String> {
        let identity = self.identities.resolve(None).map_err(|unresolved| unresolved.to_string())?;
        let tokens = self.tokens.as_ref().ok_or(NO_TOKEN_FILE)?;
        tokens.slot(identity, resource.as_str().into(), self.clock.now().monotonic).map_err(|error| error.to_string())
    }

    /// The token that is there, even if a better one would be waited for otherwise.
    fn without_waiting(&self, slot: &Arc<Slot>) -> Answer {
        let outcome = slot.valid().ok_or_else(|| Box::new(failure::crowded()));
        if let Some(metrics) = &self.metrics {
            metrics.requests.waited(&outcome).inc();
        }
        from_outcome(outcome)
    }

    fn wait(&self, slot: Arc<Slot>, demand: Demand) -> Answering {
        let metrics = self.metrics.clone();
        Answering::Later(Box::pin(async move {
            let outcome = slot.wait(demand).await;
            if let Some(metrics) = &metrics {
                metrics.requests.waited(&outcome).inc();
            }
            from_outcome(outcome)
        }))
    }

    fn pass_through<B>(&self, request: Request<B>, path: String) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Some(passthrough) = self.passthrough.clone() else {
            self.count(|requests| &requests.passthrough_blocked);
            return full(passthrough::blocked().response()).into();
        };
        let metrics = self.metrics.clone();
        Answering::Later(Box::pin(async move {
            let result = passthrough.forward(request, &path).await;
            if let Some(metrics) = &metrics {
                metrics.requests.passed_through(&result).inc();
            }
            match result {
                Ok(response) => response.map(Either::Right),
                Err(failure) => full(failure.response()),
            }
        }))
    }

    fn identity_info(&self) -> Answer {
        let Some(tenant) = self.identities.tenant() else {
            self.count(|requests| &requests.misconfigured);
            return full(misconfigured("AZURE_TENANT_ID is not set").response());
        };
        self.count(|requests| &requests.identity_info);
        full(azwi_imds::identity_info(tenant.as_str()))
    }

    fn reject(&self, rejection: Rejection) -> Answer {
        // These are about how the pod was set up; all others are the request's own affair.
        let is_of_the_pod = matches!(rejection, Rejection::IdentityNotFound | Rejection::MultipleIdentities);
        if is_of_the_pod && self.refusals.admits() {
            tracing::warn!(%rejection, "request rejected");
        } else {
            tracing::debug!(%rejection, "request rejected");
        }
        self.count(|requests| requests.rejected(rejection));
        full(rejection.response())
    }

    fn refuse(&self, failure: &Failure) -> Answer {
        if self.refusals.admits() {
            tracing::error!(description = failure.description, "token refused");
        }
        self.count(|requests| &requests.misconfigured);
        full(failure.response())
    }

    fn readyz(&self) -> Answer {
        let reasons = self.readiness.reasons(self.clock.now().unix);
        if reasons.is_empty() {
            return ok();
        }
        let body = readiness::render(&reasons);
        azwi_imds::json(StatusCode::SERVICE_UNAVAILABLE, Either::Left(Full::from(body)))
    }
}

/// The kubelet's probes ask by GET; HEAD does no harm.
fn probed(method: &Method, answer: impl FnOnce() -> Answer) -> Answer {
    if method == Method::GET || method == Method::HEAD {
        answer()
    } else {
        full(Rejection::MethodNotAllowed.response())
    }
}

fn ok() -> Answer {
    let mut answer = Response::new(Either::Left(Full::from("ok")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// A token that may be handed out, or where it will be.
enum Token {
    Cached(Bytes),
    Wanted(Arc<Slot>, Demand),
}

/// An answer that is there, or one that is waited for.
pub(crate) enum Answering {
    /// At once; taken by the one poll that there is.
    Now(Option<Answer>),
    /// After an exchange, or from the real metadata service.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl From<Answer> for Answering {
    fn from(answer: Answer) -> Self {
        Self::Now(Some(answer))
    }
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(later) => later.as_mut().poll(context).map(Ok),
        }
    }
}

/// The answer to whoever still waits when the sidecar ends.
pub(crate) fn draining() -> Answer {
    full(failure::draining().response())
}

fn from_outcome(outcome: Result<Bytes, Box<Failure>>) -> Answer {
    match outcome {
        Ok(body) => token(HeaderMap::new(), body),
        Err(failure) => full(failure.response()),
    }
}

/// `headers`: the request's, whose memory the answer's take over.
fn token(headers: HeaderMap, body: Bytes) -> Answer {
    azwi_imds::json_in(headers, StatusCode::OK, Either::Left(Full::new(body)))
}

fn full(response: Response<Vec<u8>>) -> Answer {
    response.map(|body| Either::Left(Full::from(body)))
}

#[cfg(test)]
pub(crate) mod tests;
