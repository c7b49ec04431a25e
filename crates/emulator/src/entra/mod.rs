//! Entra's token endpoint: transport, faults and log around the checks of [`exchange`].

pub(crate) mod aadsts;
pub(crate) mod access_token;
mod answer;
mod assertion;
mod certificate;
pub(crate) mod exchange;
mod federation;
mod form;
mod metadata;
mod scope;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Method, Request, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::cloud::{self, arm::Arm};
use crate::config::Config;
use crate::connection::ConnectionHandle;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::discovery::Discovery;
use crate::entra::aadsts::{Aadsts, Facts, NOT_POST};
use crate::entra::answer::{Granted, Refused, RequestIds};
use crate::entra::assertion::Assertion;
use crate::entra::exchange::{Checks, Grant};
use crate::entra::form::TokenForm;
use crate::faults::{Api, Fault, Faults};
use crate::signing_key::{SigningKey, SigningKeyError};

const MAX_BODY: usize = 64 * 1024;

pub(crate) struct Entra {
    pub(crate) directory: Directory,
    /// `https://host:port/`.
    pub(crate) authority: String,
    /// The issuer of credentials that name none.
    pub(crate) own_issuer: String,
    pub(crate) key: SigningKey,
    pub(crate) discovery: Discovery,
    pub(crate) arm: Arm,
    pub(crate) faults: Faults,
    pub(crate) counters: Arc<Counters>,
}

/// How a token request ended.
enum Outcome {
    Token(Granted),
    Refused(Refused),
    Garbage,
    Hang,
    Reset,
}

pub(crate) fn router(entra: Arc<Entra>) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", any(token))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(metadata::v2))
        .route("/{tenant}/.well-known/openid-configuration", get(metadata::v1))
        .route("/{tenant}/discovery/v2.0/keys", get(metadata::keys))
        .merge(cloud::router())
        .with_state(entra)
}

async fn token(
    State(entra): State<Arc<Entra>>,
    Path(tenant): Path<String>,
    Extension(connection): Extension<ConnectionHandle>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let form = read_form(&head.headers, &body);
    let client_id = form.client_id.as_deref();
    entra.counters.arrived(client_id, head.version == Version::HTTP_2);
    let mut facts = first_facts(&tenant, &head.method, &form);
    let ids = RequestIds::of(&head.headers);
    let outcome = match entra.decide(&head.method, &tenant, &form, &mut facts).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, "cannot issue a token");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    entra.record(&outcome, &facts, &ids);
    answer(outcome, &facts, &ids, &connection).await
}

/// Anything but a form is read as an empty one, as Entra does.
fn read_form(headers: &axum::http::HeaderMap, body: &Bytes) -> TokenForm {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    if is_form { TokenForm::parse(body) } else { TokenForm::default() }
}

/// What injected errors and the log tell even when no check has run.
fn first_facts(tenant: &str, method: &Method, form: &TokenForm) -> Facts {
    let mut facts = Facts::default();
    facts.set("tenant", tenant);
    facts.set("method", method.as_str());
    facts.set("client_id", form.client_id.as_deref().unwrap_or_default());
    let scope = form.scope.as_deref().unwrap_or_default();
    facts.set("scope", scope);
    facts.set("resource", scope::resource(scope).unwrap_or_default());
    if let Some(jwt) = &form.client_assertion {
        // Only for what it adds to the facts.
        let _ = Assertion::read(jwt, &mut facts);
    }
    facts
}

impl Entra {
    async fn decide(
        &self,
        method: &Method,
        tenant: &str,
        form: &TokenForm,
        facts: &mut Facts,
    ) -> Result<Outcome, SigningKeyError> {
        let arrived = Instant::now();
        // Whatever has come at the same time has arrived before any of it is worked on.
        tokio::task::yield_now().await;
        let fault = self.faults.take(Api::Token, form.client_id.as_deref());
        let outcome = self.outcome(&fault, method, tenant, form, facts).await;
        if let Some(latency) = fault.latency_ms {
            // The emulator's own work is a part of it, so that many answers at once do not take longer than one.
            tokio::time::sleep_until(arrived + Duration::from_millis(latency)).await;
        }
        outcome
    }

    async fn outcome(
        &self,
        fault: &Fault,
        method: &Method,
        tenant: &str,
        form: &TokenForm,
        facts: &mut Facts,
    ) -> Result<Outcome, SigningKeyError> {
        if let Some(outcome) = injected(fault) {
            return Ok(outcome);
        }
        let config = self.directory.seen_by_token_endpoint(form.client_id.as_deref());
        match self.check(&config, method, tenant, form, facts).await {
            Ok(grant) => self.issue(&grant, fault).map(Outcome::Token),
            Err(code) => Ok(Outcome::Refused(Refused::of(code))),
        }
    }

    async fn check<'a>(
        &'a self,
        config: &'a Config,
        method: &Method,
        tenant: &str,
        form: &TokenForm,
        facts: &mut Facts,
    ) -> Result<Grant<'a>, Aadsts> {
        if method != Method::POST {
            return Err(NOT_POST);
        }
        let checks = Checks {
            config,
            own_issuer: &self.own_issuer,
            authority: &self.authority,
            keys: &self.discovery,
            now: OffsetDateTime::now_utc(),
        };
        checks.run(tenant, form, facts).await
    }

    fn issue(&self, grant: &Grant<'_>, fault: &Fault) -> Result<Granted, SigningKeyError> {
        let lifetime = fault.token_lifetime.unwrap_or(grant.application.token_lifetime);
        let access_token = access_token::issue(
            &self.key,
            grant.tenant,
            grant.application,
            &grant.resource,
            grant.proof,
            OffsetDateTime::now_utc().unix_timestamp(),
            lifetime,
        )?;
        let refresh_in = fault.refresh_in.or(grant.application.refresh_in);
        Ok(Granted::new(access_token, lifetime, refresh_in))
    }

    fn record(&self, outcome: &Outcome, facts: &Facts, ids: &RequestIds) {
        let (name, code) = match outcome {
            Outcome::Token(_) => ("token", None),
            Outcome::Refused(refusal) => ("refused", Some(refusal.code)),
            Outcome::Garbage => ("garbage", None),
            Outcome::Hang => ("hang", None),
            Outcome::Reset => ("reset", None),
        };
        match (outcome, code) {
            (Outcome::Token(_), _) => self.counters.succeeded(),
            (_, Some(code)) => self.counters.refused(code),
            _ => {}
        }
        tracing::info!(
            outcome = name,
            aadsts = code.map(|code| code.0),
            tenant = facts.get("tenant"),
            client_id = facts.get("client_id"),
            scope = facts.get("scope"),
            issuer = facts.get("issuer"),
            subject = facts.get("subject"),
            audience = facts.get("audience"),
            trace_id = %ids.trace_id,
            correlation_id = %ids.correlation_id,
            "token request"
        );
    }
}

fn injected(fault: &Fault) -> Option<Outcome> {
    if fault.hang {
        return Some(Outcome::Hang);
    }
    if fault.reset {
        return Some(Outcome::Reset);
    }
    if fault.garbage {
        return Some(Outcome::Garbage);
    }
    let code = fault.refusal()?;
    Some(Outcome::Refused(Refused {
        code,
        status: fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(code.status()),
        retry_after: fault.retry_after,
    }))
}

async fn answer(outcome: Outcome, facts: &Facts, ids: &RequestIds, connection: &ConnectionHandle) -> Response {
    match outcome {
        Outcome::Token(token) => token.respond(ids),
        Outcome::Refused(refusal) => refusal.respond(facts, ids, OffsetDateTime::now_utc()),
        Outcome::Garbage => "<html><body>Service temporarily unusual</body></html>".into_response(),
        Outcome::Hang => std::future::pending().await,
        Outcome::Reset => {
            connection.reset();
            std::future::pending().await
        }
    }
}
