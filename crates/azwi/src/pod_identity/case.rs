//! One workload that has identities of pod identity, and how far it can come.

use std::collections::BTreeSet;

use azwi_conventions::annotation::{INJECT_PROXY_SIDECAR, PROXY_SIDECAR_PORT};
use azwi_conventions::{DEFAULT_PROXY_PORT, label};

use super::directory::{Directory, Matched, full_name};
use super::finding::{Finding, Weight};
use super::identity::{Holder, Identity};
use super::object::Object;
use super::obstacle;
use super::plan::{Change, WorkloadPlan};
use super::settings::Settings;
use super::workload::Workload;

/// A workload on its way.
pub(super) struct Case<'d, 'a> {
    pub(super) workload: &'d Workload<'a>,
    pub(super) identities: Vec<&'d Identity<'a>>,
    /// The service account that its pods are to have, once it is known.
    pub(super) account: Option<String>,
    pub(super) account_changes: bool,
    pub(super) findings: Vec<Finding>,
}

impl<'d, 'a> Case<'d, 'a> {
    /// `None` if it has nothing to do with pod identity, or no more: it is migrated, and pod identity's objects are gone.
    pub(super) fn of(
        workload: &'d Workload<'a>,
        directory: &'d Directory<'a>,
        objects: &[Object<'a>],
        settings: &Settings,
    ) -> Option<Self> {
        let selectors = workload.selectors();
        if selectors.is_empty() {
            return None;
        }
        let matched = directory.matched(&workload.id.namespace, &selectors);
        if matched.is_gone() && workload.is_labelled() {
            return None;
        }
        let mut case =
            Self { workload, identities: Vec::new(), account: None, account_changes: false, findings: Vec::new() };
        match directory.exception(&workload.id.namespace, &workload.labels()) {
            Some(exception) => case.find(Finding::Excepted { exception: full_name(exception) }),
            None => case.examine(matched, objects, settings),
        }
        Some(case)
    }

    fn examine(&mut self, matched: Matched<'d, 'a>, objects: &[Object<'a>], settings: &Settings) {
        self.identities = matched.identities;
        self.findings = matched.findings;
        self.find_owner();
        if self.identities.is_empty() {
            self.find(Finding::NoIdentity);
        }
        self.find_about_identities();
        match self.refused_sidecar() {
            Some(value) => self.find(Finding::NoSidecar { value: value.to_owned() }),
            None => self.findings.extend(obstacle::to_sidecar(self.workload, objects, self.port(settings))),
        }
        self.findings.extend(obstacle::to_rollout(self.workload));
        self.findings.extend(obstacle::to_patch(self.workload));
        self.find_account();
    }

    fn find_owner(&mut self) {
        let id = self.workload.id.clone();
        if self.workload.object.is_none() {
            self.find(if obstacle::is_only_gone(self.workload) {
                Finding::OwnerMissing { kind: id.kind, name: id.name }
            } else {
                Finding::UnknownOwner { api_version: id.api_version, kind: id.kind, name: id.name }
            });
        }
    }

    fn find_about_identities(&mut self) {
        for found in self.identities.clone() {
            let identity = found.name();
            if let Some(authority) = found.authority {
                self.find(Finding::Authority { identity: identity.clone(), authority: authority.to_owned() });
            }
            match &found.holder {
                Holder::Application { secret } => self.find(Finding::SecretIdle { identity, secret: secret.clone() }),
                Holder::UserAssigned { object_id: None, .. } => self.find(Finding::ObjectIdUnknown { identity }),
                Holder::UserAssigned { .. } => {}
            }
        }
    }

    fn find_account(&mut self) {
        let names = self.workload.service_accounts();
        match names.iter().collect::<Vec<_>>().as_slice() {
            [name] if **name != "default" => self.account = Some((**name).to_owned()),
            [_] | [] => {}
            _ => self.find(Finding::SeveralAccounts { names: names.into_iter().collect::<Vec<_>>().join(", ") }),
        }
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Whether something must change before it can go on.
    pub(super) fn is_stopped(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.weight() == Weight::Stop || matches!(finding, Finding::Excepted { .. }))
    }

    /// Which clients its pods may use.
    pub(super) fn clients(&self) -> BTreeSet<&str> {
        self.identities.iter().map(|identity| identity.client.as_str()).collect()
    }

    /// The annotation as written, if it says no.
    fn refused_sidecar(&self) -> Option<&'a str> {
        self.annotation(INJECT_PROXY_SIDECAR).filter(|value| value.eq_ignore_ascii_case("false"))
    }

    fn port(&self, settings: &Settings) -> u16 {
        let said = self.annotation(PROXY_SIDECAR_PORT).and_then(|port| port.parse().ok());
        if settings.proxy_port == DEFAULT_PROXY_PORT { said.unwrap_or(DEFAULT_PROXY_PORT) } else { settings.proxy_port }
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        self.workload.templates().iter().find_map(|template| template.annotation(key))
    }

    /// What its pod template lacks.
    fn changes(&self, settings: &Settings) -> Vec<Change> {
        let label = (!self.workload.is_labelled())
            .then(|| Change::Label { key: label::USE.to_owned(), value: "true".to_owned() });
        let annotation = |key: &str, value: String| Change::Annotation { key: key.to_owned(), value };
        let sidecar = self
            .annotation(INJECT_PROXY_SIDECAR)
            .is_none_or(|value| !["", "true", "false"].contains(&value.to_ascii_lowercase().as_str()));
        let sidecar = sidecar.then(|| annotation(INJECT_PROXY_SIDECAR, "true".to_owned()));
        let port = self.port(settings);
        let is_said = self.annotation(PROXY_SIDECAR_PORT).map_or(DEFAULT_PROXY_PORT.to_string(), str::to_owned)
            == port.to_string();
        let port =
            (!is_said && self.refused_sidecar().is_none()).then(|| annotation(PROXY_SIDECAR_PORT, port.to_string()));
        let account = self.account.clone().filter(|name| !self.workload.service_accounts().contains(name.as_str()));
        let account = account.map(|value| Change::ServiceAccountName { value });
        [label, sidecar, port, account].into_iter().flatten().collect()
    }

    /// The end of the way.
    pub(super) fn finish(mut self, settings: &Settings) -> WorkloadPlan {
        let is_stopped = self.is_stopped();
        let changes = if is_stopped { Vec::new() } else { self.changes(settings) };
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
        WorkloadPlan {
            id: self.workload.id.clone(),
            identities: self.identities.iter().map(|identity| identity.name()).collect(),
            service_account: self.account.filter(|_| !is_stopped),
            changes,
            account_changes: self.account_changes,
            findings: self.findings,
        }
    }
}
