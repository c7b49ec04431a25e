//! What of a plan Kubernetes reads: the smallest objects that say what changes and nothing else.
//!
//! Each is a strategic merge patch, for `kubectl patch --patch-file` and for kustomize; that of a service account which is
//! not there yet is the whole of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::plan::{AccountPlan, Change, Outcome, WorkloadId, WorkloadPlan};
use super::workload::Kind;

/// The patch of a workload; `None` if it needs none, or there can be none.
pub(super) fn workload(plan: &WorkloadPlan) -> Option<Value> {
    let kind = Kind::of(&plan.id.api_version, &plan.id.kind)?;
    let is_planned = matches!(plan.outcome(), Outcome::Ready | Outcome::Review) && !plan.changes.is_empty();
    is_planned.then(|| {
        let template = template(&plan.changes);
        let whole = kind.template().iter().rev().fold(template, |inner, field| json!({ *field: inner }));
        with_name(&whole, &plan.id)
    })
}

/// Whether a cluster takes the patch. Jobs and pods are made anew with it.
pub(super) fn can_be_applied(id: &WorkloadId) -> bool {
    Kind::of(&id.api_version, &id.kind).is_some_and(|kind| !matches!(kind, Kind::Job | Kind::Pod))
}

/// A pod template of nothing but what changes; nothing at all is there empty.
pub(super) fn template(changes: &[Change]) -> Value {
    let account = changes.iter().find_map(|change| match change {
        Change::ServiceAccountName { value } => Some(("spec", json!({ "serviceAccountName": value }))),
        Change::Label { .. } | Change::Annotation { .. } => None,
    });
    let metadata = metadata(changes);
    let metadata = (!metadata.is_empty()).then(|| ("metadata", metadata.into()));
    metadata.into_iter().chain(account).map(|(field, value)| (field.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// A service account; `None` if it has everything.
pub(super) fn account(plan: &AccountPlan) -> Option<Value> {
    let mut metadata = metadata(&plan.changes);
    metadata.insert("name".to_owned(), plan.name.clone().into());
    metadata.insert("namespace".to_owned(), plan.namespace.clone().into());
    let secrets: Vec<_> = plan.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let secrets = (!secrets.is_empty()).then(|| ("imagePullSecrets", secrets.into()));
    let head = [("apiVersion", "v1".into())].into_iter().chain(secrets);
    let fields = head.chain([("kind", "ServiceAccount".into()), ("metadata", metadata.into())]);
    (!plan.changes.is_empty())
        .then(|| fields.map(|(field, value)| (field.to_owned(), value)).collect::<Map<_, _>>().into())
}

fn with_name(whole: &Value, id: &WorkloadId) -> Value {
    let field = |name: &str| whole.get(name).cloned();
    let mut metadata = field("metadata").and_then(|metadata| metadata.as_object().cloned()).unwrap_or_default();
    metadata.insert("name".to_owned(), id.name.clone().into());
    metadata.insert("namespace".to_owned(), id.namespace.clone().into());
    let head = [
        ("apiVersion", id.api_version.clone().into()),
        ("kind", id.kind.clone().into()),
        ("metadata", metadata.into()),
    ];
    let spec = field("spec").map(|spec| ("spec", spec));
    head.into_iter().chain(spec).map(|(field, value)| (field.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// Annotations and labels.
fn metadata(changes: &[Change]) -> Map<String, Value> {
    let (mut annotations, mut labels) = (BTreeMap::new(), BTreeMap::new());
    for change in changes {
        match change {
            Change::Annotation { key, value } => annotations.insert(key, value),
            Change::Label { key, value } => labels.insert(key, value),
            Change::ServiceAccountName { .. } => None,
        };
    }
    let both = [("annotations", annotations), ("labels", labels)];
    both.into_iter()
        .filter(|(_, fields)| !fields.is_empty())
        .map(|(name, fields)| (name.to_owned(), json!(fields)))
        .collect()
}
