//! The configuration file: read loosely, validated as a whole. Everything that is wrong is reported at once, each with
//! the path of its field.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use super::{
    Application, Certificate, Config, ConfigError, DEFAULT_AUDIENCE, FederatedIdentityCredential, Kind,
    MAX_CREDENTIALS, Resources, Secret, Tenant,
};
use crate::guid;

pub(super) fn parse(json: &str) -> Result<Config, Vec<ConfigError>> {
    let mut errors = Errors::default();
    let file: FileForm = errors.shape("", json_value(json).map_err(|error| vec![error])?)?;
    let tenants = tenants(file.tenants, &mut errors);
    errors.into_result(Config { tenants, resources: Resources::with(file.resources) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    tenants: Vec<Value>,
    #[serde(default)]
    resources: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantForm {
    id: String,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    subscriptions: Vec<String>,
    applications: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationForm {
    name: String,
    client_id: String,
    object_id: Option<String>,
    kind: KindForm,
    resource_id: Option<String>,
    token_lifetime: Option<u32>,
    refresh_in: Option<u32>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    certificates: Vec<String>,
    federated_identity_credentials: Vec<Value>,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    AppRegistration,
    ManagedIdentity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialForm {
    name: Option<String>,
    issuer: Option<String>,
    subject: String,
    #[serde(default = "default_audience")]
    audience: String,
}

fn default_audience() -> String {
    DEFAULT_AUDIENCE.to_owned()
}

/// Collects what is wrong; a part that is wrong is left out and reading goes on.
#[derive(Default)]
struct Errors(Vec<ConfigError>);

impl Errors {
    fn add(&mut self, field: &str, problem: &dyn std::fmt::Display) {
        self.0.push(ConfigError { field: field.to_owned(), problem: problem.to_string() });
    }

    fn check(&mut self, holds: bool, field: &str, problem: &str) {
        if !holds {
            self.add(field, &problem);
        }
    }

    fn guid(&mut self, field: &str, text: &str) -> Option<Uuid> {
        let id = Uuid::try_parse(text).ok();
        self.check(id.is_some(), field, &format!("`{text}` is not a GUID"));
        id
    }

    fn shape<T: DeserializeOwned>(&mut self, field: &str, value: Value) -> Result<T, Vec<ConfigError>> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let inner = error.path().to_string();
            let problem = error.into_inner();
            // serde's words for an unknown field name it already.
            let named = problem.to_string().starts_with(&format!("unknown field `{inner}`"));
            self.add(&if named { field.to_owned() } else { join(field, &inner) }, &problem);
            std::mem::take(&mut self.0)
        })
    }

    /// Like `shape`, for one element of a list: the others are still read.
    fn element<T: DeserializeOwned>(&mut self, field: &str, value: Value) -> Option<T> {
        let mut own = Self::default();
        own.shape(field, value).map_err(|errors| self.0.extend(errors)).ok()
    }

    fn into_result<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

fn json_value(json: &str) -> Result<Value, ConfigError> {
    serde_json::from_str(json).map_err(|error| ConfigError { field: "not JSON".to_owned(), problem: error.to_string() })
}

fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", inner) => inner.to_owned(),
        (outer, "." | "") => outer.to_owned(),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

fn tenants(forms: Vec<Value>, errors: &mut Errors) -> Vec<Tenant> {
    errors.check(!forms.is_empty(), "tenants", "at least one is needed");
    let mut ids = HashSet::new();
    let mut tenants = Vec::new();
    for (index, form) in forms.into_iter().enumerate() {
        let field = format!("tenants[{index}]");
        let Some(tenant) = tenant(&field, form, errors) else { continue };
        errors.check(ids.insert(tenant.id), &format!("{field}.id"), "is used twice");
        tenants.push(tenant);
    }
    tenants
}

fn tenant(field: &str, form: Value, errors: &mut Errors) -> Option<Tenant> {
    let form: TenantForm = errors.element(field, form)?;
    let subscriptions = subscriptions(field, &form.subscriptions, errors);
    let mut ids = HashSet::new();
    let mut applications = Vec::new();
    for (index, form) in form.applications.into_iter().enumerate() {
        let field = format!("{field}.applications[{index}]");
        let Some(application) = application(&field, form, &subscriptions, errors) else { continue };
        let unique = ids.insert(application.client_id);
        errors.check(unique, &format!("{field}.client_id"), "is used twice");
        applications.push(application);
    }
    Some(Tenant {
        id: errors.guid(&format!("{field}.id"), &form.id)?,
        domains: form.domains,
        subscriptions,
        applications,
        role_assignments: Vec::new(),
    })
}

/// Where none is named there is one nevertheless.
fn subscriptions(field: &str, named: &[String], errors: &mut Errors) -> Vec<Uuid> {
    if named.is_empty() {
        return vec![guid::of("subscription")];
    }
    let parse = |(index, id): (usize, &String)| errors.guid(&format!("{field}.subscriptions[{index}]"), id);
    named.iter().enumerate().filter_map(parse).collect()
}

fn application(field: &str, form: Value, subscriptions: &[Uuid], errors: &mut Errors) -> Option<Application> {
    let form: ApplicationForm = errors.element(field, form)?;
    let credentials = credentials(field, form.federated_identity_credentials, errors);
    errors.check(form.token_lifetime != Some(0), &format!("{field}.token_lifetime"), "is zero");
    let misplaced = form.resource_id.is_some() && form.kind == KindForm::AppRegistration;
    errors.check(!misplaced, &format!("{field}.resource_id"), "only a managed identity has one");
    let managed = form.kind == KindForm::ManagedIdentity;
    let secretive = !form.secrets.is_empty() || !form.certificates.is_empty();
    errors.check(!(managed && secretive), field, "a managed identity has no secrets or certificates");
    let certificates = certificates(field, &form.certificates, errors);
    let client_id = errors.guid(&format!("{field}.client_id"), &form.client_id)?;
    let object_id = match form.object_id {
        Some(id) => errors.guid(&format!("{field}.object_id"), &id)?,
        None => guid::of(&format!("object {client_id}")),
    };
    Some(Application {
        kind: match form.kind {
            KindForm::AppRegistration => app_registration(client_id),
            KindForm::ManagedIdentity => managed_identity(form.resource_id, subscriptions, &form.name),
        },
        token_lifetime: form.token_lifetime.unwrap_or(default_lifetime(form.kind)),
        name: form.name,
        client_id,
        object_id,
        has_service_principal: true,
        secrets: form.secrets.into_iter().map(Secret).collect(),
        certificates,
        refresh_in: form.refresh_in,
        roles: form.roles,
        credentials,
    })
}

fn app_registration(client_id: Uuid) -> Kind {
    Kind::AppRegistration { id: guid::of(&format!("application {client_id}")), created: OffsetDateTime::now_utc() }
}

fn managed_identity(resource_id: Option<String>, subscriptions: &[Uuid], name: &str) -> Kind {
    let subscription = subscriptions.first().copied().unwrap_or_default();
    let resource_id = resource_id.unwrap_or_else(|| {
        format!(
            "/subscriptions/{subscription}/resourcegroups/azwi-emulator/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        )
    });
    Kind::ManagedIdentity { resource_id, location: "westeurope".to_owned(), tags: BTreeMap::new() }
}

fn certificates(field: &str, pems: &[String], errors: &mut Errors) -> Vec<Certificate> {
    let mut parse = |(index, pem): (usize, &String)| {
        let certificate = Certificate::from_pem(pem);
        let holds = certificate.is_some();
        errors.check(
            holds,
            &format!("{field}.certificates[{index}]"),
            "is not a PEM encoded certificate of an RSA key",
        );
        certificate
    };
    pems.iter().enumerate().filter_map(&mut parse).collect()
}

/// Seconds. Entra draws an app registration's lifetime from 60 to 90 minutes; a fixed one is
/// easier to test against.
fn default_lifetime(kind: KindForm) -> u32 {
    match kind {
        KindForm::AppRegistration => 3600,
        KindForm::ManagedIdentity => 86_400,
    }
}

fn credentials(field: &str, forms: Vec<Value>, errors: &mut Errors) -> Vec<FederatedIdentityCredential> {
    let field = format!("{field}.federated_identity_credentials");
    errors.check(forms.len() <= MAX_CREDENTIALS, &field, "Entra allows 20 at most");
    let (mut seen, mut names) = (HashSet::new(), HashSet::new());
    let mut credentials = Vec::new();
    for (index, form) in forms.into_iter().enumerate() {
        let field = format!("{field}[{index}]");
        let Some(credential) = credential(&field, index, form, errors) else { continue };
        let unique = seen.insert((credential.issuer.clone(), credential.subject.clone()));
        errors.check(unique, &field, "issuer and subject are used twice");
        let named_once = names.insert(credential.name.clone());
        errors.check(named_once, &format!("{field}.name"), "is used twice");
        credentials.push(credential);
    }
    credentials
}

fn credential(field: &str, index: usize, form: Value, errors: &mut Errors) -> Option<FederatedIdentityCredential> {
    let form: CredentialForm = errors.element(field, form)?;
    let https = form.issuer.as_deref().is_none_or(is_https);
    errors.check(https, &format!("{field}.issuer"), "is not an https URL");
    errors.check(!form.subject.is_empty(), &format!("{field}.subject"), "is empty");
    errors.check(!form.audience.is_empty(), &format!("{field}.audience"), "is empty");
    Some(FederatedIdentityCredential {
        id: guid::random(),
        name: form.name.unwrap_or_else(|| format!("credential-{index}")),
        description: None,
        issuer: form.issuer,
        subject: form.subject,
        audience: form.audience,
    })
}

fn is_https(issuer: &str) -> bool {
    Url::parse(issuer).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::DEFAULT_CONFIG;

    fn errors(config: &Value) -> Vec<String> {
        Config::parse(&config.to_string()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    fn with_application(application: &Value) -> Value {
        json!({ "tenants": [{ "id": "11111111-1111-4111-8111-111111111111", "applications": [application] }] })
    }

    #[test]
    fn the_default_configuration_is_valid() {
        assert_eq!(Config::parse(DEFAULT_CONFIG).unwrap().tenants.len(), 1);
    }

    #[test]
    fn everything_wrong_is_told_at_once_by_field() {
        let config = json!({ "tenants": [
            { "id": "x", "applications": [{ "name": 1 }] },
            { "id": "11111111-1111-4111-8111-111111111111", "applications": [{
                "name": "a", "client_id": "b", "kind": "app_registration", "token_lifetime": 0,
                "federated_identity_credentials": [{ "subject": "", "issuer": "http://plain.example" }],
            }] },
        ] });
        let errors = errors(&config);
        let fields: Vec<_> = errors.iter().map(|error| error.split_once(": ").unwrap().0).collect();
        assert_eq!(
            fields,
            [
                "tenants[0].applications[0].name",
                "tenants[0].id",
                "tenants[1].applications[0].federated_identity_credentials[0].issuer",
                "tenants[1].applications[0].federated_identity_credentials[0].subject",
                "tenants[1].applications[0].token_lifetime",
                "tenants[1].applications[0].client_id",
            ]
        );
    }

    #[test]
    fn an_unknown_field_is_named_once() {
        let errors = errors(&json!({ "tenants": [], "resourecs": [] }));
        assert!(errors[0].starts_with("unknown field `resourecs`"), "{errors:?}");
    }

    #[test]
    fn a_client_id_is_used_once_in_a_tenant() {
        let application = json!({
            "name": "a", "client_id": "22222222-2222-4222-8222-222222222222", "kind": "app_registration",
            "federated_identity_credentials": [],
        });
        let mut config = with_application(&application);
        config["tenants"][0]["applications"].as_array_mut().unwrap().push(application);
        assert_eq!(errors(&config), ["tenants[0].applications[1].client_id: is used twice"]);
    }

    #[test]
    fn twenty_one_credentials_are_one_too_many() {
        let credentials: Vec<_> = (0..21).map(|n| json!({ "subject": format!("s{n}") })).collect();
        let config = with_application(&json!({
            "name": "a", "client_id": "22222222-2222-4222-8222-222222222222", "kind": "managed_identity",
            "federated_identity_credentials": credentials,
        }));
        assert_eq!(
            errors(&config),
            ["tenants[0].applications[0].federated_identity_credentials: Entra allows 20 at most"]
        );
    }
}
