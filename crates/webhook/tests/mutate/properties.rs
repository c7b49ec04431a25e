//! What holds for all pods, not only for those that somebody has thought of.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::pods::{ANNOTATIONS, MOUNT, VARIABLES, account, anything, pod, settings};
use super::stage::{self, patched, review};

const OURS: [&str; 2] = ["azwi-proxy", "azwi-proxy-init"];
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// What the API server makes of a pod before it asks again: it fills in defaults, and so does its own admission.
fn with_defaults(mut pod: Value) -> Value {
    let spec = &mut pod["spec"];
    spec["schedulerName"] = "default-scheduler".into();
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(projected) = volume.get_mut("projected").and_then(Value::as_object_mut) {
            projected.entry("defaultMode").or_insert(420.into());
        }
    }
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.insert(0, json!({"name": "kube-api-access-x7x7x", "projected": {"sources": []}}));
    }
    for list in LISTS {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container["terminationMessagePath"] = "/dev/termination-log".into();
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                port["protocol"] = "TCP".into();
            }
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.insert(0, json!({"name": "kube-api-access-x7x7x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}));
            }
        }
    }
    pod
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn named<'a>(list: &'a [Value], name: &Value) -> Option<&'a Value> {
    list.iter().find(|one| one["name"] == *name)
}

fn put_back(value: &mut Value, field: &str, original: Option<&Value>) {
    let fields = value.as_object_mut().unwrap();
    match original {
        Some(original) => drop(fields.insert(field.to_owned(), original.clone())),
        None => drop(fields.shift_remove(field)),
    }
}

/// The patched pod without what may be new in it: containers of our names, variables, mounts, one volume.
fn without_ours(original: &Value, mut patched: Value) -> Value {
    for field in LISTS {
        let before = list(&original["spec"], field);
        let is_new = |container: &Value| named(before, &container["name"]).is_none();
        let Some(after) = patched["spec"].get_mut(field).and_then(Value::as_array_mut) else { continue };
        after.retain(|container| !is_new(container) || !OURS.iter().any(|name| container["name"] == *name));
        for container in after.iter_mut() {
            let Some(was) = named(before, &container["name"]) else { continue };
            assert!(list(container, "env").starts_with(list(was, "env")), "variables were changed: {container}");
            for variable in &list(container, "env")[list(was, "env").len()..] {
                assert!(VARIABLES.iter().any(|name| variable["name"] == *name), "{variable}");
            }
            for mount in list(was, "volumeMounts").iter().filter(|mount| !is_reserved(mount)) {
                assert!(list(container, "volumeMounts").contains(mount), "{mount} is gone");
            }
            put_back(container, "env", was.get("env"));
            put_back(container, "volumeMounts", was.get("volumeMounts"));
        }
        if after.is_empty() {
            put_back(&mut patched["spec"], field, original["spec"].get(field));
        }
    }
    for volume in list(&original["spec"], "volumes").iter().filter(|volume| !is_reserved(volume)) {
        assert!(list(&patched["spec"], "volumes").contains(volume), "{volume} is gone");
    }
    put_back(&mut patched["spec"], "volumes", original["spec"].get("volumes"));
    patched
}

fn is_reserved(one: &Value) -> bool {
    one["name"].as_str().unwrap().starts_with("azure-workload-identity-reserved-")
}

fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"].get("annotations")?.get(format!("azure.workload.identity/{name}"))?.as_str()
}

fn has_sidecar(pod: &Value) -> bool {
    annotation(pod, "inject-proxy-sidecar").is_some_and(|value| value != "false")
}

/// The pod with an annotation for a sidecar and a redirect, and neither of them yet.
fn asking_for_the_first_time(mut pod: Value) -> Value {
    pod["metadata"]["annotations"] = json!({"azure.workload.identity/inject-proxy-sidecar": "true"});
    for field in LISTS {
        if let Some(containers) = pod["spec"].get_mut(field).and_then(Value::as_array_mut) {
            containers.retain(|container| !OURS.contains(&container["name"].as_str().unwrap()));
        }
    }
    pod
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pod_that_is_mutated_again_does_not_change(pod in pod(), account in account(), settings in settings()) {
        let first = review(&pod, &account, &settings).unwrap();
        let once = patched(&pod, &first).unwrap();
        let again = review(&once, &account, &settings).unwrap();
        prop_assert_eq!(again.patch, None);
    }

    #[test]
    fn nor_when_the_api_server_has_filled_in_its_defaults(pod in pod(), account in account(), settings in settings()) {
        let once = patched(&pod, &review(&pod, &account, &settings).unwrap()).unwrap();
        let again = review(&with_defaults(once), &account, &settings).unwrap();
        prop_assert_eq!(again.patch, None);
    }

    #[test]
    fn nothing_changes_but_what_is_named(pod in pod(), account in account(), settings in settings()) {
        let once = patched(&pod, &review(&pod, &account, &settings).unwrap()).unwrap();
        prop_assert_eq!(without_ours(&pod, once), pod);
    }

    #[test]
    fn a_container_that_another_webhook_adds_is_completed_and_nothing_else_is_touched(
        pod in pod(), account in account(), settings in settings(), place in any::<Index>(), which in select(&LISTS[..]),
    ) {
        let mut once = patched(&pod, &review(&pod, &account, &settings).unwrap()).unwrap();
        let Some(containers) = once["spec"].get_mut(which).and_then(Value::as_array_mut) else { return Ok(()) };
        containers.reverse();
        containers.insert(place.index(containers.len() + 1), json!({"name": "added"}));
        let again = review(&once, &account, &settings).unwrap();
        let twice = patched(&once, &again).unwrap();
        for list in LISTS {
            let rest = |pod: &Value| -> Vec<Value> {
                self::list(&pod["spec"], list).iter().filter(|one| one["name"] != "added").cloned().collect()
            };
            prop_assert_eq!(rest(&twice), rest(&once));
        }
        prop_assert_eq!(review(&twice, &account, &settings).unwrap().patch, None);
    }

    #[test]
    fn who_is_not_left_out_finds_the_token(pod in pod(), account in account(), settings in settings()) {
        let once = patched(&pod, &review(&pod, &account, &settings).unwrap()).unwrap();
        let only_proxy = has_sidecar(&pod) && annotation(&pod, "proxy-only") == Some("true");
        let skipped: Vec<_> = annotation(&pod, "skip-containers").unwrap_or_default().split(';').map(str::trim).collect();
        for container in LISTS.iter().flat_map(|field| list(&once["spec"], field)) {
            let name = container["name"].as_str().unwrap();
            if skipped.contains(&name) || only_proxy && name != "azwi-proxy" {
                continue;
            }
            let mount = list(container, "volumeMounts").iter().find(|mount| mount["mountPath"] == MOUNT);
            let mount = mount.expect("no mount");
            prop_assert_eq!(list(container, "volumeMounts").iter().filter(|one| one["mountPath"] == MOUNT).count(), 1);
            let volume = named(list(&once["spec"], "volumes"), &mount["name"]);
            prop_assert!(volume.is_some() || !is_reserved(mount), "{mount} of no volume");
            prop_assert!(list(container, "env").iter().any(|one| one["name"] == "AZURE_FEDERATED_TOKEN_FILE"));
        }
    }

    #[test]
    fn the_redirect_comes_first_and_the_sidecar_next(pod in pod(), account in account(), settings in settings()) {
        let pod = asking_for_the_first_time(pod);
        let once = patched(&pod, &review(&pod, &account, &settings).unwrap()).unwrap();
        let [init, apps] = LISTS.map(|field| list(&once["spec"], field).iter().map(|one| one["name"].clone()).collect::<Vec<_>>());
        prop_assert_eq!(&init[0], "azwi-proxy-init");
        prop_assert_eq!(if settings.native_sidecar { &init[1] } else { &apps[0] }, "azwi-proxy");
    }

    #[test]
    fn what_is_no_pod_is_denied_and_nothing_worse(pod in anything(), settings in settings()) {
        let denial = review(&json!({"spec": pod}), &stage::account(), &settings);
        prop_assert!(pod.is_object() || denial.unwrap_err().0.starts_with("the pod cannot be read: "));
    }

    #[test]
    fn any_value_of_an_annotation_is_taken_or_denied_by_its_name(
        name in select(&ANNOTATIONS[2..]), value in ".{0,12}", settings in settings(),
    ) {
        let key = format!("azure.workload.identity/{}", name.0);
        let annotations = json!({"azure.workload.identity/inject-proxy-sidecar": "true", &key: value});
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {}});
        match review(&pod, &stage::account(), &settings) {
            Ok(mutation) => drop(patched(&pod, &mutation).unwrap()),
            Err(denial) => prop_assert!(denial.0.starts_with(&format!("annotation {key} of the pod is ")), "{denial}"),
        }
    }
}
