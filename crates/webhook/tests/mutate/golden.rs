//! One folder of `tests/golden` is one case: `pod.yaml` and `serviceaccount.yaml` go in, `settings.yaml` too where the
//! cluster is an unusual one; `patched.yaml` or `denied.txt` comes out, with `warnings.txt` if there are any.
//!
//! `UPDATE_GOLDEN=1 cargo test -p azwi-webhook` writes what comes out anew. `diff pod.yaml patched.yaml` shows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use azwi_webhook::mutate::{CaSource, ServiceAccount, Settings};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::stage;

/// What is unusual about a cluster.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Unusual {
    native_sidecar: Option<bool>,
    proxy_image: Option<String>,
    proxy_init_image: Option<String>,
    token_endpoint: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Endpoint {
    SystemCa,
    CaData(String),
    CaConfigMap(String),
    #[serde(rename_all = "camelCase")]
    CaClusterTrustBundle {
        signer_name: String,
        label_selector: Option<String>,
    },
}

impl From<Endpoint> for CaSource {
    fn from(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::SystemCa => Self::None,
            Endpoint::CaData(pem) => Self::Data(pem),
            Endpoint::CaConfigMap(name) => Self::ConfigMap(name),
            Endpoint::CaClusterTrustBundle { signer_name, label_selector } => {
                Self::ClusterTrustBundle { signer_name, label_selector }
            }
        }
    }
}

/// A case's folder.
struct Case(PathBuf);

impl Case {
    fn named(name: &str) -> Self {
        Self(folder().join(name))
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<T> {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
    }

    fn settings(&self) -> Result<Settings> {
        let file = "settings.yaml";
        let unusual = if self.0.join(file).exists() { self.read(file)? } else { Unusual::default() };
        let usual = stage::settings();
        Ok(Settings {
            native_sidecar: unusual.native_sidecar.unwrap_or(usual.native_sidecar),
            proxy_image: unusual.proxy_image.unwrap_or(usual.proxy_image),
            proxy_init_image: unusual.proxy_init_image.unwrap_or(usual.proxy_init_image),
            token_endpoint: unusual.token_endpoint.map(|endpoint| stage::token_endpoint(endpoint.into())),
            ..usual
        })
    }

    fn account(&self) -> Result<ServiceAccount> {
        let account: Value = self.read("serviceaccount.yaml")?;
        let annotation = |name: &str| {
            let value = account.pointer("/metadata/annotations")?.get(format!("azure.workload.identity/{name}"))?;
            value.as_str().map(Into::into)
        };
        Ok(ServiceAccount {
            client_id: annotation("client-id"),
            tenant_id: annotation("tenant-id"),
            token_expiration: annotation("service-account-token-expiration"),
            identity_map: annotation("identity-map"),
        })
    }

    /// `patched.yaml`, `denied.txt` and `warnings.txt`, empty where there is to be none.
    fn outcome(&self) -> Result<[String; 3]> {
        let (pod, account, settings): (Value, _, _) = (self.read("pod.yaml")?, self.account()?, self.settings()?);
        Ok(match stage::review(&pod, &account, &settings) {
            Err(denial) => [String::new(), format!("{denial}\n"), String::new()],
            Ok(mutation) => {
                let layout = serde_saphyr::ser_options! { compact_list_indent: false };
                let warnings = mutation.warnings.iter().flat_map(|warning| [warning, "\n"]).collect();
                let patched = stage::patched(&pod, &mutation)?;
                let again = stage::review(&patched, &account, &settings)?;
                assert_eq!(again.patch, None, "mutated again it changes again");
                [serde_saphyr::to_string_with_options(&patched, layout)?, String::new(), warnings]
            }
        })
    }

    fn check(&self) -> Result<()> {
        for (file, came) in ["patched.yaml", "denied.txt", "warnings.txt"].into_iter().zip(self.outcome()?) {
            let path = self.0.join(file);
            if is_update() {
                if came.is_empty() { drop(fs::remove_file(&path)) } else { fs::write(&path, &came)? }
            }
            let written = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
            assert_eq!(came, written, "{}", path.display());
        }
        Ok(())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[expect(clippy::disallowed_methods, reason = "to be said where the tests are started, and nowhere else")]
fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

macro_rules! cases {
    ($($name:ident)*) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() -> Result<()> {
                Case::named(stringify!($name)).check()
            }
        )*
    };
}

cases! {
    a_pod_gets_variables_token_and_mount
    a_pod_of_a_deployment_is_known_by_its_prefix
    the_sidecar_stands_behind_the_redirect_and_before_the_pods_init_containers
    a_sidecar_that_cannot_be_an_init_container_is_the_first_container
    an_empty_annotation_asks_for_a_sidecar
    false_in_any_case_asks_for_no_sidecar
    another_word_than_true_or_false_is_denied
    variables_and_mounts_that_are_there_stay
    skipped_containers_stay_as_they_are
    the_sidecar_is_not_skipped_but_the_redirect_can_be
    without_a_redirect_apps_are_told_where_to_ask
    with_proxy_only_nobody_else_gets_the_token
    with_proxy_only_and_no_redirect_apps_get_one_variable
    the_sidecar_has_the_port_level_resources_and_identities_asked_for
    the_service_account_names_tenant_and_expiration
    the_pods_expiration_hides_that_of_the_service_account
    an_empty_expiration_counts_as_none
    an_expiration_out_of_range_is_denied
    an_empty_tenant_is_no_tenant
    a_service_account_without_client_id_is_warned_of
    a_client_id_that_is_none_is_warned_of
    a_windows_pod_gets_all_but_a_sidecar
    a_windows_pod_is_denied_a_sidecar
    a_pod_on_the_hosts_network_is_denied_a_sidecar
    a_pod_on_the_hosts_network_gets_the_rest
    a_sidecar_that_the_webhook_has_no_image_for_is_denied
    a_redirect_that_the_webhook_has_no_image_for_is_denied
    an_image_is_not_missed_for_what_a_pod_has_already
    an_identity_map_that_the_sidecar_would_not_accept_is_denied
    an_identity_binding_with_a_config_map
    an_identity_binding_with_trust_bundles
    an_identity_binding_with_all_trust_bundles_of_a_signer
    an_identity_binding_with_ca_data_has_no_ca_file
    an_identity_binding_with_the_systems_authorities
    a_container_with_authorities_of_its_own_gets_no_others
    an_identity_binding_is_for_who_asks_for_it
    a_pod_that_the_go_webhook_has_mutated_is_complete
    a_pod_copied_under_another_name_keeps_its_volume
    a_copied_pod_of_another_service_account_gets_its_lifetime
    a_volume_of_its_name_that_holds_something_else_is_replaced
    what_other_webhooks_add_gets_its_share_and_stays_where_it_is
    a_sidecar_written_by_hand_stays_whichever_list_it_is_in
    a_sidecar_is_put_behind_a_redirect_written_by_hand
    fields_that_nobody_knows_survive
    annotations_of_no_effect_are_warned_of
}

#[test]
fn every_folder_is_a_case_and_every_case_has_its_folder() -> Result<()> {
    let folders: BTreeSet<String> = fs::read_dir(folder())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    assert_eq!(folders, CASES.iter().map(|&name| name.to_owned()).collect());
    Ok(())
}

#[test]
fn every_case_has_one_outcome() {
    for name in CASES {
        let [patched, denied] = ["patched.yaml", "denied.txt"].map(|file| Case::named(name).0.join(file).exists());
        assert!(patched ^ denied, "{name} has both or neither");
    }
}

/// What Kubernetes does not know it drops, and says nothing.
#[test]
fn every_field_of_the_containers_and_the_volume_is_one_that_kubernetes_knows() -> Result<()> {
    for name in CASES.iter().filter(|name| **name != "fields_that_nobody_knows_survive") {
        let case = Case::named(name);
        if case.0.join("patched.yaml").exists() {
            let pod: Value = case.read("patched.yaml")?;
            let known: Pod = serde_json::from_value(pod.clone())?;
            assert_eq!(serde_json::to_value(known)?, pod, "{name}");
        }
    }
    Ok(())
}
