//! `/applications`: app registrations (<https://learn.microsoft.com/graph/api/resources/application>).

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Key, body, entity, filter, matches, not_found, required, rfc3339};
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem};
use crate::config::{Application, Kind, Tenant};
use crate::entra::Entra;
use crate::faults::Api;
use crate::guid;

const CONTEXT: &str = "applications";
/// Entra draws it from 60 to 90 minutes; here it is what the configuration gives an app registration.
const TOKEN_LIFETIME: u32 = 3600;

pub(super) fn list(entra: &Entra, call: &Call) -> Outcome {
    let filter = filter(call, &["id", "appId", "displayName"])?;
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let applications = tenant.map(|tenant| tenant.applications.as_slice()).unwrap_or_default();
    let registered = applications.iter().filter_map(|application| Some((id(application)?, describe(application)?)));
    let wanted = registered.filter(|(_, described)| matches(described, &filter));
    let seen = wanted.filter(|(id, _)| entra.directory.sees(Api::Graph, *id));
    super::list(call, seen.map(|(_, described)| described).collect(), CONTEXT)
}

pub(super) fn create(entra: &Entra, call: &Call) -> Outcome {
    let body = body(call)?;
    let name = required(&body, "displayName", "Application")?;
    let application = registration(name);
    let described = describe(&application).unwrap_or_default();
    let lag = entra.faults.get().replication_lag.unwrap_or_default();
    entra.directory.hide(id(&application).unwrap_or_default(), lag);
    entra.directory.change(call.caller.tenant, |tenant| {
        tenant.applications.push(application);
        Ok::<_, Problem>(())
    })?;
    Ok(Answer::created(entity(call, described, CONTEXT)))
}

fn registration(name: &str) -> Application {
    Application {
        name: name.to_owned(),
        client_id: guid::random(),
        object_id: guid::random(),
        has_service_principal: false,
        kind: Kind::AppRegistration { id: guid::random(), created: OffsetDateTime::now_utc() },
        token_lifetime: TOKEN_LIFETIME,
        refresh_in: None,
        roles: Vec::new(),
        secrets: Vec::new(),
        certificates: Vec::new(),
        credentials: Vec::new(),
    }
}

pub(super) fn get(entra: &Entra, call: &Call, key: &Key) -> Outcome {
    let config = entra.directory.now();
    let application = config.tenant(&call.caller.tenant.to_string()).and_then(|tenant| look(entra, tenant, key));
    let described = application.and_then(describe).ok_or_else(|| not_found(key))?;
    Ok(Answer::ok(entity(call, described, CONTEXT)))
}

/// Takes its service principal and its credentials with it.
pub(super) fn delete(entra: &Entra, call: &Call, key: &Key) -> Outcome {
    entra.directory.change(call.caller.tenant, |tenant| {
        let client_id = look(entra, tenant, key).ok_or_else(|| not_found(key))?.client_id;
        tenant.applications.retain(|application| application.client_id != client_id);
        Ok::<_, Problem>(())
    })?;
    Ok(Answer::no_content())
}

/// The app registration, if Graph sees it already.
pub(super) fn look<'a>(entra: &Entra, tenant: &'a Tenant, key: &Key) -> Option<&'a Application> {
    let application = tenant.applications.iter().find(|application| is(application, key))?;
    id(application).filter(|id| entra.directory.sees(Api::Graph, *id)).map(|_| application)
}

fn is(application: &Application, key: &Key) -> bool {
    let Some(wanted) = Uuid::try_parse(key.value()).ok() else { return false };
    match key {
        Key::Id(_) => id(application) == Some(wanted),
        Key::Property { name, .. } => {
            name.eq_ignore_ascii_case("appId") && id(application).is_some() && application.client_id == wanted
        }
    }
}

/// A managed identity has none.
pub(super) fn id(application: &Application) -> Option<Uuid> {
    match application.kind {
        Kind::AppRegistration { id, .. } => Some(id),
        Kind::ManagedIdentity { .. } => None,
    }
}

fn describe(application: &Application) -> Option<Value> {
    let Kind::AppRegistration { id, created } = application.kind else { return None };
    Some(json!({
        "id": id,
        "appId": application.client_id,
        "displayName": application.name,
        "createdDateTime": rfc3339(created),
        "signInAudience": "AzureADMyOrg",
        "identifierUris": [],
        "tags": [],
    }))
}
