//! Service accounts: which one each workload is to have, and what they are to say.
//!
//! A service account has one set of identities for all its pods, for a federated identity credential knows nothing finer.

use std::collections::{BTreeMap, BTreeSet};

use azwi_conventions::annotation::{CLIENT_ID, IDENTITY_MAP, SERVICE_ACCOUNT_TOKEN_EXPIRATION, TENANT_ID};
use azwi_conventions::label;
use azwi_identity::{ClientId, TenantId};
use serde_json::Value;

use super::case::Case;
use super::finding::Finding;
use super::identity::Identity;
use super::identity_map;
use super::name::is_subdomain;
use super::object::Object;
use super::plan::{AccountPlan, Change};
use super::settings::Settings;
use super::workload::Workload;

type Name = (String, String);

/// Plans the service accounts of all cases that are not stopped; those that cannot share one are stopped here.
pub(super) fn plan(
    cases: &mut [Case<'_, '_>],
    workloads: &[Workload<'_>],
    objects: &[Object<'_>],
    settings: &Settings,
) -> Vec<AccountPlan> {
    give_own_accounts(cases, objects);
    let mut plans = Vec::new();
    for ((namespace, name), group) in groups(cases) {
        let mut members: Vec<_> =
            cases.iter_mut().enumerate().filter(|(index, _)| group.contains(index)).map(|(_, case)| case).collect();
        if is_at_odds(&mut members, &name) {
            continue;
        }
        let account = find(objects, "ServiceAccount", &namespace, &name);
        match Account::of(&name, &members, account, settings) {
            Err(finding) => members.iter_mut().for_each(|case| case.find(finding.clone())),
            Ok(account) => {
                account.tell(&mut members);
                tell_others(&mut members, workloads, &namespace, &name);
                plans.push(account.plan(namespace, name, objects));
            }
        }
    }
    plans
}

/// Gives workloads of the service account `default` one of their own: what `default` may do, any pod may.
fn give_own_accounts(cases: &mut [Case<'_, '_>], objects: &[Object<'_>]) {
    let mut claims: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.is_stopped()) {
        if let Some(name) = &case.account {
            claims.insert((case.workload.id.namespace.clone(), name.clone()), clients(case));
        }
    }
    for case in cases.iter_mut().filter(|case| !case.is_stopped() && case.account.is_none()) {
        match own_account(case, objects, &claims).filter(|_| case.workload.object.is_some()) {
            None => case.find(Finding::DefaultAccount),
            Some(name) => {
                claims.insert((case.workload.id.namespace.clone(), name.clone()), clients(case));
                case.find(news(case, &name, objects));
                case.account = Some(name);
            }
        }
    }
}

fn clients(case: &Case<'_, '_>) -> BTreeSet<String> {
    case.clients().into_iter().map(str::to_owned).collect()
}

/// The workload's name, or if another one has it, with its kind.
fn own_account(
    case: &Case<'_, '_>,
    objects: &[Object<'_>],
    claims: &BTreeMap<Name, BTreeSet<String>>,
) -> Option<String> {
    let id = &case.workload.id;
    let names = [id.name.clone(), format!("{}-{}", id.name, id.kind.to_ascii_lowercase())];
    let is_ours = |name: &String| {
        let account = find(objects, "ServiceAccount", &id.namespace, name);
        account
            .is_none_or(|account| account.annotation(CLIENT_ID).is_some_and(|client| case.clients().contains(client)))
    };
    let is_free =
        |name: &String| claims.get(&(id.namespace.clone(), name.clone())).is_none_or(|others| *others == clients(case));
    names.into_iter().find(|name| name != "default" && is_subdomain(name) && is_free(name) && is_ours(name))
}

fn news(case: &Case<'_, '_>, name: &str, objects: &[Object<'_>]) -> Finding {
    let bindings = roles_of_default(&case.workload.id.namespace, objects);
    let name = name.to_owned();
    if bindings.is_empty() { Finding::NewAccount { name } } else { Finding::RolesOfDefault { name, bindings } }
}

fn roles_of_default(namespace: &str, objects: &[Object<'_>]) -> Vec<String> {
    let is_of_default = |subject: &Value, binding: &Object<'_>| {
        let field = |name| subject.get(name).and_then(Value::as_str).unwrap_or_default();
        let of = Some(field("namespace")).filter(|of| !of.is_empty()).unwrap_or(binding.namespace());
        field("kind") == "ServiceAccount" && field("name") == "default" && of == namespace
    };
    let bindings = objects.iter().filter(|object| object.group() == "rbac.authorization.k8s.io");
    let bindings =
        bindings.filter(|binding| binding.list("/subjects").iter().any(|subject| is_of_default(subject, binding)));
    bindings.map(|binding| format!("{} {}", binding.kind(), binding.name())).collect()
}

/// Whether a case goes on, with this service account.
pub(super) fn is_of(case: &Case<'_, '_>, account: &AccountPlan) -> bool {
    !case.is_stopped()
        && case.workload.id.namespace == account.namespace
        && case.account.as_ref() == Some(&account.name)
}

/// Indices of the cases that go on, by service account.
fn groups(cases: &[Case<'_, '_>]) -> BTreeMap<Name, Vec<usize>> {
    let mut groups: BTreeMap<Name, Vec<usize>> = BTreeMap::new();
    for (index, case) in cases.iter().enumerate().filter(|(_, case)| !case.is_stopped()) {
        if let Some(name) = &case.account {
            groups.entry((case.workload.id.namespace.clone(), name.clone())).or_default().push(index);
        }
    }
    groups
}

/// Tells each member which others have other identities, if any have.
fn is_at_odds(members: &mut [&mut Case<'_, '_>], name: &str) -> bool {
    let all: Vec<_> = members.iter().map(|case| (case.workload.id.clone(), clients(case))).collect();
    let mut is_at_odds = false;
    for case in members {
        let own = clients(case);
        let others: Vec<_> = all.iter().filter(|(_, clients)| *clients != own).map(|(id, _)| id.clone()).collect();
        if !others.is_empty() {
            is_at_odds = true;
            case.find(Finding::SharedAccount { name: name.to_owned(), others });
        }
    }
    is_at_odds
}

/// Tells of workloads that get more than they had.
fn tell_others(members: &mut [&mut Case<'_, '_>], workloads: &[Workload<'_>], namespace: &str, name: &str) {
    let own: BTreeSet<_> = members.iter().map(|case| case.workload.id.clone()).collect();
    let others = workloads.iter().filter(|other| other.id.namespace == namespace && !own.contains(&other.id));
    let others: Vec<_> =
        others.filter(|other| other.service_accounts().contains(name)).map(|other| other.id.clone()).collect();
    if !others.is_empty() {
        for case in members.iter_mut() {
            case.find(Finding::AlsoUsedBy { name: name.to_owned(), others: others.clone() });
        }
    }
}

/// What a service account is to say.
struct Account<'d, 'a, 'o> {
    object: Option<Object<'o>>,
    /// The default first.
    identities: Vec<&'d Identity<'a>>,
    is_chosen: bool,
    annotations: Vec<(&'static str, String)>,
}

impl<'d, 'a, 'o> Account<'d, 'a, 'o> {
    /// # Errors
    /// What it says already and cannot stay.
    fn of(
        name: &str,
        members: &[&mut Case<'d, 'a>],
        object: Option<Object<'o>>,
        settings: &Settings,
    ) -> Result<Self, Finding> {
        let mut identities = members.first().map(|case| case.identities.clone()).unwrap_or_default();
        let chosen = chosen(name, object, &identities)?;
        if let Some(index) = chosen {
            let identity = identities.remove(index);
            identities.insert(0, identity);
        }
        let map = object.and_then(|object| object.annotation(IDENTITY_MAP));
        let tenant =
            identities.first().and_then(|identity| identity.tenant.clone()).or_else(|| settings.tenant_id.clone());
        let map = identity_map::with(map, &identities, tenant.as_ref())
            .map_err(|reason| bad_annotation(name, IDENTITY_MAP, reason))?;
        Ok(Self {
            object,
            annotations: annotations(&identities, tenant.as_ref(), settings, map),
            is_chosen: chosen.is_some(),
            identities,
        })
    }

    fn tell(&self, members: &mut [&mut Case<'d, 'a>]) {
        let changes = !self.changes().is_empty();
        let chosen = self.identities.first().map(|identity| identity.name()).unwrap_or_default();
        for case in members {
            case.account_changes = changes;
            case.identities.clone_from(&self.identities);
            if self.identities.len() > 1 && !self.is_chosen {
                case.find(Finding::SeveralIdentities { count: self.identities.len(), chosen: chosen.clone() });
            }
        }
    }

    fn changes(&self) -> Vec<Change> {
        let has = |key: &str, value: &str| self.object.is_some_and(|object| object.annotation(key) == Some(value));
        let has_label = self.object.is_some_and(|object| object.label(label::USE) == Some("true"));
        let label = (!has_label).then(|| Change::Label { key: label::USE.to_owned(), value: "true".to_owned() });
        let annotations = self.annotations.iter().filter(|(key, value)| !has(key, value));
        let annotations =
            annotations.map(|(key, value)| Change::Annotation { key: (*key).to_owned(), value: value.clone() });
        label.into_iter().chain(annotations).collect()
    }

    fn plan(&self, namespace: String, name: String, objects: &[Object<'_>]) -> AccountPlan {
        let default = find(objects, "ServiceAccount", &namespace, "default").filter(|_| self.object.is_none());
        let secrets = default.map(|default| default.list("/imagePullSecrets")).unwrap_or_default();
        let secrets = secrets.iter().filter_map(|secret| secret.get("name")?.as_str()).map(str::to_owned);
        AccountPlan {
            exists: self.object.is_some(),
            changes: self.changes(),
            image_pull_secrets: secrets.collect(),
            client_ids: self.identities.iter().map(|identity| identity.client.clone()).collect(),
            namespace,
            name,
        }
    }
}

/// Which of the identities the service account names as the default, if it does.
fn chosen(name: &str, object: Option<Object<'_>>, identities: &[&Identity<'_>]) -> Result<Option<usize>, Finding> {
    let said = object.and_then(|object| object.annotation(CLIENT_ID)).unwrap_or_default();
    if said.is_empty() {
        return Ok(None);
    }
    let client = ClientId::parse(said).map_err(|error| bad_annotation(name, CLIENT_ID, error.to_string()))?;
    let index = identities.iter().position(|identity| identity.client == client);
    let has = || identities.iter().map(|identity| identity.client.to_string()).collect::<Vec<_>>().join(", ");
    index.map(Some).ok_or_else(|| Finding::OtherClient { name: name.to_owned(), says: said.to_owned(), has: has() })
}

fn bad_annotation(name: &str, key: &str, reason: String) -> Finding {
    Finding::BadAnnotation { name: name.to_owned(), key: key.to_owned(), reason }
}

fn annotations(
    identities: &[&Identity<'_>],
    tenant: Option<&TenantId>,
    settings: &Settings,
    map: Option<String>,
) -> Vec<(&'static str, String)> {
    let client = identities.first().map(|identity| (CLIENT_ID, identity.client.to_string()));
    let map = map.map(|map| (IDENTITY_MAP, map));
    let expiration = settings.token_expiration.map(|seconds| (SERVICE_ACCOUNT_TOKEN_EXPIRATION, seconds.to_string()));
    let tenant = tenant.map(|tenant| (TENANT_ID, tenant.to_string()));
    [client, map, expiration, tenant].into_iter().flatten().collect()
}

fn find<'a>(objects: &[Object<'a>], kind: &str, namespace: &str, name: &str) -> Option<Object<'a>> {
    let is_it = |object: &&Object<'_>| {
        object.kind() == kind && object.group().is_empty() && object.namespace() == namespace && object.name() == name
    };
    objects.iter().find(is_it).copied()
}
