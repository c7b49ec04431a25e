//! What a migration consists of.

use std::collections::BTreeMap;
use std::fmt;

use azwi_identity::{ClientId, TenantId};
use serde::Serialize;

use super::finding::{Finding, Unusable, Weight};
use super::resource_id::ResourceId;

/// Federated identity credentials that an identity can have:
/// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations>.
pub const MAX_CREDENTIALS: usize = 20;

/// What makes pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadId {
    /// Its namespace.
    pub namespace: String,
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`, or one that nobody here knows.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What becomes of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has files, and nothing is left to decide.
    Ready,
    /// It has files, and a person must do or decide something.
    Review,
    /// It has no patch, for it is made by something unknown; the rest is as with the others.
    ByHand,
    /// It has no files: a person must change something first.
    Stopped,
    /// There is nothing to change.
    Unchanged,
}

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "field", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// A label: of a service account, or of a workload's pods.
    Label {
        /// Its key.
        key: String,
        /// What it becomes.
        value: String,
    },
    /// An annotation, likewise.
    Annotation {
        /// Its key.
        key: String,
        /// What it becomes.
        value: String,
    },
    /// The service account of a workload's pods.
    ServiceAccountName {
        /// What it becomes.
        value: String,
    },
}

/// What is planned for a workload.
#[derive(Debug, Clone)]
pub struct WorkloadPlan {
    /// Which one.
    pub id: WorkloadId,
    /// Its `AzureIdentity` objects, as `namespace/name`; the default one first.
    pub identities: Vec<String>,
    /// The service account that its pods are to have.
    pub service_account: Option<String>,
    /// Of its pod template; none if it is [stopped](Outcome::Stopped).
    pub changes: Vec<Change>,
    /// Whether its service account changes.
    pub account_changes: bool,
    /// What else there is to know.
    pub findings: Vec<Finding>,
}

impl WorkloadPlan {
    /// What becomes of it.
    pub fn outcome(&self) -> Outcome {
        let heaviest = self.findings.iter().map(Finding::weight).max();
        let has = |is: fn(&Finding) -> bool| self.findings.iter().any(is);
        match heaviest {
            _ if has(|finding| matches!(finding, Finding::Excepted { .. })) => Outcome::Unchanged,
            Some(Weight::Stop) => Outcome::Stopped,
            _ if self.changes.is_empty() && !self.account_changes => Outcome::Unchanged,
            _ if has(|finding| matches!(finding, Finding::UnknownOwner { .. })) => Outcome::ByHand,
            Some(Weight::Decide) => Outcome::Review,
            _ => Outcome::Ready,
        }
    }
}

/// What is planned for a service account.
#[derive(Debug, Clone)]
pub struct AccountPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the cluster has it.
    pub exists: bool,
    /// Of its metadata; none if it has everything.
    pub changes: Vec<Change>,
    /// Names of secrets with registry credentials that it takes over from `default`.
    pub image_pull_secrets: Vec<String>,
    /// What its pods may use. The first is what they get that do not say which.
    pub client_ids: Vec<ClientId>,
}

/// What holds an identity in Azure.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A user-assigned managed identity.
    UserAssigned(ResourceId),
    /// An application.
    Application,
}

/// What is planned for an identity in Azure.
#[derive(Debug, Clone)]
pub struct IdentityPlan {
    /// Client id.
    pub client_id: ClientId,
    /// Where it is.
    pub principal: Principal,
    /// Of a service principal.
    pub object_id: Option<String>,
    /// Where it is said.
    pub tenant_id: Option<TenantId>,
    /// The objects in Kubernetes that stand for it, as `namespace/name`.
    pub azure_identities: Vec<String>,
    /// How many federated identity credentials it has; `None` if Azure was not asked.
    pub existing: Option<usize>,
    /// Those that the service accounts need.
    pub credentials: Vec<Credential>,
}

/// A federated identity credential.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// Issuer of the service account tokens.
    pub issuer: String,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// Exactly one.
    pub audiences: [String; 1],
    /// What becomes of it.
    pub state: CredentialState,
}

/// What becomes of a federated identity credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialState {
    /// It is there.
    Exists,
    /// It is to be created.
    Create,
    /// It is there with another audience, and an identity can have no two of the same issuer and subject.
    Update,
    /// The identity can have no more.
    BeyondLimit,
}

/// An object of pod identity that no workload leads to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unused {
    /// Such as `AzureIdentity`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why it could not be migrated if one did.
    pub unusable: Option<Unusable>,
}

/// What an exception lets through to the node's metadata service.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whose pods it fits.
    pub workloads: Vec<WorkloadId>,
}

/// A migration. Says the same of the same cluster, in the same order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All that have pods of pod identity, by namespace, kind and name.
    pub workloads: Vec<WorkloadPlan>,
    /// Those of the workloads that are not stopped, by namespace and name.
    pub service_accounts: Vec<AccountPlan>,
    /// Those of the service accounts, by client id.
    pub identities: Vec<IdentityPlan>,
    /// By namespace and name.
    pub exceptions: Vec<Exception>,
    /// Identities, then bindings, by namespace and name.
    pub unused: Vec<Unused>,
    /// Objects of pod identity that AKS made and makes again until it is told not to, as `Kind namespace/name`.
    pub made_by_aks: Vec<String>,
}

impl Plan {
    /// Without objects of other namespaces, whose pods were not looked at.
    #[must_use]
    pub(super) fn within(mut self, namespace: Option<&str>) -> Self {
        if let Some(namespace) = namespace {
            self.unused.retain(|unused| unused.namespace == namespace);
            self.exceptions.retain(|exception| exception.namespace == namespace);
        }
        self
    }

    /// How many workloads have which outcome.
    pub fn outcomes(&self) -> BTreeMap<Outcome, usize> {
        let mut outcomes = BTreeMap::new();
        for workload in &self.workloads {
            *outcomes.entry(workload.outcome()).or_default() += 1;
        }
        outcomes
    }
}
