//! Pods that nobody has thought of, out of the names that matter here and of fields from the future.

use std::collections::BTreeSet;

use azwi_webhook::mutate::{CaSource, ServiceAccount, Settings};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};

use super::stage::{self, CLIENT};

pub(crate) const MOUNT: &str = "/var/run/secrets/azure/wi";
const NAMES: [&str; 8] =
    ["app", "migrate", "logs", "istio-proxy", "daprd", "linkerd-proxy", "azwi-proxy", "azwi-proxy-init"];
pub(crate) const VARIABLES: [&str; 12] = [
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
pub(crate) const ANNOTATIONS: [(&str, &[&str]); 10] = [
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
pub(crate) fn anything() -> impl Strategy<Value = Value> {
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

pub(crate) fn pod() -> impl Strategy<Value = Value> {
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

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
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

pub(crate) fn account() -> impl Strategy<Value = ServiceAccount> {
    let value = |values: &'static [&'static str]| option::of(select(values).prop_map(Box::from));
    (value(&[CLIENT, ""]), value(&["", "contoso.com"]), value(&["", "7200"]), value(&["{}"])).prop_map(
        |(client_id, tenant_id, token_expiration, identity_map)| ServiceAccount {
            client_id,
            tenant_id,
            token_expiration,
            identity_map,
        },
    )
}
