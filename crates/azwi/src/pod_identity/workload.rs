//! What makes pods: every kind that Kubernetes itself has, and whatever else controls one.

use std::collections::{BTreeMap, BTreeSet};

use azwi_conventions::label;

use super::directory::LABEL;
use super::object::{Object, Owner, group};
use super::plan::WorkloadId;

/// Owners of owners of pods; Kubernetes' own go two deep.
const MAX_OWNERS: usize = 16;

/// A kind whose pod template is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Pod,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
}

/// How a changed template comes into pods.
pub(super) enum Rollout {
    ByItself,
    WhenPodsAreDeleted,
    /// The template cannot be changed.
    WhenCreatedAgain,
}

impl Kind {
    pub(super) fn of(api_version: &str, kind: &str) -> Option<Self> {
        Some(match (group(api_version), kind) {
            ("batch", "CronJob") => Self::CronJob,
            ("apps", "DaemonSet") => Self::DaemonSet,
            ("apps", "Deployment") => Self::Deployment,
            ("batch", "Job") => Self::Job,
            ("", "Pod") => Self::Pod,
            ("apps", "ReplicaSet") => Self::ReplicaSet,
            ("", "ReplicationController") => Self::ReplicationController,
            ("apps", "StatefulSet") => Self::StatefulSet,
            _ => return None,
        })
    }

    /// Where the pod template is.
    pub(super) fn template(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &[],
            Self::CronJob => &["spec", "jobTemplate", "spec", "template"],
            _ => &["spec", "template"],
        }
    }

    pub(super) fn rollout(self, object: Object<'_>) -> Rollout {
        match self {
            Self::CronJob | Self::Deployment => Rollout::ByItself,
            Self::DaemonSet | Self::StatefulSet if object.text("/spec/updateStrategy/type") != "OnDelete" => {
                Rollout::ByItself
            }
            Self::DaemonSet | Self::StatefulSet | Self::ReplicaSet | Self::ReplicationController => {
                Rollout::WhenPodsAreDeleted
            }
            Self::Job | Self::Pod => Rollout::WhenCreatedAgain,
        }
    }
}

/// One that makes pods, and the pods it has.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    pub(super) id: WorkloadId,
    /// Of an object that is there; a kind that is known.
    pub(super) object: Option<(Kind, Object<'a>)>,
    pub(super) pods: Vec<Object<'a>>,
}

impl<'a> Workload<'a> {
    /// What its pods are made of: a template, or else the pods themselves.
    pub(super) fn templates(&self) -> Vec<Object<'a>> {
        match self.object {
            None => self.pods.clone(),
            Some((kind, object)) => {
                let pointer: String = kind.template().iter().flat_map(|segment| ["/", segment]).collect();
                object.at(&pointer).map(Object).into_iter().collect()
            }
        }
    }

    /// Values of pod identity's label: the template's, or else, for it may be put on pods by others, those of the pods.
    pub(super) fn selectors(&self) -> BTreeSet<&'a str> {
        let of = |objects: &[Object<'a>]| -> BTreeSet<_> {
            objects.iter().filter_map(|object| object.label(LABEL)).filter(|value| !value.is_empty()).collect()
        };
        let of_templates = of(&self.templates());
        if of_templates.is_empty() { of(&self.pods) } else { of_templates }
    }

    /// Whether the webhook is asked about its pods.
    pub(super) fn is_labelled(&self) -> bool {
        let templates = self.templates();
        !templates.is_empty() && templates.iter().all(|template| template.label(label::USE) == Some("true"))
    }

    pub(super) fn service_accounts(&self) -> BTreeSet<&'a str> {
        self.templates().into_iter().map(service_account).collect()
    }

    pub(super) fn labels(&self) -> BTreeMap<&'a str, &'a str> {
        self.pods.iter().copied().chain(self.templates()).flat_map(Object::labels).collect()
    }
}

/// `serviceAccount` is the older name of the field.
fn service_account(template: Object<'_>) -> &str {
    let names = ["/spec/serviceAccountName", "/spec/serviceAccount"].map(|pointer| template.text(pointer));
    names.into_iter().find(|name| !name.is_empty()).unwrap_or("default")
}

/// All workloads, by namespace, kind and name.
pub(super) fn collect<'a>(objects: &[Object<'a>]) -> Vec<Workload<'a>> {
    let known: BTreeMap<_, _> = objects.iter().filter_map(|object| Some((key(*object)?, *object))).collect();
    let mut workloads = BTreeMap::new();
    for object in known.values().copied().filter(|object| !is_finished(*object)) {
        let is_pod = object.kind() == "Pod";
        let root = root(object, &known);
        let is_root = root.is_ok_and(|root| key(root) == key(object));
        if !is_pod && !is_root {
            continue;
        }
        let workload = workloads.entry(id(object, root)).or_insert_with_key(|id: &WorkloadId| Workload {
            id: id.clone(),
            object: root.ok().and_then(|root| Some((Kind::of(root.api_version(), root.kind())?, root))),
            pods: Vec::new(),
        });
        if is_pod {
            workload.pods.push(object);
        }
    }
    workloads.into_values().collect()
}

type Key<'a> = (&'a str, &'a str, &'a str, &'a str);

fn key(object: Object<'_>) -> Option<Key<'_>> {
    Kind::of(object.api_version(), object.kind())?;
    Some((object.namespace(), object.kind(), object.group(), object.name()))
}

/// What controls it in the end.
///
/// # Errors
/// That is not there, or not of a known kind.
fn root<'a>(object: Object<'a>, known: &BTreeMap<Key<'a>, Object<'a>>) -> Result<Object<'a>, Owner<'a>> {
    let mut root = object;
    for _ in 0..MAX_OWNERS {
        let Some(owner) = root.controller() else { break };
        root = *known.get(&(object.namespace(), owner.kind, group(owner.api_version), owner.name)).ok_or(owner)?;
    }
    Ok(root)
}

fn id(object: Object<'_>, root: Result<Object<'_>, Owner<'_>>) -> WorkloadId {
    let (api_version, kind, name) = match &root {
        Ok(root) => (root.api_version(), root.kind(), root.name()),
        Err(owner) => (owner.api_version, owner.kind, owner.name),
    };
    let [namespace, api_version, kind, name] = [object.namespace(), api_version, kind, name].map(str::to_owned);
    WorkloadId { namespace, api_version, kind, name }
}

/// A pod of a job that is done says only what was.
fn is_finished(object: Object<'_>) -> bool {
    let is_over = matches!(object.text("/status/phase"), "Succeeded" | "Failed");
    object.kind() == "Pod" && is_over && object.controller().is_some()
}
