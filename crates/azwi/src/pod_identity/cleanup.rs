//! What of pod identity nothing needs any more once its workloads are migrated.
//!
//! Only what migrated workloads lead to: a binding that no workload leads to may belong to one that has no pods just now.

use std::collections::BTreeSet;

use azwi_conventions::{label, volume};
use serde_json::Value;

use super::azure::Azure;
use super::directory::{Directory, LABEL};
use super::installation::is_of_aks;
use super::object::Object;
use super::plan::{Outcome, Plan, WorkloadPlan};
use super::workload;

/// Bindings, then identities; `objects` and `plan` are those of all namespaces.
///
/// What AKS made is not among them, for AKS would make it again.
pub(super) fn idle<'a>(objects: &'a [Value], plan: &Plan) -> Vec<Object<'a>> {
    let objects = Object::all(objects);
    let directory = Directory::read(&objects, &Azure::default());
    let (done, needed) = selectors(&objects, plan);
    let is_idle = |binding: &Object<'_>| {
        let selector = binding.text_of_spec("selector");
        done.contains(selector) && !needed.contains(selector) && !is_of_aks(*binding)
    };
    let (idle, kept): (Vec<_>, Vec<_>) = directory.of_kind("AzureIdentityBinding").partition(is_idle);
    let identities = |bindings: &[Object<'a>]| -> BTreeSet<_> {
        bindings.iter().map(|binding| (binding.namespace(), binding.text_of_spec("azureIdentity"))).collect()
    };
    let (of_idle, of_kept) = (identities(&idle), identities(&kept));
    let is_free = |identity: &Object<'_>| {
        let key = (identity.namespace(), identity.name());
        of_idle.contains(&key) && !of_kept.contains(&key) && !is_of_aks(*identity)
    };
    let identities: Vec<_> = directory.of_kind("AzureIdentity").filter(is_free).collect();
    idle.into_iter().chain(identities).collect()
}

/// Whether the webhook has given a pod its token: the label alone gives it nothing.
fn is_set_up(pod: Object<'_>) -> bool {
    let volumes = pod.list("/spec/volumes");
    let sources = volumes.iter().filter_map(|volume| volume.pointer("/projected/sources")?.as_array()).flatten();
    let mut paths = sources.filter_map(|source| source.pointer("/serviceAccountToken/path")?.as_str());
    paths.any(|path| path == volume::TOKEN_PATH)
}

/// Those of migrated workloads, and those that a workload or a pod from before still needs.
fn selectors<'a>(objects: &[Object<'a>], plan: &Plan) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let (mut done, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for workload in workload::collect(objects) {
        let outcome = plan.workloads.iter().find(|of| of.id == workload.id).map(WorkloadPlan::outcome);
        let is_done = workload.is_labelled() && outcome.is_none_or(|outcome| outcome == Outcome::Unchanged);
        if is_done { &mut done } else { &mut needed }.extend(workload.selectors());
        let old = workload.pods.iter().filter(|pod| !is_set_up(**pod));
        needed.extend(old.filter_map(|pod| pod.label(LABEL)));
    }
    // One that is migrated keeps templates from before, to go back to.
    let is_migrated = |template: &Object<'_>| template.label(label::USE) == Some("true");
    for templates in workload::of_unknown(objects).iter().filter(|templates| !templates.iter().any(is_migrated)) {
        needed.extend(templates.iter().filter_map(|template| template.label(LABEL)));
    }
    (done, needed)
}
