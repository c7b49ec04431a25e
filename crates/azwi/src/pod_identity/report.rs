//! The plan for programs: `report.json`.

use azwi_identity::{ClientId, TenantId};
use serde::Serialize;

use super::finding::{Finding, Weight};
use super::plan::{
    AccountPlan, Change, Credential, Exception, IdentityPlan, Outcome, Plan, Principal, Unused, WorkloadId,
    WorkloadPlan,
};

/// All of a plan.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    workloads: Vec<Workload<'a>>,
    service_accounts: Vec<Account<'a>>,
    identities: Vec<Identity<'a>>,
    exceptions: &'a [Exception],
    unused: &'a [Unused],
    made_by_aks: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Workload<'a> {
    #[serde(flatten)]
    id: &'a WorkloadId,
    outcome: Outcome,
    identities: &'a [String],
    service_account: Option<&'a str>,
    changes: &'a [Change],
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    weight: Weight,
    #[serde(flatten)]
    finding: &'a Finding,
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Account<'a> {
    namespace: &'a str,
    name: &'a str,
    exists: bool,
    client_ids: Vec<&'a str>,
    changes: &'a [Change],
}

/// An identity in Azure and its federated identity credentials.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
    azure_identities: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    existing: Option<usize>,
    credentials: &'a [Credential],
}

impl<'a> Report<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self {
            workloads: plan.workloads.iter().map(workload).collect(),
            service_accounts: plan.service_accounts.iter().map(account).collect(),
            identities: identities(plan),
            exceptions: &plan.exceptions,
            unused: &plan.unused,
            made_by_aks: &plan.made_by_aks,
        }
    }
}

pub(super) fn identities(plan: &Plan) -> Vec<Identity<'_>> {
    plan.identities.iter().map(identity).collect()
}

fn identity(plan: &IdentityPlan) -> Identity<'_> {
    Identity {
        client_id: plan.client_id.as_str(),
        resource_id: match &plan.principal {
            Principal::UserAssigned(resource) => Some(resource.as_str()),
            Principal::Application => None,
        },
        object_id: plan.object_id.as_deref(),
        tenant_id: plan.tenant_id.as_ref().map(TenantId::as_str),
        azure_identities: &plan.azure_identities,
        existing: plan.existing,
        credentials: &plan.credentials,
    }
}

fn workload(plan: &WorkloadPlan) -> Workload<'_> {
    let found = |finding| Found { weight: Finding::weight(finding), text: finding.to_string(), finding };
    Workload {
        id: &plan.id,
        outcome: plan.outcome(),
        identities: &plan.identities,
        service_account: plan.service_account.as_deref(),
        changes: &plan.changes,
        findings: plan.findings.iter().map(found).collect(),
    }
}

fn account(plan: &AccountPlan) -> Account<'_> {
    Account {
        namespace: &plan.namespace,
        name: &plan.name,
        exists: plan.exists,
        client_ids: plan.client_ids.iter().map(ClientId::as_str).collect(),
        changes: &plan.changes,
    }
}
