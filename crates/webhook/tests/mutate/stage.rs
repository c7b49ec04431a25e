//! The API server's part: takes a patch, with an implementation of RFC 6902 that is not ours.

use anyhow::{Context as _, Result};
use azwi_webhook::mutate::{CaSource, Denial, Mutation, Pod, ServiceAccount, Settings, TokenEndpoint, mutate};
use serde_json::Value;
use serde_json::value::to_raw_value;

pub(crate) const CLIENT: &str = "22222222-2222-4222-8222-222222222222";

/// Of a cluster in Azure's public cloud.
pub(crate) fn settings() -> Settings {
    Settings {
        audience: "api://AzureADTokenExchange".to_owned(),
        authority_host: "https://login.microsoftonline.com/".to_owned(),
        tenant_id: "11111111-1111-4111-8111-111111111111".to_owned(),
        proxy_image: "registry.example/proxy:v1".to_owned(),
        proxy_init_image: "registry.example/proxy-init:v1".to_owned(),
        native_sidecar: true,
        log_level: "info".to_owned(),
        token_endpoint: None,
    }
}

/// The identity bindings of AKS.
pub(crate) fn token_endpoint(ca: CaSource) -> TokenEndpoint {
    TokenEndpoint {
        annotation: "azure.workload.identity/use-identity-binding".to_owned(),
        audience: "api://AKSIdentityBinding".to_owned(),
        token_proxy: "https://10.0.0.1/token-proxy".to_owned(),
        sni_name: "tokens.example".to_owned(),
        ca,
    }
}

pub(crate) fn account() -> ServiceAccount {
    ServiceAccount { client_id: Some(CLIENT.into()), ..ServiceAccount::default() }
}

pub(crate) fn review(pod: &Value, account: &ServiceAccount, settings: &Settings) -> Result<Mutation, Denial> {
    mutate(&Pod::read(&to_raw_value(pod)?)?, account, settings)
}

/// The pod with its patch.
pub(crate) fn patched(pod: &Value, mutation: &Mutation) -> Result<Value> {
    let mut patched = pod.clone();
    if let Some(patch) = &mutation.patch {
        let patch: json_patch::Patch = serde_json::from_str(patch).with_context(|| patch.clone())?;
        json_patch::patch(&mut patched, &patch).with_context(|| format!("{patch} to {pod}"))?;
    }
    Ok(patched)
}
