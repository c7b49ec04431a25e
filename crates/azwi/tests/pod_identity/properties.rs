//! What holds whatever the cluster has in it.

use azwi::pod_identity::{Issuer, Settings, plan};
use proptest::prelude::*;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings::new(Issuer::parse("https://issuer.example/").expect("an issuer"))
}

/// Names as they are, and as nobody should have them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("cart".to_owned()), Just("default".to_owned()), Just("..".to_owned()), "[a-z./\\\\ $`\"]{0,6}"]
}

fn kind() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("apps/v1", "Deployment"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
        ("v1", "ServiceAccount"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("aadpodidentity.k8s.io/v1", "AzureIdentity"),
        ("aadpodidentity.k8s.io/v1", "AzureIdentityBinding"),
        ("aadpodidentity.k8s.io/v1", "AzurePodIdentityException"),
    ])
}

fn spec(label: &str, identity: &str, account: &str) -> Value {
    let template = json!({
        "metadata": { "labels": { "aadpodidbinding": label } },
        "spec": { "serviceAccountName": account, "containers": [{ "name": "app" }] },
    });
    json!({
        "template": template,
        "jobTemplate": { "spec": { "template": template } },
        "serviceAccountName": account,
        "selector": label,
        "azureIdentity": identity,
        "type": 0,
        "clientID": "22222222-2222-4222-8222-222222222222",
        "resourceID": "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cart",
        "podLabels": { "app": "x" },
    })
}

prop_compose! {
    fn object()(
        (api_version, kind) in kind(),
        name in name(),
        namespace in name(),
        label in name(),
        identity in name(),
        account in name(),
        (owner_version, owner_kind) in kind(),
        owner in prop::option::of(name()),
    ) -> Value {
        let owners: Vec<_> = owner.into_iter().map(|name| json!({
            "apiVersion": owner_version, "kind": owner_kind, "name": name, "controller": true,
        })).collect();
        json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {
                "name": name, "namespace": namespace,
                "labels": { "aadpodidbinding": label }, "ownerReferences": owners,
            },
            "spec": spec(&label, &identity, &account),
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_leads_out_of_the_folder(objects in prop::collection::vec(object(), 0..12)) {
        for path in plan(&objects, &[], &settings()).files().expect("renders").keys() {
            prop_assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part) && !part.contains('\\')), "{path}");
        }
    }

    #[test]
    fn the_order_of_the_objects_does_not_matter(objects in prop::collection::vec(object(), 0..12)) {
        let named: std::collections::BTreeMap<_, _> = objects
            .iter()
            .map(|object| (["kind", "metadata"].map(|field| {
                let part = &object[field];
                if field == "kind" { part.to_string() } else { format!("{}/{}", part["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or("default"), part["name"]) }
            }), object.clone()))
            .collect();
        let one: Vec<_> = named.values().cloned().collect();
        let other: Vec<_> = one.iter().rev().cloned().collect();
        let files = |objects: &[Value]| plan(objects, &[], &settings()).files().expect("renders");
        prop_assert_eq!(files(&one), files(&other));
    }

    /// What a script says is read by a shell.
    #[test]
    fn no_name_gets_into_a_command_that_a_shell_would_read(objects in prop::collection::vec(object(), 0..12)) {
        let files = plan(&objects, &[], &settings()).files().expect("renders");
        let script = files.get("federated-credentials.sh").map(String::as_str).unwrap_or_default();
        for line in script.lines().filter(|line| !line.starts_with('#')) {
            prop_assert!(!line.contains(['$', '`', '\\', ';', '|', '&', '\'']), "{line}");
        }
    }
}
