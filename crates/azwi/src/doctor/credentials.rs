//! The federated identity credentials that Azure has of an identity, which is known by its client id only.

use serde_json::Value;

use crate::azure::arm::ResourceManager;
use crate::azure::graph::{ApplicationKey, Graph};
use crate::azure::login::Session;
use crate::azure::rest::{Rest, RestError};

/// Those of an application, or of the managed identity that a service principal stands for, each with `name`, `issuer`,
/// `subject` and `audiences` at the top.
///
/// # Errors
/// Azure refuses.
pub(crate) async fn credentials(session: &Session, client_id: &str) -> Result<Option<Vec<Value>>, RestError> {
    let graph = Graph(Rest::new(session.cloud.graph.clone(), session.credential.clone())?);
    if let Some(application) = graph.application(&ApplicationKey::ClientId(client_id.to_owned())).await? {
        return graph.credentials(&application.object_id).await.map(Some);
    }
    let Some(id) = graph.managed_identity(client_id).await? else { return Ok(None) };
    let manager = ResourceManager(Rest::new(session.cloud.resource_manager.clone(), session.credential.clone())?);
    Ok(Some(manager.credentials(&id).await?.into_iter().map(flat).collect()))
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
