//! `userAssignedIdentities/federatedIdentityCredentials`
//! (<https://learn.microsoft.com/rest/api/managedidentity/federated-identity-credentials>). One identity's are written
//! one after the other: a write that comes during another is refused.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::path::ResourcePath;
use super::{body, identities, not_allowed};
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem};
use crate::config::{Application, FederatedIdentityCredential, MAX_CREDENTIALS};
use crate::entra::Entra;
use crate::guid;

const TYPE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials";
/// What comes to the same identity meanwhile is concurrent.
const WRITE: Duration = Duration::from_millis(100);

pub(super) async fn answer(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    match (call.method.as_str(), path.parts.len()) {
        ("GET", 3) => list(entra, call, path),
        ("GET", 4) => get(entra, call, path),
        ("PUT" | "DELETE", 4) => write(entra, call, path).await,
        _ => Err(not_allowed(&call.method)),
    }
}

fn list(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let identity = tenant.and_then(|tenant| identities::find(tenant, path)).ok_or_else(|| no_parent("read", path))?;
    let described = identity.credentials.iter().map(|credential| describe(entra, identity, credential));
    super::list(call, described.collect())
}

fn get(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let identity = tenant.and_then(|tenant| identities::find(tenant, path)).ok_or_else(|| no_parent("read", path))?;
    let name = path.name(1);
    let credential = identity.credentials.iter().find(|credential| credential.name.eq_ignore_ascii_case(name));
    let text = format!("The Federated Identity Credential '{name}' was not found.");
    let credential = credential.ok_or_else(|| Problem::not_found("NotFound", text))?;
    Ok(Answer::ok(describe(entra, identity, credential)))
}

async fn write(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let identity = identities::id(path);
    let writing = entra.arm.begin(&identity).ok_or_else(|| concurrent(&identity))?;
    tokio::time::sleep_until(call.answer_at.max(Instant::now() + WRITE)).await;
    let outcome =
        if call.method == axum::http::Method::PUT { put(entra, call, path) } else { delete(entra, call, path) };
    drop(writing);
    outcome
}

fn put(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let credential = read(path.name(1), &body(call)?)?;
    let lag = entra.faults.get().replication_lag.unwrap_or_default();
    entra.directory.change(call.caller.tenant, |tenant| {
        let identity = identities::find_mut(tenant, path).ok_or_else(|| no_parent("write", path))?;
        let present = position(identity, &credential.name);
        check_unique(entra, identity, &credential, present)?;
        entra.directory.hide(credential.id, lag);
        let described = describe(entra, identity, &credential);
        let Some(present) = present.and_then(|at| identity.credentials.get_mut(at)) else {
            identity.credentials.push(credential);
            return Ok(Answer::created(described));
        };
        *present = credential;
        Ok::<_, Problem>(Answer::ok(described))
    })
}

fn delete(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    entra.directory.change(call.caller.tenant, |tenant| {
        let identity = identities::find_mut(tenant, path).ok_or_else(|| no_parent("delete", path))?;
        let Some(present) = position(identity, path.name(1)) else { return Ok(Answer::no_content()) };
        identity.credentials.remove(present);
        Ok::<_, Problem>(Answer { status: StatusCode::OK, body: None })
    })
}

fn position(identity: &Application, name: &str) -> Option<usize> {
    identity.credentials.iter().position(|credential| credential.name.eq_ignore_ascii_case(name))
}

fn read(name: &str, body: &Value) -> Result<FederatedIdentityCredential, Problem> {
    if !is_name(name) {
        return Err(bad(&format!("Federated Identity Credential name '{name}' is invalid.")));
    }
    let property = |name: &str| body.pointer(&format!("/properties/{name}"));
    let text = |name: &str| property(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    let (Some(issuer), Some(subject), Some(audiences)) =
        (text("issuer"), text("subject"), property("audiences").and_then(Value::as_array))
    else {
        return Err(bad(
            "The request format was unexpected. Federated Identity Credential must specify 'issuer', 'subject' and 'audience'.",
        ));
    };
    let [Value::String(audience)] = audiences.as_slice() else {
        return Err(bad("Federated identity credentials must have exactly one audience."));
    };
    if !Url::parse(issuer).is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
        return Err(bad("The request format was unexpected. Issuer must be a valid https URL."));
    }
    Ok(FederatedIdentityCredential {
        id: guid::random(),
        name: name.to_owned(),
        description: None,
        issuer: Some(issuer.to_owned()),
        subject: subject.to_owned(),
        audience: audience.clone(),
    })
}

fn is_name(name: &str) -> bool {
    (3..=120).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn check_unique(
    entra: &Entra,
    identity: &Application,
    credential: &FederatedIdentityCredential,
    replaced: Option<usize>,
) -> Result<(), Problem> {
    let others = identity.credentials.iter().enumerate().filter(|(at, _)| Some(*at) != replaced);
    let same = |other: &FederatedIdentityCredential| {
        issuer(entra, other) == issuer(entra, credential) && other.subject == credential.subject
    };
    if others.clone().any(|(_, other)| same(other)) {
        let text = "Issuer and subject combination already exists for this Managed Identity.";
        return Err(Problem::conflict("Conflict", text));
    }
    if others.count() >= MAX_CREDENTIALS {
        let text = format!(
            "The maximum number of {MAX_CREDENTIALS} Federated Identity Credentials for this Managed Identity has been reached."
        );
        return Err(bad(&text));
    }
    Ok(())
}

fn bad(text: &str) -> Problem {
    Problem::bad_request("BadRequest", text)
}

fn concurrent(identity: &str) -> Problem {
    let text = format!(
        "Too many Federated Identity Credentials are written concurrently for the managed identity '{identity}'. Concurrent Federated Identity Credentials writes under the same managed identity are not supported."
    );
    Problem::conflict("ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", text)
}

fn no_parent(verb: &str, path: &ResourcePath) -> Problem {
    let text = format!(
        "Failed to perform '{verb}' on resource(s) of type 'userAssignedIdentities/federatedIdentityCredentials', because the parent resource '{}' could not be found.",
        identities::id(path)
    );
    Problem::not_found("ParentResourceNotFound", text)
}

fn issuer<'a>(entra: &'a Entra, credential: &'a FederatedIdentityCredential) -> &'a str {
    credential.issuer.as_deref().unwrap_or(&entra.own_issuer)
}

fn describe(entra: &Entra, identity: &Application, credential: &FederatedIdentityCredential) -> Value {
    let parent = identities::resource_id(identity).unwrap_or_default();
    json!({
        "id": format!("{parent}/federatedIdentityCredentials/{}", credential.name),
        "name": credential.name,
        "type": TYPE,
        "properties": {
            "issuer": issuer(entra, credential),
            "subject": credential.subject,
            "audiences": [credential.audience],
        },
    })
}
