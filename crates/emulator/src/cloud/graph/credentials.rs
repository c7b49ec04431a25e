//! `/applications/{id}/federatedIdentityCredentials`
//! (<https://learn.microsoft.com/graph/api/resources/federatedidentitycredential>).

use serde_json::{Value, json};

use super::{Key, applications, body, entity, filter, matches, not_allowed, not_found};
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem};
use crate::config::{Application, FederatedIdentityCredential, MAX_CREDENTIALS, Tenant};
use crate::entra::Entra;
use crate::faults::Api;
use crate::guid;
use url::Url;

/// Of issuer, subject and audience, in characters.
const MAX_VALUE: usize = 600;
const MAX_NAME: usize = 120;
const MIN_NAME: usize = 3;

pub(super) fn answer(entra: &Entra, call: &Call, application: &Key, credential: Option<&Key>) -> Outcome {
    match (call.method.as_str(), credential) {
        ("GET", None) => list(entra, call, application),
        ("POST", None) => create(entra, call, application),
        ("GET", Some(key)) => get(entra, call, application, key),
        ("PATCH", Some(key)) => update(entra, call, application, key),
        ("DELETE", Some(key)) => delete(entra, call, application, key),
        _ => Err(not_allowed(&call.method)),
    }
}

fn list(entra: &Entra, call: &Call, key: &Key) -> Outcome {
    let filter = filter(call, &["id", "name", "subject", "issuer"])?;
    let config = entra.directory.now();
    let application = config
        .tenant(&call.caller.tenant.to_string())
        .and_then(|tenant| applications::look(entra, tenant, key))
        .ok_or_else(|| not_found(key))?;
    let described = application.credentials.iter().map(|credential| (credential.id, describe(entra, credential)));
    let wanted = described.filter(|(_, described)| matches(described, &filter));
    let seen = wanted.filter(|(id, _)| entra.directory.sees(Api::Graph, *id));
    super::list(call, seen.map(|(_, described)| described).collect(), &context(key))
}

fn create(entra: &Entra, call: &Call, key: &Key) -> Outcome {
    let credential = read(&body(call)?)?;
    let described = describe(entra, &credential);
    let lag = entra.faults.get().replication_lag.unwrap_or_default();
    entra.directory.change(call.caller.tenant, |tenant| {
        let application = look(entra, tenant, key)?;
        check_unique(entra, application, &credential)?;
        entra.directory.hide(credential.id, lag);
        application.credentials.push(credential);
        Ok::<_, Problem>(())
    })?;
    Ok(Answer::created(entity(call, described, &context(key))))
}

fn get(entra: &Entra, call: &Call, application: &Key, key: &Key) -> Outcome {
    let config = entra.directory.now();
    let credential = config
        .tenant(&call.caller.tenant.to_string())
        .and_then(|tenant| applications::look(entra, tenant, application))
        .and_then(|application| application.credentials.iter().find(|credential| is(credential, key)))
        .filter(|credential| entra.directory.sees(Api::Graph, credential.id))
        .ok_or_else(|| not_found(key))?;
    Ok(Answer::ok(entity(call, describe(entra, credential), &context(application))))
}

/// All but the name can be another one.
fn update(entra: &Entra, call: &Call, application: &Key, key: &Key) -> Outcome {
    let mut changed = body(call)?;
    entra.directory.change(call.caller.tenant, |tenant| {
        let application = look(entra, tenant, application)?;
        let position = application.credentials.iter().position(|credential| is(credential, key));
        let before = application.credentials.remove(position.ok_or_else(|| not_found(key))?);
        complete(&mut changed, describe(entra, &before));
        let credential = FederatedIdentityCredential { id: before.id, ..read(&changed)? };
        check_unique(entra, application, &credential)?;
        application.credentials.push(credential);
        Ok::<_, Problem>(())
    })?;
    Ok(Answer::no_content())
}

/// What `changed` does not have stays as it was, and the name in any case.
fn complete(changed: &mut Value, before: Value) {
    let (Value::Object(changed), Value::Object(before)) = (changed, before) else { return };
    for (name, value) in before {
        if name == "name" || !changed.contains_key(&name) {
            changed.insert(name, value);
        }
    }
}

fn delete(entra: &Entra, call: &Call, application: &Key, key: &Key) -> Outcome {
    entra.directory.change(call.caller.tenant, |tenant| {
        let application = look(entra, tenant, application)?;
        let position = application.credentials.iter().position(|credential| is(credential, key));
        application.credentials.remove(position.ok_or_else(|| not_found(key))?);
        Ok::<_, Problem>(())
    })?;
    Ok(Answer::no_content())
}

fn look<'a>(entra: &Entra, tenant: &'a mut Tenant, key: &Key) -> Result<&'a mut Application, Problem> {
    let client_id = applications::look(entra, tenant, key).map(|application| application.client_id);
    let mut applications = tenant.applications.iter_mut();
    applications.find(|application| Some(application.client_id) == client_id).ok_or_else(|| not_found(key))
}

fn is(credential: &FederatedIdentityCredential, key: &Key) -> bool {
    let by_name = credential.name == key.value();
    match key {
        Key::Id(id) => by_name || credential.id.to_string().eq_ignore_ascii_case(id),
        Key::Property { name, .. } => by_name && name.eq_ignore_ascii_case("name"),
    }
}

fn read(body: &Value) -> Result<FederatedIdentityCredential, Problem> {
    let text = |property: &str| {
        let value = body.get(property).and_then(Value::as_str).unwrap_or_default();
        let fits = !value.is_empty() && value.chars().count() <= MAX_VALUE;
        if fits {
            Ok(value.to_owned())
        } else {
            Err(invalid(property, value, "The value is required and has 600 characters at most."))
        }
    };
    let (name, issuer) = (text("name")?, text("issuer")?);
    if !is_name(&name) {
        return Err(invalid("name", &name, "The name has 3 to 120 characters that are safe in a URL."));
    }
    if !Url::parse(&issuer).is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
        return Err(invalid("issuer", &issuer, "The issuer is an https URL."));
    }
    Ok(FederatedIdentityCredential {
        id: guid::random(),
        name,
        description: body.get("description").and_then(Value::as_str).map(str::to_owned),
        issuer: Some(issuer),
        subject: text("subject")?,
        audience: audience(body)?,
    })
}

/// Documented as letters, digits, dashes and underscores; `=` is what azure-workload-identity's names end with.
fn is_name(name: &str) -> bool {
    (MIN_NAME..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte))
}

/// Exactly one.
fn audience(body: &Value) -> Result<String, Problem> {
    match body.get("audiences").and_then(Value::as_array).map(Vec::as_slice) {
        Some([Value::String(audience)]) if !audience.is_empty() && audience.chars().count() <= MAX_VALUE => {
            Ok(audience.clone())
        }
        audiences => {
            let value = audiences.map(|audiences| json!(audiences).to_string()).unwrap_or_default();
            Err(invalid("audiences", &value, "Federated identity credentials must have exactly one audience."))
        }
    }
}

fn check_unique(
    entra: &Entra,
    application: &Application,
    credential: &FederatedIdentityCredential,
) -> Result<(), Problem> {
    if application.credentials.iter().any(|other| other.name == credential.name) {
        let text = format!("FederatedIdentityCredential with name {} already exists.", credential.name);
        return Err(Problem::conflict("Request_MultipleObjectsWithSameKeyValue", text));
    }
    let same = |other: &&FederatedIdentityCredential| {
        issuer(entra, other) == issuer(entra, credential) && other.subject == credential.subject
    };
    if application.credentials.iter().any(|other| same(&other)) {
        let (issuer, subject) = (issuer(entra, credential), &credential.subject);
        let text = format!(
            "The combination of issuer and subject must be unique for the application. Issuer {issuer} and Subject: {subject} already exist."
        );
        return Err(invalid("Subject", subject, &text));
    }
    if application.credentials.len() >= MAX_CREDENTIALS {
        let text = format!("The maximum number of {MAX_CREDENTIALS} federated identity credentials has been reached.");
        return Err(Problem::bad_request("Request_BadRequest", text));
    }
    Ok(())
}

fn invalid(property: &str, value: &str, text: &str) -> Problem {
    let text = format!(
        "{text} paramName: FederatedIdentityCredential.{property}, paramValue: {value}, objectType: Microsoft.Online.DirectoryServices.Application"
    );
    Problem::bad_request("InvalidFederatedIdentityCredentialValue", text)
}

fn issuer<'a>(entra: &'a Entra, credential: &'a FederatedIdentityCredential) -> &'a str {
    credential.issuer.as_deref().unwrap_or(&entra.own_issuer)
}

fn describe(entra: &Entra, credential: &FederatedIdentityCredential) -> Value {
    json!({
        "id": credential.id,
        "name": credential.name,
        "issuer": issuer(entra, credential),
        "subject": credential.subject,
        "description": credential.description,
        "audiences": [credential.audience],
    })
}

fn context(application: &Key) -> String {
    format!("applications('{}')/federatedIdentityCredentials", application.value())
}
