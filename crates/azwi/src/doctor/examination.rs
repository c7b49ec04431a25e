//! What is asked of others than the objects: the API server, the issuer, Azure and Entra ID.

use std::collections::BTreeSet;

use azwi_conventions::container::PROXY;
use azwi_entra::{AssertionClaims, CaBundle};
use serde_json::Value;

use crate::azure::identity::Azure;
use crate::cluster::Cluster;

use super::check::Check;
use super::issuer::Issuers;
use super::objects::{kind, list, name, namespace, pod, reference, service_account_name, text};
use super::trial::Trial;
use super::{DoctorError, credentials, federation, live, parts, workload};

/// Who is asked about what the objects do not tell.
pub(super) struct Examination<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    pub(super) issuers: Issuers,
    /// PEM text of more certificate authorities to trust.
    pub(super) roots: Option<Vec<u8>>,
    /// Who looks the identity's credentials up in Azure, if anybody.
    pub(super) azure: Option<Azure>,
}

impl Examination<'_> {
    /// `accounts` have had their turn.
    pub(super) async fn of(&self, target: &Value, accounts: &mut BTreeSet<String>) -> Result<Vec<Check>, DoctorError> {
        let subject = reference(target);
        let (admission, admitted) = live::admission(self.cluster, &subject, self.namespace, target).await?;
        let mut checks = vec![admission];
        if kind(target) == "Pod" {
            checks.extend(self.log(&subject, target).await);
        }
        // What the webhook made of a new pod tells more than what it once made of this one.
        let pod = admitted.as_ref().or_else(|| pod(target).filter(|pod| workload::token(pod).is_some()));
        if let Some(pod) = pod.filter(|pod| accounts.insert(service_account_name(pod).to_owned())) {
            checks.extend(self.federation(pod).await?);
        }
        Ok(checks)
    }

    /// Of the sidecar: what went wrong lately.
    async fn log(&self, subject: &str, pod: &Value) -> Option<Check> {
        const NAME: &str = "sidecar's log";
        let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
        let mut statuses = statuses.into_iter().flat_map(|statuses| list(pod, statuses));
        statuses.find(|status| text(status, "/name") == PROXY).filter(|_| !text(pod, "/spec/nodeName").is_empty())?;
        Some(match live::log(self.cluster, namespace(pod), name(pod), PROXY).await {
            Ok(log) => match log.lines().rev().find(|line| is_trouble(line)) {
                Some(line) => Check::fails(subject, NAME, line, "docs/errors.md has what each line means"),
                None => Check::holds(subject, NAME, "nothing went wrong in the last 15 minutes"),
            },
            Err(error) => Check::unknown(subject, NAME, error.to_string()),
        })
    }

    /// From the service account's token to Entra's answer. The token leaves here to Entra only.
    async fn federation(&self, pod: &Value) -> Result<Vec<Check>, DoctorError> {
        let account = service_account_name(pod);
        let subject = format!("serviceaccount/{account}");
        let audience = workload::token(pod).map(|token| text(token, "/audience")).unwrap_or_default();
        let token = match self.cluster.token(self.namespace, account, audience).await {
            Ok(token) => token,
            Err(error) => return Ok(vec![Check::unknown(&subject, "token", error.to_string())]),
        };
        let Some((header, claims)) = parts(&token) else {
            return Ok(vec![Check::unknown(&subject, "token", "the API server signed none that can be read")]);
        };
        let mut checks = self.issuers.checks(&subject, &claims, text(&header, "/kid")).await;
        match Trial::of(pod) {
            Ok(trial) => {
                checks.extend(self.credential(&subject, &claims, &trial.client.to_string()).await);
                checks.push(trial.check(&subject, &token, self.bundle()?).await);
            }
            Err(why) => checks.push(Check::unknown(&subject, "Entra's answer", why)),
        }
        Ok(checks)
    }

    async fn credential(&self, subject: &str, claims: &AssertionClaims, client_id: &str) -> Option<Check> {
        const NAME: &str = "federated credential";
        Some(match credentials::credentials(self.azure.as_ref()?, client_id).await {
            Ok(Some(found)) => federation::credential(subject, claims, &found.iter().collect::<Vec<_>>()),
            Ok(None) => Check::fails(
                subject,
                NAME,
                format!("the tenant has neither an application nor a managed identity with client id {client_id}"),
                "is it the annotation of another environment's identity? az ad sp show --id CLIENT_ID",
            ),
            Err(error) => Check::unknown(subject, NAME, error.to_string()),
        })
    }

    fn bundle(&self) -> Result<Option<CaBundle>, DoctorError> {
        Ok(self.roots.as_deref().map(CaBundle::from_pem).transpose()?)
    }
}

/// An error, or why `/readyz` was 503 at the start; warnings else are of what passes.
fn is_trouble(line: &str) -> bool {
    line.contains(r#""level":"ERROR""#) || line.contains(r#""message":"not ready""#)
}
