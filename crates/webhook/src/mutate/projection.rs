//! A projected volume as the API server has it, both to write ours and to know it again.
//!
//! Fields that this build does not know make no difference: whoever has filled them in meant no harm.

use std::borrow::Cow;
use std::collections::BTreeMap;

use azwi_conventions::DEFAULT_TOKEN_EXPIRATION;
use azwi_conventions::volume::{CA_PATH, TOKEN_PATH};
use serde::{Deserialize, Serialize};

use super::request::Request;
use super::{CaSource, Settings};

/// What the API server takes for `defaultMode`: 0644.
const DEFAULT_MODE: u32 = 0o644;
/// The key of a `ConfigMap` with certificate authorities.
const CA_KEY: &str = "ca.crt";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Projected<'a> {
    #[serde(borrow)]
    sources: Vec<Source<'a>>,
    #[serde(default = "default_mode", skip_serializing)]
    default_mode: u32,
}

const fn default_mode() -> u32 {
    DEFAULT_MODE
}

/// Of another kind than these: none of them.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    service_account_token: Option<ServiceAccountToken<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    config_map: Option<ConfigMap<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    cluster_trust_bundle: Option<ClusterTrustBundle<'a>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceAccountToken<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    audience: Cow<'a, str>,
    #[serde(default = "default_expiration")]
    expiration_seconds: u64,
}

fn default_expiration() -> u64 {
    DEFAULT_TOKEN_EXPIRATION.into()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ConfigMap<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    items: Vec<Item<'a>>,
    #[serde(default)]
    optional: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterTrustBundle<'a> {
    #[serde(borrow, default)]
    signer_name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_selector: Option<LabelSelector>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(default)]
    optional: bool,
}

/// Typed, because the API server drops what is empty in it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelSelector {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    match_labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

impl<'a> Projected<'a> {
    /// What a pod is to have.
    ///
    /// # Errors
    /// The settings' label selector is none.
    pub(super) fn new(request: &Request<'a>, settings: &'a Settings) -> Result<Self, serde_json::Error> {
        let endpoint = request.token_endpoint;
        let token = ServiceAccountToken {
            path: TOKEN_PATH.into(),
            audience: endpoint.map_or(&settings.audience, |endpoint| &endpoint.audience).into(),
            expiration_seconds: request.token_expiration.into(),
        };
        let token = Source { service_account_token: Some(token), ..Source::default() };
        let ca = endpoint.map(|endpoint| Source::of_ca(&endpoint.ca)).transpose()?.flatten();
        Ok(Self { sources: [token].into_iter().chain(ca).collect(), default_mode: DEFAULT_MODE })
    }
}

impl<'a> Source<'a> {
    fn of_ca(ca: &'a CaSource) -> Result<Option<Self>, serde_json::Error> {
        Ok(match ca {
            CaSource::None | CaSource::Data(_) => None,
            CaSource::ConfigMap(name) => Some(Self { config_map: Some(ConfigMap::new(name)), ..Self::default() }),
            CaSource::ClusterTrustBundle { signer_name, label_selector } => {
                let bundle = ClusterTrustBundle::new(signer_name, label_selector.as_deref())?;
                Some(Self { cluster_trust_bundle: Some(bundle), ..Self::default() })
            }
        })
    }
}

impl<'a> ConfigMap<'a> {
    fn new(name: &'a str) -> Self {
        let item = Item { key: CA_KEY.into(), path: CA_PATH.into() };
        Self { name: name.into(), items: vec![item], optional: false }
    }
}

impl<'a> ClusterTrustBundle<'a> {
    /// Without a selector Kubernetes takes none of the signer's bundles, and the pod could not start; with one that asks
    /// for nothing, all.
    fn new(signer_name: &'a str, label_selector: Option<&str>) -> Result<Self, serde_json::Error> {
        let label_selector = label_selector.map_or_else(|| Ok(LabelSelector::default()), serde_json::from_str)?;
        let label_selector = Some(label_selector);
        Ok(Self { signer_name: signer_name.into(), label_selector, path: CA_PATH.into(), optional: false })
    }
}
