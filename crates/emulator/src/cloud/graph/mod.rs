//! Microsoft Graph v1.0, as much of it as setting up a federation takes
//! (<https://learn.microsoft.com/graph/api/overview>).

mod applications;
mod credentials;
mod path;
mod service_principals;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cloud::call::Call;
use crate::cloud::caller::Unauthenticated;
use crate::cloud::filter::{self, Equals};
use crate::cloud::page::{self, BadPage};
use crate::cloud::{Answer, Outcome, Problem, Surface};
use crate::entra::Entra;
use crate::faults::Api;
use path::{Key, Step};
use uuid::Uuid;

const PAGE: usize = 100;
const MAX_PAGE: usize = 999;

pub(crate) struct Graph;

impl Surface for Graph {
    const API: Api = Api::Graph;
    const AUDIENCES: &'static [&'static str] = &["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"];

    fn serves(_: &str) -> bool {
        true
    }

    fn tenant_of(_: &Entra, _: &str) -> Option<Uuid> {
        None
    }

    fn unauthenticated(reason: &Unauthenticated) -> Problem {
        let message = match reason {
            Unauthenticated::Missing => "Access token is empty.",
            Unauthenticated::Invalid => "Access token validation failure.",
            Unauthenticated::Expired => "Lifetime validation failed, the token is expired.",
            Unauthenticated::Audience(_) => "Access token validation failure. Invalid audience.",
        };
        Problem::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }

    fn usual(status: StatusCode) -> Problem {
        let (code, message) = match status.as_u16() {
            403 => ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
            404 => ("Request_ResourceNotFound", "Resource not found."),
            409 => (
                "Directory_ConcurrencyViolation",
                "The directory object has been modified by another request. Please retry the operation.",
            ),
            429 => ("TooManyRequests", "Too many requests."),
            500.. => ("serviceNotAvailable", "The service is temporarily unavailable. Please retry later."),
            _ => ("Request_BadRequest", "The request is invalid."),
        };
        Problem::new(status, code, message)
    }

    fn error(problem: &Problem, call_id: &str) -> Value {
        let now = OffsetDateTime::now_utc();
        let (date, (hour, minute, second)) = (now.date(), now.time().as_hms());
        json!({ "error": {
            "code": problem.code,
            "message": problem.message,
            "innerError": {
                "date": format!("{date}T{hour:02}:{minute:02}:{second:02}"),
                "request-id": call_id,
                "client-request-id": call_id,
            },
        } })
    }

    async fn answer(entra: &Entra, call: &Call) -> Outcome {
        let steps = path::parse(call.segments.get(1..).unwrap_or_default());
        let named: Vec<_> =
            steps.iter().map(|step| (step.collection.to_ascii_lowercase(), step.key.as_ref())).collect();
        let named: Vec<_> = named.iter().map(|(collection, key)| (collection.as_str(), *key)).collect();
        match (call.method.as_str(), named.as_slice()) {
            ("GET", [("applications", None)]) => applications::list(entra, call),
            ("POST", [("applications", None)]) => applications::create(entra, call),
            ("GET", [("applications", Some(key))]) => applications::get(entra, call, key),
            ("DELETE", [("applications", Some(key))]) => applications::delete(entra, call, key),
            ("GET", [("serviceprincipals", None)]) => service_principals::list(entra, call),
            ("POST", [("serviceprincipals", None)]) => service_principals::create(entra, call),
            ("GET", [("serviceprincipals", Some(key))]) => service_principals::get(entra, call, key),
            ("DELETE", [("serviceprincipals", Some(key))]) => service_principals::delete(entra, call, key),
            (_, [("applications", Some(application)), ("federatedidentitycredentials", key)]) => {
                credentials::answer(entra, call, application, *key)
            }
            (_, [("applications" | "serviceprincipals", _)]) => Err(not_allowed(&call.method)),
            _ => Err(no_segment(&steps)),
        }
    }
}

fn not_allowed(method: &Method) -> Problem {
    let message = format!("Specified HTTP method is not allowed for the request target: {method}.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", message)
}

fn no_segment(steps: &[Step]) -> Problem {
    let last = steps.last().map_or("", |step| step.collection.as_str());
    Problem::bad_request("BadRequest", format!("Resource not found for the segment '{last}'."))
}

fn not_found(key: &Key) -> Problem {
    let text = format!(
        "Resource '{}' does not exist or one of its queried reference-property objects are not present.",
        key.value()
    );
    Problem::not_found("Request_ResourceNotFound", text)
}

fn required<'a>(body: &'a Value, property: &str, resource: &str) -> Result<&'a str, Problem> {
    let value = body.get(property).and_then(Value::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| {
        let text = format!("A value is required for property '{property}' of resource '{resource}'.");
        Problem::bad_request("Request_BadRequest", text)
    })
}

fn body(call: &Call) -> Result<Value, Problem> {
    let text = "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.";
    call.object().ok_or_else(|| Problem::bad_request("BadRequest", text))
}

/// The list's filter; `properties` may be asked for.
fn filter(call: &Call, properties: &[&str]) -> Result<Vec<Equals>, Problem> {
    let Some(text) = call.parameter("$filter") else { return Ok(Vec::new()) };
    let known = |equals: &Equals| properties.contains(&equals.property.as_str());
    let filter = filter::parse(text).filter(|filter| filter.iter().all(known));
    filter.ok_or_else(|| {
        Problem::bad_request(
            "Request_UnsupportedQuery",
            format!("Unsupported or invalid query filter clause specified: {text}."),
        )
    })
}

/// Graph compares ids and names without regard to case.
fn matches(object: &Value, filter: &[Equals]) -> bool {
    filter.iter().all(|equals| {
        let value = object.get(&equals.property).and_then(Value::as_str);
        value.is_some_and(|value| value.eq_ignore_ascii_case(&equals.value))
    })
}

fn list(call: &Call, items: Vec<Value>, context: &str) -> Outcome {
    let page = page::of(items, call, PAGE, &(1..=MAX_PAGE)).map_err(bad_page)?;
    let value: Vec<_> = page.items.into_iter().map(|item| selected(call, item)).collect();
    let mut body = json!({ "@odata.context": context_url(context), "value": value });
    if let (Some(next), Some(body)) = (page.next, body.as_object_mut()) {
        body.insert("@odata.nextLink".to_owned(), next.into());
    }
    Ok(Answer::ok(body))
}

fn bad_page(problem: BadPage) -> Problem {
    let text = match problem {
        BadPage::Size(size) => {
            format!("Invalid page size specified: '{size}'. Must be between 1 and {MAX_PAGE} inclusive.")
        }
        BadPage::Token => "The specified page token value is invalid.".to_owned(),
    };
    Problem::bad_request("Request_BadRequest", text)
}

/// One object, as the answer to a GET or POST.
fn entity(call: &Call, item: Value, context: &str) -> Value {
    let mut item = selected(call, item);
    if let Some(item) = item.as_object_mut() {
        item.insert("@odata.context".to_owned(), context_url(&format!("{context}/$entity")).into());
    }
    item
}

fn context_url(context: &str) -> String {
    format!("https://graph.microsoft.com/v1.0/$metadata#{context}")
}

fn selected(call: &Call, mut item: Value) -> Value {
    if let (Some(select), Some(item)) = (call.parameter("$select"), item.as_object_mut()) {
        item.retain(|name, _| select.split(',').any(|wanted| wanted.trim() == name));
    }
    item
}

/// Seconds precision, as Graph has it.
fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
