//! The checks of a token request in Entra's order: the first that fails names the error.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::config::{Application, Config, Tenant};
use crate::discovery::{DiscoveryError, IssuerKeys};
use crate::entra::aadsts::{
    APPLICATION_NOT_FOUND, ASSERTION_MISSING, ASSERTION_OUT_OF_TIME, Aadsts, Facts, GRANT_UNSUPPORTED,
    ISSUER_UNREACHABLE, ISSUER_UNUSABLE, MALFORMED, NO_SERVICE_PRINCIPAL, PARAMETER_MISSING, RESOURCE_NOT_FOUND,
    RESOURCE_PARAMETER, SCOPE_MISSING, SECRET_INVALID, SIGNATURE_INVALID, TENANT_MALFORMED, TENANT_NOT_FOUND,
};
use crate::entra::assertion::{self, Assertion, Claims};
use crate::entra::form::TokenForm;
use crate::entra::{certificate, federation, scope};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a token request is checked against.
pub(crate) struct Checks<'a, K> {
    pub(crate) config: &'a Config,
    pub(crate) own_issuer: &'a str,
    /// `https://host:port/`, as in the audience of an assertion signed by a certificate.
    pub(crate) authority: &'a str,
    pub(crate) keys: &'a K,
    pub(crate) now: OffsetDateTime,
}

/// A request that passed: a token may be issued.
#[derive(Debug)]
pub(crate) struct Grant<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) application: &'a Application,
    /// The token's audience.
    pub(crate) resource: String,
    pub(crate) proof: Proof,
}

/// How the client has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Secret,
    /// Signed by a certificate or by a federated issuer.
    Assertion,
}

impl<'a, K: IssuerKeys> Checks<'a, K> {
    /// `facts` gathers what the error's text and the log need.
    pub(crate) async fn run(&self, tenant: &str, form: &TokenForm, facts: &mut Facts) -> Result<Grant<'a>, Aadsts> {
        let tenant = find_tenant(self.config, tenant, facts)?;
        check_shape(form, facts)?;
        let application = find_application(tenant, form, facts)?;
        let scope = form.scope.as_deref().ok_or(SCOPE_MISSING)?;
        facts.set("scope", scope);
        let proof = self.check_credential(tenant, application, form, facts).await?;
        let resource = scope::resource(scope)?;
        facts.set("resource", resource);
        if !self.config.resources.contains(resource) {
            return Err(RESOURCE_NOT_FOUND);
        }
        Ok(Grant { tenant, application, resource: resource.to_owned(), proof })
    }

    async fn check_credential(
        &self,
        tenant: &Tenant,
        application: &Application,
        form: &TokenForm,
        facts: &mut Facts,
    ) -> Result<Proof, Aadsts> {
        let jwt = match credential(form)? {
            Credential::Secret(secret) => return check_secret(application, secret),
            Credential::Assertion(jwt) => jwt,
        };
        match certificate::OwnAssertion::read(jwt, application) {
            Some(assertion) => {
                let claims = assertion.check(jwt, application, &self.audiences(tenant, facts), facts)?;
                self.check_times(&claims, facts)?;
            }
            None => self.check_federated(application, jwt, facts).await?,
        }
        Ok(Proof::Assertion)
    }

    /// That an application's own assertion may be for: the token endpoint by any of its names.
    fn audiences(&self, tenant: &Tenant, facts: &Facts) -> Vec<String> {
        let names = [tenant.id.to_string(), facts.get("tenant").to_owned()];
        let paths = ["oauth2/v2.0/token", "oauth2/token", "v2.0"];
        let of_name = |name: &String| paths.map(|path| format!("{}{name}/{path}", self.authority));
        names.iter().flat_map(of_name).collect()
    }

    async fn check_federated(&self, application: &Application, jwt: &str, facts: &mut Facts) -> Result<(), Aadsts> {
        let Assertion { kid, claims } = Assertion::read(jwt, facts)?;
        federation::check(&application.credentials, self.own_issuer, &claims)?;
        let key = self.keys.key(&claims.iss, &kid).await.map_err(|error| {
            tracing::warn!(issuer = claims.iss, %error, "the issuer's keys cannot be fetched");
            discovery_failed(&error)
        })?;
        assertion::verify_signature(jwt, &key.ok_or(SIGNATURE_INVALID)?)?;
        self.check_times(&claims, facts)
    }

    /// Without any tolerance: issuer and token endpoint share one clock here.
    fn check_times(&self, claims: &Claims, facts: &mut Facts) -> Result<(), Aadsts> {
        let now = self.now.unix_timestamp();
        if (claims.nbf..claims.exp).contains(&now) {
            return Ok(());
        }
        facts.set("now", rfc3339(now));
        facts.set("not_before", rfc3339(claims.nbf));
        facts.set("expires", rfc3339(claims.exp));
        Err(ASSERTION_OUT_OF_TIME)
    }
}

fn find_tenant<'a>(config: &'a Config, name: &str, facts: &mut Facts) -> Result<&'a Tenant, Aadsts> {
    facts.set("tenant", name);
    if Uuid::try_parse(name).is_err() && !is_domain(name) {
        return Err(TENANT_MALFORMED);
    }
    config.tenant(name).ok_or(TENANT_NOT_FOUND)
}

fn is_domain(name: &str) -> bool {
    let labels_fit = |name: &str| {
        name.split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    };
    name.contains('.') && labels_fit(name)
}

fn check_shape(form: &TokenForm, facts: &mut Facts) -> Result<(), Aadsts> {
    if form.repeated {
        return Err(MALFORMED);
    }
    let grant_type = required(form.grant_type.as_ref(), "grant_type", facts)?;
    if grant_type != "client_credentials" {
        facts.set("grant_type", grant_type);
        return Err(GRANT_UNSUPPORTED);
    }
    Ok(())
}

fn find_application<'a>(tenant: &'a Tenant, form: &TokenForm, facts: &mut Facts) -> Result<&'a Application, Aadsts> {
    let client_id = required(form.client_id.as_ref(), "client_id", facts)?;
    facts.set("client_id", client_id);
    let application = tenant.application(client_id).ok_or(APPLICATION_NOT_FOUND)?;
    facts.set("application", &application.name);
    if form.resource.is_some() {
        return Err(RESOURCE_PARAMETER);
    }
    if !application.has_service_principal {
        return Err(NO_SERVICE_PRINCIPAL);
    }
    Ok(application)
}

enum Credential<'a> {
    Secret(&'a str),
    Assertion(&'a str),
}

fn credential(form: &TokenForm) -> Result<Credential<'_>, Aadsts> {
    match (&form.client_assertion, form.client_assertion_type.as_deref()) {
        (Some(assertion), Some(JWT_BEARER)) => Ok(Credential::Assertion(assertion)),
        (Some(_), _) => Err(MALFORMED),
        (None, _) => form.client_secret.as_deref().map(Credential::Secret).ok_or(ASSERTION_MISSING),
    }
}

fn check_secret(application: &Application, secret: &str) -> Result<Proof, Aadsts> {
    let known = application.secrets.iter().any(|known| known.0 == secret);
    if known { Ok(Proof::Secret) } else { Err(SECRET_INVALID) }
}

fn required<'a>(value: Option<&'a String>, name: &'static str, facts: &mut Facts) -> Result<&'a str, Aadsts> {
    value.map(String::as_str).ok_or_else(|| {
        facts.set("parameter", name);
        PARAMETER_MISSING
    })
}

fn discovery_failed(error: &DiscoveryError) -> Aadsts {
    match error {
        DiscoveryError::Unreachable(_) => ISSUER_UNREACHABLE,
        DiscoveryError::Answer { .. } => ISSUER_UNUSABLE,
    }
}

/// Empty for a time that the calendar does not have.
fn rfc3339(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
