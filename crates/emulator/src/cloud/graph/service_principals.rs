//! `/servicePrincipals`: what a tenant knows of an app registration or a managed identity
//! (<https://learn.microsoft.com/graph/api/resources/serviceprincipal>).

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Key, applications, body, entity, filter, matches, not_found, required};
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem};
use crate::config::{Application, Kind, Tenant};
use crate::entra::Entra;
use crate::faults::Api;

const CONTEXT: &str = "servicePrincipals";

pub(super) fn list(entra: &Entra, call: &Call) -> Outcome {
    let filter = filter(call, &["id", "appId", "displayName"])?;
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let applications = tenant.map(|tenant| tenant.applications.as_slice()).unwrap_or_default();
    let principals = applications.iter().filter(|application| application.has_service_principal);
    let described = principals.map(|application| (application.object_id, describe(call, application)));
    let wanted = described.filter(|(_, described)| matches(described, &filter));
    let seen = wanted.filter(|(id, _)| entra.directory.sees(Api::Graph, *id));
    super::list(call, seen.map(|(_, described)| described).collect(), CONTEXT)
}

pub(super) fn create(entra: &Entra, call: &Call) -> Outcome {
    let body = body(call)?;
    let app_id = required(&body, "appId", "ServicePrincipal")?;
    let lag = entra.faults.get().replication_lag.unwrap_or_default();
    let described = entra.directory.change(call.caller.tenant, |tenant| {
        let key = Key::Property { name: "appId".to_owned(), value: app_id.to_owned() };
        let client_id = applications::look(entra, tenant, &key).map(|application| application.client_id);
        let application = tenant
            .applications
            .iter_mut()
            .find(|application| Some(application.client_id) == client_id)
            .ok_or_else(|| no_application(app_id))?;
        if application.has_service_principal {
            return Err(exists(app_id));
        }
        application.has_service_principal = true;
        // The one before, if any, was deleted: this is another.
        application.object_id = crate::guid::random();
        entra.directory.hide(application.object_id, lag);
        Ok(describe(call, application))
    })?;
    Ok(Answer::created(entity(call, described, CONTEXT)))
}

pub(super) fn get(entra: &Entra, call: &Call, key: &Key) -> Outcome {
    let config = entra.directory.now();
    let principal = config.tenant(&call.caller.tenant.to_string()).and_then(|tenant| look(entra, tenant, key));
    let principal = principal.ok_or_else(|| not_found(key))?;
    Ok(Answer::ok(entity(call, describe(call, principal), CONTEXT)))
}

/// The application stays; a managed identity's goes only with it.
pub(super) fn delete(entra: &Entra, call: &Call, key: &Key) -> Outcome {
    entra.directory.change(call.caller.tenant, |tenant| {
        let principal = look(entra, tenant, key).ok_or_else(|| not_found(key))?;
        if applications::id(principal).is_none() {
            return Err(denied());
        }
        let id = principal.object_id;
        for application in tenant.applications.iter_mut().filter(|application| application.object_id == id) {
            application.has_service_principal = false;
        }
        Ok(())
    })?;
    Ok(Answer::no_content())
}

fn look<'a>(entra: &Entra, tenant: &'a Tenant, key: &Key) -> Option<&'a Application> {
    let principal = tenant.applications.iter().find(|application| is(application, key))?;
    entra.directory.sees(Api::Graph, principal.object_id).then_some(principal)
}

fn is(application: &Application, key: &Key) -> bool {
    let Some(wanted) = Uuid::try_parse(key.value()).ok() else { return false };
    application.has_service_principal
        && match key {
            Key::Id(_) => application.object_id == wanted,
            Key::Property { name, .. } => name.eq_ignore_ascii_case("appId") && application.client_id == wanted,
        }
}

fn no_application(app_id: &str) -> Problem {
    let text = format!("The appId '{app_id}' of the service principal does not reference a valid application object.");
    Problem::bad_request("Request_BadRequest", text)
}

fn exists(app_id: &str) -> Problem {
    let text = format!(
        "The service principal cannot be created, updated, or restored because the service principal name {app_id} is already in use."
    );
    Problem::conflict("Request_MultipleObjectsWithSameKeyValue", text)
}

fn denied() -> Problem {
    let text = "Insufficient privileges to complete the operation.";
    Problem::new(StatusCode::FORBIDDEN, "Authorization_RequestDenied", text)
}

fn describe(call: &Call, application: &Application) -> Value {
    let (kind, alternative_names) = match &application.kind {
        Kind::AppRegistration { .. } => ("Application", vec![]),
        Kind::ManagedIdentity { resource_id, .. } => {
            ("ManagedIdentity", vec!["isExplicit=True".to_owned(), resource_id.clone()])
        }
    };
    json!({
        "id": application.object_id,
        "appId": application.client_id,
        "displayName": application.name,
        "appDisplayName": application.name,
        "servicePrincipalType": kind,
        "servicePrincipalNames": [application.client_id],
        "alternativeNames": alternative_names,
        "appOwnerOrganizationId": call.caller.tenant,
        "accountEnabled": true,
        "tags": [],
    })
}
