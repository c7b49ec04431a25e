//! What a pod and its service account ask for, in types: every annotation that takes effect is understood or refused.

use std::collections::HashSet;

use azwi_conventions::annotation::{
    CLIENT_ID, IDENTITY_MAP, INJECT_PROXY_SIDECAR, PROXY_LOG_LEVEL, PROXY_ONLY, PROXY_REDIRECT, PROXY_RESOURCES,
    PROXY_SIDECAR_PORT, SERVICE_ACCOUNT_TOKEN_EXPIRATION, SKIP_CONTAINERS, TENANT_ID,
};
use azwi_conventions::{DEFAULT_TOKEN_EXPIRATION, MAX_TOKEN_EXPIRATION, MIN_TOKEN_EXPIRATION, annotation, label};

use super::annotations::Annotations;
use super::denial::{Owner, Quoted, bad_value};
use super::pod::Pod;
use super::sidecar::Sidecar;
use super::{Denial, ServiceAccount, Settings, TokenEndpoint};

/// Of no effect without a sidecar.
const OF_SIDECAR: [&str; 5] = [PROXY_SIDECAR_PORT, PROXY_REDIRECT, PROXY_ONLY, PROXY_RESOURCES, PROXY_LOG_LEVEL];
const OF_POD: [&str; 3] = [INJECT_PROXY_SIDECAR, SKIP_CONTAINERS, SERVICE_ACCOUNT_TOKEN_EXPIRATION];
const OF_SERVICE_ACCOUNT: [&str; 3] = [CLIENT_ID, TENANT_ID, IDENTITY_MAP];

/// As many as somebody reads.
const MAX_WARNINGS: usize = 10;

/// What a pod asks for.
pub(super) struct Request<'a> {
    skipped: HashSet<&'a str>,
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
        warn_of_idle(annotations, sidecar.is_some(), endpoint, warnings);
        Ok(Self {
            skipped: annotations.get(SKIP_CONTAINERS).map(names).unwrap_or_default(),
            token_expiration: token_expiration(annotations, account)?,
            token_endpoint: endpoint.filter(|endpoint| annotations.get(&endpoint.annotation).is_some_and(is_true)),
            sidecar,
        })
    }

    /// Whether a container is to stay as it is.
    pub(super) fn skips(&self, container: &str) -> bool {
        self.skipped.contains(container)
    }
}

/// The names in a list, of which there may be as many as there are containers.
fn names(list: &str) -> HashSet<&str> {
    list.split(';').map(str::trim).collect()
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

/// Says which annotations of the pod do nothing, of the first few with the reason.
fn warn_of_idle(
    annotations: &Annotations<'_>,
    has_sidecar: bool,
    endpoint: Option<&TokenEndpoint>,
    warnings: &mut Vec<String>,
) {
    let mut idle = annotations.iter().filter_map(|(key, value)| idle(key, value, has_sidecar, endpoint));
    warnings.extend(idle.by_ref().take(MAX_WARNINGS));
    let more = idle.count();
    if more > 0 {
        warnings.push(format!("{more} more annotations {}… have no effect", annotation::PREFIX));
    }
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

#[cfg(test)]
mod tests {
    use serde_json::value::{RawValue, to_raw_value};
    use serde_json::{Value, json};

    use super::*;
    use crate::mutate::mutate;

    fn settings() -> Settings {
        Settings {
            audience: String::new(),
            authority_host: String::new(),
            tenant_id: String::new(),
            proxy_image: String::new(),
            proxy_init_image: String::new(),
            native_sidecar: true,
            log_level: String::new(),
            token_endpoint: None,
        }
    }

    fn raw(pod: &Value) -> Box<RawValue> {
        to_raw_value(pod).unwrap()
    }

    #[test]
    fn of_many_annotations_without_effect_the_first_are_named_and_the_rest_is_counted() {
        let unknown: Value = (0..15).map(|n| (format!("azure.workload.identity/{n}"), Value::from("x"))).collect();
        let pod = raw(&json!({"metadata": {"annotations": unknown}, "spec": {}}));
        let warnings = mutate(&Pod::read(&pod).unwrap(), &ServiceAccount::default(), &settings()).unwrap().warnings;
        assert_eq!(warnings.len(), 11);
        assert_eq!(warnings[10], "5 more annotations azure.workload.identity/… have no effect");
    }

    #[test]
    fn a_pod_of_more_containers_than_can_be_completed_is_denied() {
        let pod = raw(&json!({"spec": {"containers": vec![json!({}); 20_000]}}));
        let denial = mutate(&Pod::read(&pod).unwrap(), &ServiceAccount::default(), &settings()).unwrap_err();
        assert_eq!(denial.0, "the pod would become larger than the API server takes");
    }
}
