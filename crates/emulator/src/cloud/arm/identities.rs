//! `Microsoft.ManagedIdentity/userAssignedIdentities`
//! (<https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities>).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::path::ResourcePath;
use super::{body, not_allowed};
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem};
use crate::config::{Application, Kind, Tenant};
use crate::entra::Entra;
use crate::guid;

pub(super) const TYPE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
/// Seconds, as of every managed identity.
const TOKEN_LIFETIME: u32 = 86_400;

pub(super) fn answer(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    match call.method.as_str() {
        "GET" => get(entra, call, path),
        "PUT" => put(entra, call, path),
        "DELETE" => delete(entra, call, path),
        _ => Err(not_allowed(&call.method)),
    }
}

/// Of a resource group or of a whole subscription.
pub(super) fn list(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    if call.method != axum::http::Method::GET {
        return Err(not_allowed(&call.method));
    }
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let within = format!("{}/", path.scope().to_ascii_lowercase());
    let identities = tenant
        .into_iter()
        .flat_map(|tenant| &tenant.applications)
        .filter(|application| resource_id(application).is_some_and(|id| id.to_ascii_lowercase().starts_with(&within)));
    super::list(call, identities.filter_map(|identity| describe(call, identity)).collect())
}

fn get(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let identity = tenant.and_then(|tenant| find(tenant, path)).ok_or_else(|| not_found(path))?;
    Ok(Answer::ok(describe(call, identity).unwrap_or_default()))
}

/// Creates it, or replaces its tags.
fn put(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let body = body(call)?;
    let location = body.get("location").and_then(Value::as_str).filter(|location| !location.is_empty());
    let text = "The location property is required for this definition.";
    let location = location.ok_or_else(|| Problem::bad_request("LocationRequired", text))?;
    let tags: BTreeMap<String, String> =
        body.get("tags").cloned().and_then(|tags| serde_json::from_value(tags).ok()).unwrap_or_default();
    let lag = entra.faults.get().replication_lag.unwrap_or_default();
    entra.directory.change(call.caller.tenant, |tenant| {
        if let Some(identity) = find_mut(tenant, path) {
            update(identity, location, tags)?;
            return Ok(Answer::ok(describe(call, identity).unwrap_or_default()));
        }
        let identity = new(path, location, tags)?;
        entra.directory.hide(identity.object_id, lag);
        let described = describe(call, &identity).unwrap_or_default();
        tenant.applications.push(identity);
        Ok(Answer::created(described))
    })
}

fn new(path: &ResourcePath, location: &str, tags: BTreeMap<String, String>) -> Result<Application, Problem> {
    let name = path.name(0);
    let safe = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !(3..=128).contains(&name.len()) || !safe || !begins_well {
        let text = format!("The resource name '{name}' is not valid.");
        return Err(Problem::bad_request("InvalidResourceName", text));
    }
    Ok(Application {
        name: name.to_owned(),
        client_id: guid::random(),
        object_id: guid::random(),
        has_service_principal: true,
        kind: Kind::ManagedIdentity { resource_id: id(path), location: location.to_owned(), tags },
        token_lifetime: TOKEN_LIFETIME,
        refresh_in: None,
        roles: Vec::new(),
        secrets: Vec::new(),
        certificates: Vec::new(),
        credentials: Vec::new(),
    })
}

fn update(identity: &mut Application, wanted: &str, wanted_tags: BTreeMap<String, String>) -> Result<(), Problem> {
    let name = identity.name.clone();
    let Kind::ManagedIdentity { location, tags, .. } = &mut identity.kind else { return Ok(()) };
    if !location.eq_ignore_ascii_case(wanted) {
        let text = format!(
            "The resource '{name}' already exists in location '{location}' in resource group. A resource with the same name cannot be created in location '{wanted}'. Please select a new resource name."
        );
        return Err(Problem::conflict("InvalidResourceLocation", text));
    }
    *tags = wanted_tags;
    Ok(())
}

/// With its service principal and its credentials.
fn delete(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    entra.directory.change(call.caller.tenant, |tenant| {
        let Some(client_id) = find(tenant, path).map(|identity| identity.client_id) else {
            return Ok(Answer::no_content());
        };
        tenant.applications.retain(|application| application.client_id != client_id);
        Ok::<_, Problem>(Answer { status: axum::http::StatusCode::OK, body: None })
    })
}

pub(super) fn find<'a>(tenant: &'a Tenant, path: &ResourcePath) -> Option<&'a Application> {
    let id = id(path);
    tenant.applications.iter().find(|application| is(application, &id))
}

pub(super) fn find_mut<'a>(tenant: &'a mut Tenant, path: &ResourcePath) -> Option<&'a mut Application> {
    let id = id(path);
    tenant.applications.iter_mut().find(|application| is(application, &id))
}

fn is(application: &Application, id: &str) -> bool {
    resource_id(application).is_some_and(|own| own.eq_ignore_ascii_case(id))
}

pub(super) fn resource_id(application: &Application) -> Option<&str> {
    match &application.kind {
        Kind::ManagedIdentity { resource_id, .. } => Some(resource_id),
        Kind::AppRegistration { .. } => None,
    }
}

/// As Resource Manager spells it for managed identities, with `resourcegroups` in lower case.
pub(super) fn id(path: &ResourcePath) -> String {
    let (subscription, group) = (path.subscription().unwrap_or_default(), path.resource_group().unwrap_or_default());
    format!("/subscriptions/{subscription}/resourcegroups/{group}/providers/{TYPE}/{}", path.name(0))
}

fn not_found(path: &ResourcePath) -> Problem {
    let group = path.resource_group().unwrap_or_default();
    let text = format!(
        "The Resource '{TYPE}/{}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        path.name(0)
    );
    Problem::not_found("ResourceNotFound", text)
}

fn describe(call: &Call, identity: &Application) -> Option<Value> {
    let Kind::ManagedIdentity { resource_id, location, tags } = &identity.kind else { return None };
    Some(json!({
        "id": resource_id,
        "name": identity.name,
        "type": TYPE,
        "location": location,
        "tags": tags,
        "properties": {
            "tenantId": call.caller.tenant,
            "principalId": identity.object_id,
            "clientId": identity.client_id,
        },
    }))
}
