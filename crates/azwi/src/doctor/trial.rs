//! A trial: what Entra ID says to a token of the pod's service account.

use std::time::Duration;

use azwi_conventions::env::{AZURE_AUTHORITY_HOST, AZURE_CLIENT_ID, AZURE_KUBERNETES_TOKEN_PROXY, AZURE_TENANT_ID};
use azwi_entra::{
    Assertion, AuthorityHost, CaBundle, ClientId, ExchangeError, Exchanger, HttpsProxy, LoopbackHttp, Refusal,
    Resource, SystemRoots, TenantId, TrustRoots,
};
use serde_json::Value;

use crate::aadsts;
use crate::token::resource_manager;

use super::check::Check;
use super::objects::variable;

const NAME: &str = "Entra's answer";
/// Longer than Entra ever takes.
const LIMIT: Duration = Duration::from_secs(30);

/// What a pod's variables say to ask.
pub(crate) struct Trial {
    authority: AuthorityHost,
    tenant: TenantId,
    pub(crate) client: ClientId,
    resource: Resource,
}

impl Trial {
    /// By the variables that the webhook has given a pod.
    ///
    /// # Errors
    /// Why nothing can be asked.
    pub(crate) fn of(pod: &Value) -> Result<Self, String> {
        if let Some(url) = variable(pod, AZURE_KUBERNETES_TOKEN_PROXY) {
            return Err(format!("not tried: the pod asks the token proxy at {url}, which only pods can"));
        }
        let value = |name| variable(pod, name).ok_or_else(|| format!("not tried: the pod has no {name}"));
        let wrong = |name, error: &dyn ToString| format!("not tried: {name}: {}", error.to_string());
        let host = value(AZURE_AUTHORITY_HOST)?;
        let authority = AuthorityHost::parse(host, LoopbackHttp::Refused);
        Ok(Self {
            authority: authority.map_err(|error| wrong(AZURE_AUTHORITY_HOST, &error))?,
            tenant: TenantId::parse(value(AZURE_TENANT_ID)?).map_err(|error| wrong(AZURE_TENANT_ID, &error))?,
            client: ClientId::parse(value(AZURE_CLIENT_ID)?).map_err(|error| wrong(AZURE_CLIENT_ID, &error))?,
            resource: Resource::parse(resource_manager(host)).map_err(|error| wrong("resource", &error))?,
        })
    }

    /// Exchanges `token`, and drops what comes back.
    pub(crate) async fn check(self, subject: &str, token: &str, more_roots: Option<CaBundle>) -> Check {
        let roots = TrustRoots::System(SystemRoots::default(), more_roots);
        let exchanger = Exchanger::new(self.authority, None, roots, HttpsProxy::default());
        let assertion = Assertion::new(token);
        match exchanger.exchange(&self.tenant, &self.client, &self.resource, &assertion, LIMIT).await {
            Ok(_) => {
                let evidence = format!("an access token of client id {} for {}", self.client, self.resource.as_str());
                Check::holds(subject, NAME, evidence)
            }
            Err(ExchangeError::Refused(refusal)) => refused(subject, &refusal),
            // Nobody here can tell whether the pod gets there.
            Err(error) => Check::unknown(subject, NAME, error.to_string()),
        }
    }
}

fn refused(subject: &str, refusal: &Refusal) -> Check {
    let explanation = refusal.error_codes.first().and_then(|code| aadsts::explain(*code));
    let evidence = match &explanation {
        Some(explanation) => format!("{}: {refusal}", explanation.cause),
        None => refusal.to_string(),
    };
    Check::fails(subject, NAME, evidence, explanation.map_or("docs/troubleshooting.md", |explanation| explanation.fix))
}
