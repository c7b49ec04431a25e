//! Which identities pod identity gives to a pod.
//!
//! The rules are those of its controller (MIC) and its agent on the nodes (NMI): the label's value is the binding's
//! selector, byte for byte; the identity lives in the binding's namespace; and an exception counts where one of its labels
//! fits, whatever the others do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::azure::Azure;
use super::finding::{Finding, Unusable};
use super::identity::Identity;
use super::installation::{is_namespaced, is_of_aks};
use super::object::Object;

/// The label of pods.
pub(super) const LABEL: &str = "aadpodidbinding";
pub(super) const GROUP: &str = "aadpodidentity.k8s.io";
const BEHAVIOR: &str = "aadpodidentity.k8s.io/Behavior";

/// All custom resources of pod identity.
pub(super) struct Directory<'a> {
    identities: BTreeMap<(&'a str, &'a str), Entry<'a>>,
    /// In the order of the controller: by namespace and name.
    bindings: Vec<Object<'a>>,
    exceptions: Vec<Object<'a>>,
    is_namespaced: Option<bool>,
}

/// An identity, or why it is none.
type Entry<'a> = (Object<'a>, Result<Identity<'a>, Unusable>);

/// What a pod gets.
#[derive(Default)]
pub(super) struct Matched<'d, 'a> {
    /// Each client once; the first binding's first.
    pub(super) identities: Vec<&'d Identity<'a>>,
    pub(super) findings: Vec<Finding>,
}

impl Matched<'_, '_> {
    /// No binding has any of the selectors.
    pub(super) fn is_gone(&self) -> bool {
        self.identities.is_empty() && self.findings.iter().all(|finding| matches!(finding, Finding::NoBinding { .. }))
    }
}

impl<'a> Directory<'a> {
    pub(super) fn read(objects: &[Object<'a>], azure: &Azure) -> Self {
        let of_kind =
            |kind| objects.iter().copied().filter(move |object| object.group() == GROUP && object.kind() == kind);
        let identities = of_kind("AzureIdentity")
            .map(|object| ((object.namespace(), object.name()), (object, Identity::read(object, azure))));
        let mut bindings: Vec<_> = of_kind("AzureIdentityBinding").collect();
        bindings.sort_by_key(|binding| (binding.namespace(), binding.name()));
        let mut exceptions: Vec<_> = of_kind("AzurePodIdentityException").collect();
        exceptions.sort_by_key(|exception| (exception.namespace(), exception.name()));
        Self { identities: identities.collect(), bindings, exceptions, is_namespaced: is_namespaced(objects) }
    }

    /// The exception that lets a pod of these labels through to the node's metadata service.
    pub(super) fn exception(&self, namespace: &str, labels: &BTreeMap<&str, &str>) -> Option<Object<'a>> {
        self.exceptions.iter().copied().find(|exception| excepts(*exception, namespace, labels))
    }

    /// Those of one kind.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = Object<'a>> {
        self.objects().filter(move |object| object.kind() == kind)
    }

    /// By namespace and name.
    pub(super) fn exceptions(&self) -> &[Object<'a>] {
        &self.exceptions
    }

    /// What pods of these labels' values get.
    pub(super) fn matched<'d>(&'d self, namespace: &str, selectors: &BTreeSet<&str>) -> Matched<'d, 'a> {
        let mut matched = Matched::default();
        for selector in selectors {
            let mut bindings = self.bindings_of(selector).peekable();
            if bindings.peek().is_none() {
                matched.findings.push(Finding::NoBinding { selector: (*selector).to_owned() });
            }
            bindings.for_each(|binding| self.match_binding(binding, namespace, &mut matched));
        }
        matched
    }

    fn bindings_of<'s>(&'s self, selector: &'s str) -> impl Iterator<Item = Object<'a>> + 's {
        self.bindings.iter().copied().filter(move |binding| binding.text_of_spec("selector") == selector)
    }

    fn match_binding<'d>(&'d self, binding: Object<'a>, namespace: &str, matched: &mut Matched<'d, 'a>) {
        let name = binding.text_of_spec("azureIdentity");
        let reference = format!("{}/{name}", binding.namespace());
        let Some((object, identity)) = self.identities.get(&(binding.namespace(), name)) else {
            matched.findings.push(Finding::IdentityMissing { binding: full_name(binding), identity: reference });
            return;
        };
        let is_elsewhere = binding.namespace() != namespace;
        if is_elsewhere && self.is_for_its_namespace(*object) {
            matched.findings.push(Finding::OutOfReach { identity: reference });
            return;
        }
        match identity {
            Err(reason) => {
                matched.findings.push(Finding::IdentityUnusable { identity: reference, reason: reason.clone() });
            }
            Ok(identity) => {
                if is_elsewhere {
                    matched.findings.push(Finding::OtherNamespace { identity: reference });
                }
                if !matched.identities.iter().any(|other| other.client == identity.client) {
                    matched.identities.push(identity);
                }
            }
        }
    }

    fn is_for_its_namespace(&self, identity: Object<'_>) -> bool {
        let says_so = identity.annotation(BEHAVIOR) == Some("namespaced");
        says_so || self.is_namespaced == Some(true) || is_of_aks(identity)
    }

    /// Identities and bindings that no pod of `selectors` leads to, and exceptions, by kind and name.
    pub(super) fn unused(&self, selectors: &BTreeSet<&str>) -> Vec<(Object<'a>, Option<&Unusable>)> {
        let is_idle = |binding: &&Object<'_>| !selectors.contains(binding.text_of_spec("selector"));
        let busy = self.bindings.iter().filter(|binding| !is_idle(binding));
        let busy: BTreeSet<_> =
            busy.map(|binding| (binding.namespace(), binding.text_of_spec("azureIdentity"))).collect();
        let identities = self.identities.iter().filter(|(key, _)| !busy.contains(key));
        let identities = identities.map(|(_, (object, identity))| (*object, identity.as_ref().err()));
        identities.chain(self.bindings.iter().filter(is_idle).map(|binding| (*binding, None))).collect()
    }

    /// All custom resources that are pod identity's.
    pub(super) fn objects(&self) -> impl Iterator<Item = Object<'a>> {
        let identities = self.identities.values().map(|(object, _)| *object);
        identities.chain(self.bindings.iter().copied()).chain(self.exceptions.iter().copied())
    }
}

/// Whether an exception is for pods of these labels: one of its own suffices, its value in any case.
pub(super) fn excepts(exception: Object<'_>, namespace: &str, labels: &BTreeMap<&str, &str>) -> bool {
    let fits = |(key, value): (&String, &Value)| {
        let of_pod = labels.get(key.as_str());
        of_pod.zip(value.as_str()).is_some_and(|(of_pod, value)| of_pod.eq_ignore_ascii_case(value))
    };
    let labels = exception.of_spec("podLabels").and_then(Value::as_object);
    exception.namespace() == namespace && labels.into_iter().flatten().any(fits)
}

pub(super) fn full_name(object: Object<'_>) -> String {
    format!("{}/{}", object.namespace(), object.name())
}
