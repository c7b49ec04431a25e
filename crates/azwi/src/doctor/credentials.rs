//! The federated identity credentials that Azure has of an identity, which is known by its client id only.

use serde_json::Value;

use crate::azure::graph::ApplicationKey;
use crate::azure::identity::Azure;
use crate::azure::rest::RestError;

/// Those of an application, or of the managed identity that a service principal stands for, each with `name`, `issuer`,
/// `subject` and `audiences` at the top.
///
/// # Errors
/// Azure refuses.
pub(crate) async fn credentials(azure: &Azure, client_id: &str) -> Result<Option<Vec<Value>>, RestError> {
    if let Some(application) = azure.graph.application(&ApplicationKey::ClientId(client_id.to_owned())).await? {
        return azure.graph.credentials(&application.object_id).await.map(Some);
    }
    let Some(id) = azure.graph.managed_identity(client_id).await? else { return Ok(None) };
    Ok(Some(azure.resource_manager.credentials(&id).await?.into_iter().map(flat).collect()))
}

/// As Graph has them: Resource Manager keeps all but the name in `properties`.
fn flat(credential: Value) -> Value {
    let name = credential.get("name").cloned().unwrap_or_default();
    let mut properties = credential.get("properties").cloned().unwrap_or(credential);
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("name".to_owned(), name);
    }
    properties
}
