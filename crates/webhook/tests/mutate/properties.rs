//! What holds for all pods, not only for those that somebody has thought of.

use std::collections::BTreeSet;

use azwi_webhook::mutate::{CaSource, ServiceAccount, Settings};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};

use super::stage::{self, CLIENT, patched, review};

const MOUNT: &str = "/var/run/secrets/azure/wi";
const OURS: [&str; 2] = ["azwi-proxy", "azwi-proxy-init"];
const LISTS: [&str; 2] = ["initContainers", "containers"];
const NAMES: [&str; 8] =
    ["app", "migrate", "logs", "istio-proxy", "daprd", "linkerd-proxy", "azwi-proxy", "azwi-proxy-init"];
const VARIABLES: [&str; 12] = [
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_KUBERNETES_TOKEN_PROXY",
    "AZURE_KUBERNETES_SNI_NAME",
    "AZURE_KUBERNETES_CA_FILE",
    "AZURE_KUBERNETES_CA_DATA",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "LOG",
    "PROXY_PORT",
    "APP_ID",
];
/// Of the pod `cart-0`, and of another one.
const VOLUMES: [&str; 3] =
    ["azure-workload-identity-reserved-OWN", "azure-workload-identity-reserved-0123456789abcdef", "data"];
const ANNOTATIONS: [(&str, &[&str]); 10] = [
    ("inject-proxy-sidecar", &["true", "", "TRUE", "false"]),
    ("inject-proxy-sidecar-", &["true"]),
    ("proxy-sidecar-port", &["8000", "1", "65535"]),
    ("proxy-redirect", &["none"]),
    ("proxy-only", &["true", "false"]),
    ("proxy-resources", &["{}", r#"{ "limits" : {"cpu": 1} }"#]),
    ("proxy-log-level", &["", "debug"]),
    ("skip-containers", &["app", " migrate; azwi-proxy", ";"]),
    ("service-account-token-expiration", &["", "3600", "86400"]),
    ("use-identity-binding", &["true", "no"]),
];

/// Any JSON, as a field from the future may hold it.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,4}", inner), 0..4).prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Puts a field there, `null`, or not at all.
fn maybe(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    option::weighted(0.7, prop_oneof![9 => strategy, 1 => Just(Value::Null)])
}

fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

fn variables() -> impl Strategy<Value = Value> {
    let variable = |name| {
        prop_oneof![
            Just(json!({"name": name, "value": "x"})),
            Just(json!({"name": name})),
            Just(json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
        ]
    };
    subsequence(&VARIABLES[..], 0..6)
        .prop_flat_map(move |names| names.into_iter().map(variable).collect::<Vec<_>>())
        .prop_map(Value::from)
}

fn mounts() -> impl Strategy<Value = Value> {
    // Two at the same path are no pod.
    let mount = (
        select(&VOLUMES[..]),
        select(vec![MOUNT, "/elsewhere", "/data"]),
        option::of(any::<bool>()),
        maybe(anything()),
    );
    vec(mount, 0..3).prop_map(|mounts| {
        let mut paths = BTreeSet::new();
        let mounts = mounts.into_iter().filter(|(_, path, ..)| paths.insert(*path));
        mounts
            .map(|(name, path, read_only, future)| {
                object([
                    ("name", Some(own(name).into())),
                    ("mountPath", Some(path.into())),
                    ("readOnly", read_only.map(Value::from)),
                    ("future", future),
                ])
            })
            .collect()
    })
}

/// The volume's name of the pod `cart-0`: `printf cart-0 | sha256sum`.
fn own(name: &str) -> String {
    name.replace("OWN", "be06c6593b791612e10418be51f881")
}

fn containers(names: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let one = |name: &'static str| {
        (maybe(variables()), maybe(mounts()), maybe(anything())).prop_map(move |(env, mounts, future)| {
            object([("name", Some(name.into())), ("env", env), ("volumeMounts", mounts), ("future", future)])
        })
    };
    names.into_iter().map(one).collect::<Vec<_>>().prop_map(Value::from)
}

fn volumes() -> impl Strategy<Value = Value> {
    let token = |audience| json!({"serviceAccountToken": {"path": "token/azure-identity-token", "audience": audience}});
    let kind = prop_oneof![
        Just(json!({"emptyDir": {}})),
        Just(json!({"projected": {"sources": [token("api://AzureADTokenExchange")]}})),
        Just(json!({"projected": {"sources": [token("other")], "defaultMode": 256}})),
        anything().prop_map(|future| json!({"future": future})),
    ];
    let volume = move |name: &'static str| {
        kind.clone().prop_map(move |mut volume| {
            volume["name"] = own(name).into();
            volume
        })
    };
    subsequence(&VOLUMES[..], 0..=VOLUMES.len())
        .prop_flat_map(move |names| names.into_iter().map(volume.clone()).collect::<Vec<_>>())
        .prop_map(Value::from)
}

fn annotations() -> impl Strategy<Value = Value> {
    let annotation = |(name, values): (&'static str, &'static [&'static str])| {
        select(values).prop_map(move |value| (format!("azure.workload.identity/{name}"), Value::from(value)))
    };
    subsequence(&ANNOTATIONS[..], 0..=ANNOTATIONS.len())
        .prop_flat_map(move |some| some.into_iter().map(annotation).collect::<Vec<_>>())
        .prop_map(|some| {
            some.into_iter().chain([("other.example/x".to_owned(), "y".into())]).collect::<Map<_, _>>().into()
        })
}

fn pod() -> impl Strategy<Value = Value> {
    let lists = (subsequence(&NAMES[..], 0..6).prop_shuffle(), any::<Index>()).prop_flat_map(|(names, cut)| {
        let (init, app) = names.split_at(cut.index(names.len() + 1));
        (maybe(containers(init.to_vec())), maybe(containers(app.to_vec())))
    });
    (lists, maybe(volumes()), maybe(annotations()), maybe(anything())).prop_map(
        |((init, app), volumes, annotations, future)| {
            let spec =
                [("initContainers", init), ("containers", app), ("volumes", volumes), ("future", future.clone())];
            let metadata = [("name", Some("cart-0".into())), ("annotations", annotations), ("future", future)];
            object([("metadata", Some(object(metadata))), ("spec", Some(object(spec)))])
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let bundle = |selector: Option<&str>| CaSource::ClusterTrustBundle {
        signer_name: "example.com/ca".to_owned(),
        label_selector: selector.map(str::to_owned),
    };
    let ca = select(vec![
        CaSource::None,
        CaSource::Data("PEM".to_owned()),
        CaSource::ConfigMap("ca".to_owned()),
        bundle(None),
        bundle(Some("{}")),
        bundle(Some(r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":[]}]}"#)),
    ]);
    (any::<bool>(), option::of(ca)).prop_map(|(native_sidecar, ca)| Settings {
        native_sidecar,
        token_endpoint: ca.map(stage::token_endpoint),
        ..stage::settings()
    })
}

fn account() -> impl Strategy<Value = ServiceAccount> {
    let value = |values: &'static [&'static str]| option::of(select(values).prop_map(Box::from));
    (value(&[CLIENT, "", "x"]), value(&["", "contoso.com"]), value(&["", "7200"]), value(&["{}"])).prop_map(
        |(client_id, tenant_id, token_expiration, identity_map)| ServiceAccount {
            client_id,
            tenant_id,
            token_expiration,
            identity_map,
        },
    )
}

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
