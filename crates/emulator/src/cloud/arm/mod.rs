//! Azure Resource Manager, as much of it as setting up a federation takes: managed identities with their federated
//! identity credentials, role definitions and role assignments (<https://learn.microsoft.com/rest/api/azure/>).

mod credentials;
mod identities;
mod path;
mod role_assignments;
mod role_definitions;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud::call::Call;
use crate::cloud::caller::Unauthenticated;
use crate::cloud::page::{self, BadPage};
use crate::cloud::{Answer, Outcome, Problem, Surface};
use crate::entra::Entra;
use crate::faults::Api;
use path::ResourcePath;

const AUDIENCES: &[&str] = &["https://management.azure.com", "https://management.core.windows.net"];
const PAGE: usize = 200;
const MAX_PAGE: usize = 1000;

/// What Resource Manager is in the middle of.
#[derive(Debug, Default)]
pub(crate) struct Arm {
    /// Identities whose credentials are being written.
    writing: Mutex<HashSet<String>>,
}

/// A managed identity belongs to one writer of credentials until this is dropped.
struct Writing<'a> {
    arm: &'a Arm,
    identity: String,
}

impl Arm {
    fn begin(&self, identity: &str) -> Option<Writing<'_>> {
        let identity = identity.to_ascii_lowercase();
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Lazily: dropping one ends the other's turn.
        writing.insert(identity.clone()).then(|| Writing { arm: self, identity })
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.arm.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.identity);
    }
}

pub(crate) struct ResourceManager;

impl Surface for ResourceManager {
    const API: Api = Api::Arm;
    const AUDIENCES: &'static [&'static str] = AUDIENCES;

    fn serves(path: &str) -> bool {
        let path = path.to_ascii_lowercase();
        path.starts_with("/subscriptions/") || path.contains("/providers/")
    }

    fn unauthenticated(reason: &Unauthenticated) -> Problem {
        let (code, message) = match reason {
            Unauthenticated::Missing => {
                ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.".to_owned())
            }
            Unauthenticated::Invalid => (
                "InvalidAuthenticationToken",
                "The received access token is not valid: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present. If you are accessing as application please make sure service principal is properly created in the tenant.".to_owned(),
            ),
            Unauthenticated::Expired => ("ExpiredAuthenticationToken", "The access token has expired.".to_owned()),
            Unauthenticated::Audience(audience) => (
                "InvalidAuthenticationTokenAudience",
                format!(
                    "The access token has been obtained for wrong audience or resource '{audience}'. It should exactly match with one of the allowed audiences '{}'.",
                    AUDIENCES.join("','")
                ),
            ),
        };
        Problem::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// Of a subscription's, as Resource Manager has it in its challenge.
    fn tenant_of(entra: &Entra, path: &str) -> Option<Uuid> {
        let (_, rest) = path.trim_start_matches('/').split_once('/')?;
        let subscription = Uuid::parse_str(rest.split('/').next()?).ok()?;
        let config = entra.directory.now();
        config.tenants.iter().find(|tenant| tenant.subscriptions.contains(&subscription)).map(|tenant| tenant.id)
    }

    fn usual(status: StatusCode) -> Problem {
        let (code, message) = match status.as_u16() {
            403 => (
                "AuthorizationFailed",
                "The client does not have authorization to perform the action over the scope or the scope is invalid. If access was recently granted, please refresh your credentials.",
            ),
            404 => ("ResourceNotFound", "The resource was not found."),
            409 => ("Conflict", "The request conflicts with the state of the resource."),
            429 => (
                "TooManyRequests",
                "The request is being throttled as the limit has been reached for operation type. Please retry later.",
            ),
            500.. => ("ServerTimeout", "The request timed out. Please retry later."),
            _ => ("BadRequest", "The request is invalid."),
        };
        Problem::new(status, code, message)
    }

    fn error(problem: &Problem, _: &str) -> Value {
        json!({ "error": { "code": problem.code, "message": problem.message } })
    }

    async fn answer(entra: &Entra, call: &Call) -> Outcome {
        check_api_version(call)?;
        let path = ResourcePath::parse(&call.segments).ok_or_else(|| no_type(call))?;
        check_subscription(entra, call, &path)?;
        let parts: Vec<_> = path.parts.iter().map(|part| part.to_ascii_lowercase()).collect();
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        match (path.namespace.to_ascii_lowercase().as_str(), parts.as_slice()) {
            ("microsoft.managedidentity", ["userassignedidentities"]) => identities::list(entra, call, &path),
            ("microsoft.managedidentity", ["userassignedidentities", _]) => identities::answer(entra, call, &path),
            ("microsoft.managedidentity", ["userassignedidentities", _, "federatedidentitycredentials", ..]) => {
                credentials::answer(entra, call, &path).await
            }
            ("microsoft.authorization", ["roledefinitions", ..]) => role_definitions::answer(call, &path),
            ("microsoft.authorization", ["roleassignments", ..]) => role_assignments::answer(entra, call, &path),
            _ => Err(no_type(call)),
        }
    }
}

fn check_api_version(call: &Call) -> Result<(), Problem> {
    let Some(version) = call.parameter("api-version") else {
        let text = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(Problem::bad_request("MissingApiVersionParameter", text));
    };
    let date = version.strip_suffix("-preview").unwrap_or(version);
    let is_date = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_date {
        return Ok(());
    }
    Err(Problem::bad_request("InvalidApiVersionParameter", format!("The api-version '{version}' is invalid.")))
}

/// Each tenant has its own.
fn check_subscription(entra: &Entra, call: &Call, path: &ResourcePath) -> Result<(), Problem> {
    let Some(subscription) = path.subscription() else { return Ok(()) };
    let Ok(id) = Uuid::try_parse(subscription) else {
        let text = format!("The provided subscription identifier '{subscription}' is malformed or invalid.");
        return Err(Problem::bad_request("InvalidSubscriptionId", text));
    };
    let config = entra.directory.now();
    let known = config.tenant(&call.caller.tenant.to_string()).is_some_and(|tenant| tenant.subscriptions.contains(&id));
    if known {
        return Ok(());
    }
    Err(Problem::not_found("SubscriptionNotFound", format!("The subscription '{subscription}' could not be found.")))
}

fn no_type(call: &Call) -> Problem {
    let text = format!("The resource type of '{}' could not be found in the namespace for the api version.", call.path);
    Problem::not_found("InvalidResourceType", text)
}

fn not_allowed(method: &Method) -> Problem {
    let text = format!("The requested resource does not support http method '{method}'.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "UnsupportedHttpMethod", text)
}

fn body(call: &Call) -> Result<Value, Problem> {
    let text = "The request content was invalid and could not be deserialized.";
    call.object().ok_or_else(|| Problem::bad_request("InvalidRequestContent", text))
}

fn list(call: &Call, items: Vec<Value>) -> Outcome {
    let page = page::of(items, call, PAGE, &(1..=MAX_PAGE)).map_err(|problem| {
        let text = match problem {
            BadPage::Size(size) => format!("The $top value '{size}' is invalid."),
            BadPage::Token => "The $skiptoken value is invalid.".to_owned(),
        };
        Problem::bad_request("BadRequest", text)
    })?;
    let mut body = json!({ "value": page.items });
    if let (Some(next), Some(body)) = (page.next, body.as_object_mut()) {
        body.insert("nextLink".to_owned(), next.into());
    }
    Ok(Answer::ok(body))
}
