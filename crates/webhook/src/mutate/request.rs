//! What a pod and its service account ask for, in types: every annotation that takes effect is understood or refused.

use azwi_conventions::annotation::{
    CLIENT_ID, IDENTITY_MAP, INJECT_PROXY_SIDECAR, PROXY_LOG_LEVEL, PROXY_ONLY, PROXY_REDIRECT, PROXY_RESOURCES,
    PROXY_SIDECAR_PORT, SERVICE_ACCOUNT_TOKEN_EXPIRATION, SKIP_CONTAINERS, TENANT_ID,
};
use azwi_conventions::{DEFAULT_TOKEN_EXPIRATION, MAX_TOKEN_EXPIRATION, MIN_TOKEN_EXPIRATION, label};

use super::annotations::Annotations;
use super::denial::{Owner, Quoted, bad_value};
use super::pod::Pod;
use super::sidecar::Sidecar;
use super::{Denial, ServiceAccount, Settings, TokenEndpoint};

/// Of no effect without a sidecar.
const OF_SIDECAR: [&str; 5] = [PROXY_SIDECAR_PORT, PROXY_REDIRECT, PROXY_ONLY, PROXY_RESOURCES, PROXY_LOG_LEVEL];
const OF_POD: [&str; 3] = [INJECT_PROXY_SIDECAR, SKIP_CONTAINERS, SERVICE_ACCOUNT_TOKEN_EXPIRATION];
const OF_SERVICE_ACCOUNT: [&str; 3] = [CLIENT_ID, TENANT_ID, IDENTITY_MAP];

/// What a pod asks for.
pub(super) struct Request<'a> {
    skipped: &'a str,
    /// Lifetime of the service account token, in seconds.
    pub(super) token_expiration: u32,
    /// The endpoint to use in Entra's place.
    pub(super) token_endpoint: Option<&'a TokenEndpoint>,
    /// The sidecar to add.
    pub(super) sidecar: Option<Sidecar<'a>>,
}

impl<'a> Request<'a> {
    /// # Errors
    /// A value that would take effect is none that the annotation can have, or the pod cannot have a sidecar.
    pub(super) fn read(
        pod: &'a Pod<'_>,
        account: &'a ServiceAccount,
        settings: &'a Settings,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Denial> {
        const NONE: &Annotations<'_> = &Annotations::NONE;
        let annotations = pod.metadata.annotations.as_ref().unwrap_or(NONE);
        let endpoint = settings.token_endpoint.as_ref();
        let sidecar =
            asks_for_sidecar(annotations)?.then(|| Sidecar::read(pod, annotations, account, settings)).transpose()?;
        warnings.extend(annotations.iter().filter_map(|(key, value)| idle(key, value, sidecar.is_some(), endpoint)));
        Ok(Self {
            skipped: annotations.get(SKIP_CONTAINERS).unwrap_or_default(),
            token_expiration: token_expiration(annotations, account)?,
            token_endpoint: endpoint.filter(|endpoint| annotations.get(&endpoint.annotation).is_some_and(is_true)),
            sidecar,
        })
    }

    /// Whether a container is to stay as it is.
    pub(super) fn skips(&self, container: &str) -> bool {
        self.skipped.split(';').any(|name| name.trim() == container)
    }
}

fn asks_for_sidecar(annotations: &Annotations<'_>) -> Result<bool, Denial> {
    match annotations.get(INJECT_PROXY_SIDECAR) {
        None => Ok(false),
        // To azure-workload-identity's webhook any value meant yes, and an empty one may be in use.
        Some("") => Ok(true),
        Some(value) => boolean(value)
            .ok_or_else(|| bad_value(Owner::Pod, INJECT_PROXY_SIDECAR, value, r#""true", "false" or empty"#)),
    }
}

/// `true` or `false`, in any case.
pub(super) fn boolean(value: &str) -> Option<bool> {
    if is_true(value) { Some(true) } else { value.eq_ignore_ascii_case("false").then_some(false) }
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// An empty value counts as none. That of the pod counts alone: it hides whatever the account has.
fn token_expiration(annotations: &Annotations<'_>, account: &ServiceAccount) -> Result<u32, Denial> {
    let pod = (Owner::Pod, annotations.get(SERVICE_ACCOUNT_TOKEN_EXPIRATION));
    let account = (Owner::ServiceAccount, account.token_expiration.as_deref());
    let mut given = [pod, account].into_iter().filter_map(|(owner, value)| Some((owner, value?)));
    let Some((owner, value)) = given.find(|(_, value)| !value.is_empty()) else {
        return Ok(DEFAULT_TOKEN_EXPIRATION);
    };
    let allowed = MIN_TOKEN_EXPIRATION..=MAX_TOKEN_EXPIRATION;
    value.parse().ok().filter(|seconds| allowed.contains(seconds)).ok_or_else(|| {
        let must_be = format_args!("{MIN_TOKEN_EXPIRATION} to {MAX_TOKEN_EXPIRATION}, in seconds");
        bad_value(owner, SERVICE_ACCOUNT_TOKEN_EXPIRATION, value, must_be)
    })
}

/// Says of an annotation of the pod that it does nothing, if so.
fn idle(key: &str, value: &str, has_sidecar: bool, endpoint: Option<&TokenEndpoint>) -> Option<String> {
    let reason = if endpoint.is_some_and(|endpoint| endpoint.annotation == key) {
        return (!value.is_empty() && boolean(value).is_none())
            .then(|| format!("annotation {key} has no effect: {} is not \"true\"", Quoted(value)));
    } else if OF_SIDECAR.contains(&key) {
        if has_sidecar {
            return None;
        }
        format!("the pod gets no sidecar without {INJECT_PROXY_SIDECAR}: \"true\"")
    } else if OF_POD.contains(&key) {
        return None;
    } else if OF_SERVICE_ACCOUNT.contains(&key) {
        "it belongs to the service account, not to the pod".to_owned()
    } else if key == label::USE {
        "it is a label, not an annotation".to_owned()
    } else {
        "it is not known here".to_owned()
    };
    Some(format!("annotation {key} has no effect: {reason}"))
}
