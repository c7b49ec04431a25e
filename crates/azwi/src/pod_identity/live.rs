//! Azure itself in place of what `az` prints: what it says of a cluster's identities, and the credentials that a plan wants.

use azwi_identity::ClientId;
use serde_json::{Value, json};

use crate::azure::graph::ApplicationKey;
use crate::azure::identity::{Azure, Identity, Trust, Wanted};
use crate::azure::rest::RestError;

use super::error::Error;
use super::object::Object;
use super::plan::{Credential, CredentialState, IdentityPlan, Principal};
use super::resource_id::ResourceId;

/// The identities that `objects` name, each with its federated identity credentials; what Azure does not have is left out.
///
/// # Errors
/// Azure refuses.
pub(super) async fn identities(azure: &Azure, objects: &[Value]) -> Result<Vec<Value>, RestError> {
    let mut found = Vec::new();
    for wanted in wanted(objects) {
        let Some(identity) = azure.find(&wanted).await? else { continue };
        let credentials = azure.credentials(&identity).await?;
        found.push(match identity {
            Identity::Application(application) => json!({
                "id": application.object_id, "appId": application.client_id, "federatedIdentityCredentials": credentials,
            }),
            Identity::Managed(id, identity) => json!({
                "id": id, "federatedIdentityCredentials": credentials,
                "properties": { "clientId": identity.client_id, "principalId": identity.principal_id },
            }),
        });
    }
    Ok(found)
}

/// Each once.
fn wanted(objects: &[Value]) -> Vec<Wanted> {
    let identities = Object::all(objects).into_iter().filter(|object| object.kind() == "AzureIdentity");
    let mut keys: Vec<_> = identities
        .filter_map(|object| {
            let resource = ResourceId::parse(object.text_of_spec("resourceID"));
            let client = || ClientId::parse(object.text_of_spec("clientID")).ok();
            resource.map(|id| (true, id.to_string())).or_else(|| Some((false, client()?.to_string())))
        })
        .collect();
    keys.sort();
    keys.dedup();
    let of = |(is_managed, key)| {
        if is_managed { Wanted::Managed(key) } else { Wanted::Application(ApplicationKey::ClientId(key)) }
    };
    keys.into_iter().map(of).collect()
}

/// Creates a credential, or changes the one of its name.
///
/// # Errors
/// Azure refuses, or has no such identity.
pub(super) async fn write(azure: &Azure, identity: &IdentityPlan, credential: &Credential) -> Result<(), Error> {
    let wanted = match &identity.principal {
        Principal::UserAssigned(resource) => Wanted::Managed(resource.to_string()),
        Principal::Application => Wanted::Application(ApplicationKey::ClientId(identity.client_id.to_string())),
    };
    let Some(found) = azure.find(&wanted).await? else {
        let (what, name) = wanted.label();
        return Err(Error::NoIdentity(format!("{what} {name}")));
    };
    let [audience] = &credential.audiences;
    let trust = Trust {
        name: credential.name.clone(),
        issuer: &credential.issuer,
        subject: credential.subject.clone(),
        audience,
    };
    match credential.state {
        CredentialState::Update => azure.update_credential(&found, &trust).await?,
        _ => azure.create_credential(&found, &trust).await?,
    }
    Ok(())
}
