//! Microsoft Graph v1.0: applications, their service principals, and their federated identity credentials
//! (<https://learn.microsoft.com/graph/api/resources/application>).

use reqwest::Method;
use serde_json::{Value, json};

use super::patience::patiently;
use super::rest::{Rest, RestError, encoded, text};

const APPLICATIONS: &str = "/v1.0/applications";
/// What a write is refused with while another one of the same object is under way.
const CONCURRENT: &str = "Directory_ConcurrencyViolation";
const SERVICE_PRINCIPALS: &str = "/v1.0/servicePrincipals";

/// An application as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Application {
    pub(crate) object_id: String,
    pub(crate) client_id: String,
    pub(crate) name: String,
}

/// By what an application is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApplicationKey {
    Name(String),
    ClientId(String),
    ObjectId(String),
}

/// The Graph of a tenant.
pub(crate) struct Graph(pub(crate) Rest);

impl Graph {
    /// # Errors
    /// Graph refuses, or several have that name.
    pub(crate) async fn application(&self, key: &ApplicationKey) -> Result<Option<Application>, RestError> {
        let filter = match key {
            ApplicationKey::ObjectId(id) => {
                return match self.0.get(&format!("{APPLICATIONS}/{}", encoded(id))).await {
                    Ok(found) => Application::read(&found).map(Some),
                    Err(error) if error.is_not_found() => Ok(None),
                    Err(error) => Err(error),
                };
            }
            ApplicationKey::Name(name) => filter("displayName", name),
            ApplicationKey::ClientId(id) => filter("appId", id),
        };
        let found = self.0.list(&format!("{APPLICATIONS}?$filter={filter}")).await?;
        match found.as_slice() {
            [] => Ok(None),
            [one] => Application::read(one).map(Some),
            several => Err(RestError::Refused {
                what: format!("applications of that name: {}", several.len()),
                status: 300,
                code: "Ambiguous".to_owned(),
                message: "choose one by --aad-application-client-id or --aad-application-object-id".to_owned(),
            }),
        }
    }

    /// # Errors
    /// Graph refuses.
    pub(crate) async fn create_application(&self, name: &str) -> Result<Application, RestError> {
        let body = json!({ "displayName": name, "signInAudience": "AzureADMyOrg" });
        Application::read(&self.0.send(Method::POST, APPLICATIONS, Some(&body)).await?)
    }

    /// Its service principals and credentials go with it.
    ///
    /// # Errors
    /// Graph refuses.
    pub(crate) async fn delete_application(&self, object_id: &str) -> Result<(), RestError> {
        self.0.send(Method::DELETE, &format!("{APPLICATIONS}/{}", encoded(object_id)), None).await.map(drop)
    }

    /// Object id of the service principal of an application, or of one of that name.
    ///
    /// # Errors
    /// Graph refuses.
    pub(crate) async fn service_principal(&self, property: &str, value: &str) -> Result<Option<String>, RestError> {
        let found = self.0.list(&format!("{SERVICE_PRINCIPALS}?$filter={}", filter(property, value))).await?;
        found.first().map(|found| text(found, "id")).transpose()
    }

    /// Resource id of the user-assigned managed identity with this client id.
    ///
    /// # Errors
    /// Graph refuses.
    pub(crate) async fn managed_identity(&self, client_id: &str) -> Result<Option<String>, RestError> {
        const TYPE: &str = "/providers/microsoft.managedidentity/userassignedidentities/";
        let found = self.0.list(&format!("{SERVICE_PRINCIPALS}?$filter={}", filter("appId", client_id))).await?;
        let names = found.iter().filter_map(|found| found.get("alternativeNames")?.as_array()).flatten();
        let mut ids = names.filter_map(Value::as_str).filter(|name| name.to_ascii_lowercase().contains(TYPE));
        Ok(ids.next().map(str::to_owned))
    }

    /// Makes one, as soon as Graph knows the application everywhere.
    ///
    /// # Errors
    /// Graph refuses.
    pub(crate) async fn create_service_principal(&self, client_id: &str) -> Result<String, RestError> {
        let body = json!({ "appId": client_id });
        let is_passing = |error: &RestError| {
            error.is_not_found() || error.has_code("Request_BadRequest") || error.has_code("NoBackingApplicationObject")
        };
        let made =
            patiently(is_passing, async || self.0.send(Method::POST, SERVICE_PRINCIPALS, Some(&body)).await).await;
        match made {
            Ok(made) => text(&made, "id"),
            // Somebody else has made it meanwhile.
            Err(error) if error.has_code("Request_MultipleObjectsWithSameKeyValue") => {
                self.service_principal("appId", client_id).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The federated identity credentials of an application, as soon as Graph knows it everywhere.
    ///
    /// # Errors
    /// Graph refuses.
    pub(crate) async fn credentials(&self, object_id: &str) -> Result<Vec<Value>, RestError> {
        let path = credentials_of(object_id);
        patiently(RestError::is_not_found, async || self.0.list(&path).await).await
    }

    /// # Errors
    /// Graph refuses.
    pub(crate) async fn create_credential(&self, object_id: &str, credential: &Value) -> Result<(), RestError> {
        let path = credentials_of(object_id);
        let is_passing = |error: &RestError| error.is_not_found() || error.has_code(CONCURRENT);
        patiently(is_passing, async || self.0.send(Method::POST, &path, Some(credential)).await).await.map(drop)
    }

    /// # Errors
    /// Graph refuses.
    pub(crate) async fn update_credential(
        &self,
        object_id: &str,
        name: &str,
        credential: &Value,
    ) -> Result<(), RestError> {
        let path = format!("{}/{}", credentials_of(object_id), encoded(name));
        self.0.send(Method::PATCH, &path, Some(credential)).await.map(drop)
    }

    /// # Errors
    /// Graph refuses.
    pub(crate) async fn delete_credential(&self, object_id: &str, id: &str) -> Result<(), RestError> {
        self.0.send(Method::DELETE, &format!("{}/{}", credentials_of(object_id), encoded(id)), None).await.map(drop)
    }
}

impl Application {
    fn read(value: &Value) -> Result<Self, RestError> {
        let name = value.get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self { object_id: text(value, "id")?, client_id: text(value, "appId")?, name })
    }
}

fn credentials_of(object_id: &str) -> String {
    format!("{APPLICATIONS}/{}/federatedIdentityCredentials", encoded(object_id))
}

/// A condition of `OData` in a query; a quote within is doubled.
fn filter(property: &str, value: &str) -> String {
    encoded(&format!("{property} eq '{}'", value.replace('\'', "''")))
}
