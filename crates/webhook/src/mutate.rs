//! What becomes of a pod: (raw pod, its service account, settings) → JSON patch and warnings, or a denial.
//!
//! Pure: no I/O, no clock, no state. Reads no more of the pod than it needs and never writes a pod back, only the
//! smallest patch, so that fields this build does not know survive byte for byte, and a pod that has everything gets
//! none. Names, defaults and order are those of azure-workload-identity's webhook; `docs/annotations.md` has what differs.

mod annotations;
mod container;
mod denial;
mod identity;
mod patch;
mod pod;
mod projection;
mod request;
mod resources;
mod sidecar;
mod variables;
mod volume;

pub use denial::Denial;
pub use pod::Pod;

use container::Outfit;
use patch::Patch;
use request::Request;
use variables::Variables;
use volume::Volume;

/// What a service account's annotations say: raw values, `None` where there is no such annotation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `azure.workload.identity/client-id`.
    pub client_id: Option<Box<str>>,
    /// `azure.workload.identity/tenant-id`; empty means no tenant at all, not the cluster's.
    pub tenant_id: Option<Box<str>>,
    /// `azure.workload.identity/service-account-token-expiration`.
    pub token_expiration: Option<Box<str>>,
    /// `azure.workload.identity/identity-map`.
    pub identity_map: Option<Box<str>>,
}

/// What holds for all pods of the cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Audience of the projected service account tokens.
    pub audience: String,
    /// Entra's base URL, with a slash at its end.
    pub authority_host: String,
    /// The tenant where a service account names none.
    pub tenant_id: String,
    /// Image of the sidecar; empty if there is none, and pods that need it are denied, as with the next.
    pub proxy_image: String,
    /// Image of the init container that redirects to it.
    pub proxy_init_image: String,
    /// Whether the sidecar is an init container that stays (Kubernetes 1.29), so that it is there before all others and
    /// ends after them.
    pub native_sidecar: bool,
    /// What the sidecar logs where a pod does not say it; empty leaves it to the sidecar.
    pub log_level: String,
    /// The endpoint that pods can ask for in Entra's place.
    pub token_endpoint: Option<TokenEndpoint>,
}

/// A token proxy that pods can use in Entra's place: the identity bindings of AKS.
#[derive(Debug, Clone)]
pub struct TokenEndpoint {
    /// The pod annotation that asks for it, `azure.workload.identity/use-<suffix>`.
    pub annotation: String,
    /// Audience of the projected service account tokens, in place of [`Settings::audience`].
    pub audience: String,
    /// Its URL; empty leaves the variable out, as with the following.
    pub token_proxy: String,
    /// Its name in TLS.
    pub sni_name: String,
    /// Who vouches for it.
    pub ca: CaSource,
}

/// Where pods get the token proxy's certificate authorities from.
#[derive(Debug, Clone)]
pub enum CaSource {
    /// The system's, in each image.
    None,
    /// PEM text, in a variable.
    Data(String),
    /// The key `ca.crt` of a `ConfigMap` of this name in the pod's namespace.
    ConfigMap(String),
    /// `ClusterTrustBundles`.
    ClusterTrustBundle {
        /// Their signer.
        signer_name: String,
        /// Which of the signer's: a `LabelSelector` as JSON; all if there is none.
        label_selector: Option<String>,
    },
}

/// What the API server is told of a pod that may be created.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutation {
    /// RFC 6902, a JSON array; `None` if the pod has everything.
    pub patch: Option<String>,
    /// Sentences for whoever creates the pod.
    pub warnings: Vec<String>,
}

/// Gives a pod what it needs for workload identity, and the sidecar if it asks for it.
///
/// # Errors
/// An annotation that takes effect has a value it cannot have, the pod cannot have a sidecar, or the settings lack an
/// image that it needs or have a label selector that is none. A pod that may not work is not refused: a warning says so.
pub fn mutate(pod: &Pod<'_>, account: &ServiceAccount, settings: &Settings) -> Result<Mutation, Denial> {
    let mut warnings = Vec::new();
    let request = Request::read(pod, account, settings, &mut warnings)?;
    let variables = Variables::new(account, settings, request.token_endpoint);
    let volume = Volume::of(pod);
    let outfit = Outfit { request: &request, variables: &variables, volume: volume.name() };

    let mut patch = Patch::default();
    outfit.give_to_all(pod, &mut patch)?;
    if let Some(sidecar) = &request.sidecar {
        sidecar::inject(sidecar, pod, settings, &outfit, &mut patch)?;
    }
    volume.project(&request, settings, &mut patch)?;

    warnings.extend(identity::warning(account, outfit.leaves_clients_open(pod)));
    Ok(Mutation { patch: patch.finish(), warnings })
}
