//! Azure Resource Manager: user-assigned managed identities with their federated identity credentials, and roles
//! (<https://learn.microsoft.com/rest/api/managedidentity>, <https://learn.microsoft.com/rest/api/authorization>).

use aws_lc_rs::digest::{SHA256, digest};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Builder;

use super::patience::patiently;
use super::rest::{Rest, RestError, encoded, text};

const IDENTITIES_VERSION: &str = "api-version=2023-01-31";
const ROLES_VERSION: &str = "api-version=2022-04-01";
/// What a credential's write is refused with while another one of the same identity is under way.
const CONCURRENT: &str = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity";

/// A user-assigned managed identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManagedIdentity {
    pub(crate) client_id: String,
    pub(crate) principal_id: String,
}

/// The Resource Manager of a cloud.
pub(crate) struct ResourceManager(pub(crate) Rest);

impl ResourceManager {
    /// # Errors
    /// It refuses.
    pub(crate) async fn identity(&self, id: &str) -> Result<Option<ManagedIdentity>, RestError> {
        match self.0.get(&format!("{id}?{IDENTITIES_VERSION}")).await {
            Ok(found) => ManagedIdentity::read(&found).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// It refuses.
    pub(crate) async fn create_identity(&self, id: &str, location: &str) -> Result<ManagedIdentity, RestError> {
        let body = json!({ "location": location });
        ManagedIdentity::read(&self.0.send(Method::PUT, &format!("{id}?{IDENTITIES_VERSION}"), Some(&body)).await?)
    }

    /// # Errors
    /// It refuses.
    pub(crate) async fn delete_identity(&self, id: &str) -> Result<(), RestError> {
        self.0.send(Method::DELETE, &format!("{id}?{IDENTITIES_VERSION}"), None).await.map(drop)
    }

    /// The federated identity credentials of an identity.
    ///
    /// # Errors
    /// It refuses.
    pub(crate) async fn credentials(&self, id: &str) -> Result<Vec<Value>, RestError> {
        let path = format!("{id}/federatedIdentityCredentials?{IDENTITIES_VERSION}");
        patiently(RestError::is_not_found, async || self.0.list(&path).await).await
    }

    /// Waits for others who write credentials of the same identity.
    ///
    /// # Errors
    /// It refuses.
    pub(crate) async fn create_credential(&self, id: &str, name: &str, credential: &Value) -> Result<(), RestError> {
        let path = credential_path(id, name);
        let body = json!({ "properties": credential });
        let is_passing = |error: &RestError| error.has_code(CONCURRENT) || error.is_not_found();
        patiently(is_passing, async || self.0.send(Method::PUT, &path, Some(&body)).await).await.map(drop)
    }

    /// # Errors
    /// It refuses.
    pub(crate) async fn delete_credential(&self, id: &str, name: &str) -> Result<(), RestError> {
        let path = credential_path(id, name);
        let is_passing = |error: &RestError| error.has_code(CONCURRENT);
        patiently(is_passing, async || self.0.send(Method::DELETE, &path, None).await).await.map(drop)
    }

    /// Id of the role of that name at a scope.
    ///
    /// # Errors
    /// It refuses.
    pub(crate) async fn role(&self, scope: &str, name: &str) -> Result<Option<String>, RestError> {
        let filter = encoded(&format!("roleName eq '{}'", name.replace('\'', "''")));
        let path =
            format!("{scope}/providers/Microsoft.Authorization/roleDefinitions?{ROLES_VERSION}&$filter={filter}");
        self.0.list(&path).await?.first().map(|role| text(role, "id")).transpose()
    }

    /// Id of the assignment of a role to a principal at a scope.
    ///
    /// # Errors
    /// It refuses.
    pub(crate) async fn assignment(
        &self,
        scope: &str,
        role: &str,
        principal: &str,
    ) -> Result<Option<String>, RestError> {
        let filter = encoded(&format!("principalId eq '{principal}'"));
        let path =
            format!("{scope}/providers/Microsoft.Authorization/roleAssignments?{ROLES_VERSION}&$filter={filter}");
        let is = |assignment: &&Value| {
            let property = |name: &str| {
                assignment.pointer(&format!("/properties/{name}")).and_then(Value::as_str).unwrap_or_default()
            };
            property("roleDefinitionId").eq_ignore_ascii_case(role) && property("scope").eq_ignore_ascii_case(scope)
        };
        self.0.list(&path).await?.iter().find(is).map(|assignment| text(assignment, "id")).transpose()
    }

    /// Assigns it, as soon as the principal is known everywhere, and returns the assignment's id.
    ///
    /// # Errors
    /// It refuses.
    pub(crate) async fn assign(&self, scope: &str, role: &str, principal: &str) -> Result<String, RestError> {
        let id =
            format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", name_of(&[scope, role, principal]));
        let properties =
            json!({ "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal" });
        let body = json!({ "properties": properties });
        let path = format!("{id}?{ROLES_VERSION}");
        let is_passing = |error: &RestError| error.has_code("PrincipalNotFound");
        patiently(is_passing, async || self.0.send(Method::PUT, &path, Some(&body)).await).await?;
        Ok(id)
    }

    /// # Errors
    /// It refuses.
    pub(crate) async fn unassign(&self, id: &str) -> Result<(), RestError> {
        self.0.send(Method::DELETE, &format!("{id}?{ROLES_VERSION}"), None).await.map(drop)
    }
}

impl ManagedIdentity {
    fn read(value: &Value) -> Result<Self, RestError> {
        let properties = value.get("properties").unwrap_or(&Value::Null);
        Ok(Self { client_id: text(properties, "clientId")?, principal_id: text(properties, "principalId")? })
    }
}

fn credential_path(id: &str, name: &str) -> String {
    format!("{id}/federatedIdentityCredentials/{}?{IDENTITIES_VERSION}", encoded(name))
}

/// The same for the same assignment, so that one that is made twice is one (RFC 9562, version 8).
fn name_of(parts: &[&str]) -> String {
    let hash = digest(&SHA256, parts.join("\n").to_lowercase().as_bytes());
    let bytes = hash.as_ref().first_chunk().copied().unwrap_or_default();
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
