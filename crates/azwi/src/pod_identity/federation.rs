//! Federated identity credentials: which identity needs one for which service account, and how many it can have.

use std::collections::BTreeMap;

use crate::names;

use super::account;
use super::azure::{Azure, Known};

use super::case::Case;
use super::finding::Finding;
use super::identity::{Holder, Identity};
use super::plan::{AccountPlan, Credential, CredentialState, IdentityPlan, MAX_CREDENTIALS, Principal};
use super::settings::Settings;

/// Plans the credentials of all service accounts; cases whose credentials find no place are told.
pub(super) fn plan(
    cases: &mut [Case<'_, '_>],
    accounts: &[AccountPlan],
    azure: &Azure,
    settings: &Settings,
) -> Vec<IdentityPlan> {
    let mut plans = identities(cases, azure);
    for plan in plans.values_mut() {
        let known = azure.credentials(&plan.client_id).unwrap_or_default();
        let mut free = MAX_CREDENTIALS.saturating_sub(known.len());
        for account in accounts.iter().filter(|account| account.client_ids.contains(&plan.client_id)) {
            let credential = credential(plan, account, known, &mut free, settings);
            if credential.state == CredentialState::BeyondLimit {
                tell(cases, plan, account);
            }
            plan.credentials.push(credential);
        }
    }
    plans.into_values().collect()
}

/// The identities of all cases that go on, by client id.
fn identities(cases: &[Case<'_, '_>], azure: &Azure) -> BTreeMap<String, IdentityPlan> {
    let mut plans: BTreeMap<String, IdentityPlan> = BTreeMap::new();
    let found = cases.iter().filter(|case| !case.is_stopped()).flat_map(|case| &case.identities);
    for identity in found {
        let plan = plans.entry(identity.client.to_string()).or_insert_with(|| identity_plan(identity, azure));
        if !plan.azure_identities.contains(&identity.name()) {
            plan.azure_identities.push(identity.name());
        }
    }
    plans
}

fn identity_plan(identity: &Identity<'_>, azure: &Azure) -> IdentityPlan {
    let (principal, object_id) = match &identity.holder {
        Holder::UserAssigned { resource, object_id, .. } => {
            (Principal::UserAssigned(resource.clone()), object_id.clone())
        }
        Holder::Application { .. } => (Principal::Application, None),
    };
    IdentityPlan {
        client_id: identity.client.clone(),
        principal,
        object_id,
        tenant_id: identity.tenant.clone(),
        azure_identities: Vec::new(),
        existing: azure.credentials(&identity.client).map(<[Known]>::len),
        credentials: Vec::new(),
    }
}

fn credential(
    plan: &IdentityPlan,
    account: &AccountPlan,
    known: &[Known],
    free: &mut usize,
    settings: &Settings,
) -> Credential {
    let issuer = settings.issuer.as_str();
    let subject = names::subject(&account.namespace, &account.name);
    let there = known.iter().find(|known| known.issuer == issuer && known.subject == subject);
    let state = match there {
        Some(known) if known.audiences == [settings.audience.as_str()] => CredentialState::Exists,
        Some(_) => CredentialState::Update,
        None if *free == 0 => CredentialState::BeyondLimit,
        None => CredentialState::Create,
    };
    if there.is_none() {
        *free = free.saturating_sub(1);
    }
    Credential {
        name: there.map_or_else(|| name(&plan.principal, account, issuer), |known| known.name.clone()),
        issuer: issuer.to_owned(),
        subject,
        audiences: [settings.audience.clone()],
        state,
    }
}

fn name(principal: &Principal, account: &AccountPlan, issuer: &str) -> String {
    match principal {
        Principal::Application => names::application_credential(&account.namespace, &account.name, issuer),
        Principal::UserAssigned(_) => names::managed_identity_credential(&account.namespace, &account.name, issuer),
    }
}

fn tell(cases: &mut [Case<'_, '_>], plan: &IdentityPlan, account: &AccountPlan) {
    let limit = MAX_CREDENTIALS;
    let finding = match &plan.principal {
        Principal::UserAssigned(resource) => Finding::BeyondLimit { identity: resource.to_string(), limit },
        Principal::Application => Finding::BeyondLimitOfApplication { identity: plan.client_id.to_string(), limit },
    };
    for case in cases.iter_mut().filter(|case| account::is_of(case, account)) {
        case.find(finding.clone());
    }
}
