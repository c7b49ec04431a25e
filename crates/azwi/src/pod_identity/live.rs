//! Azure itself in place of what `az` prints: what it says of a cluster's identities, and the credentials that a plan wants.

use serde_json::{Value, json};

use crate::azure::graph::ApplicationKey;
use crate::azure::identity::{Azure, Identity, Trust, Wanted};
use crate::azure::rest::RestError;

use super::azure::NOT_FOUND;
use super::error::Error;
use super::plan::{Credential, CredentialState, IdentityPlan, Principal};

/// What Azure has of `identities`, each with its federated identity credentials, as [`super::azure`] reads it.
///
/// # Errors
/// Azure refuses.
pub(super) async fn identities(azure: &Azure, identities: &[IdentityPlan]) -> Result<Vec<Value>, RestError> {
    let mut found = Vec::new();
    for plan in identities {
        let Some(identity) = azure.find(&wanted(plan)).await? else {
            found.push(not_found(plan));
            continue;
        };
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

fn wanted(plan: &IdentityPlan) -> Wanted {
    match &plan.principal {
        Principal::UserAssigned(resource) => Wanted::Managed(resource.to_string()),
        Principal::Application => Wanted::Application(ApplicationKey::ClientId(plan.client_id.to_string())),
    }
}

fn not_found(plan: &IdentityPlan) -> Value {
    json!({ "clientId": plan.client_id.to_string(), NOT_FOUND: true })
}

/// Creates a credential, or changes the one of its name.
///
/// # Errors
/// Azure refuses, or has no such identity.
pub(super) async fn write(azure: &Azure, identity: &IdentityPlan, credential: &Credential) -> Result<(), Error> {
    let wanted = wanted(identity);
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
