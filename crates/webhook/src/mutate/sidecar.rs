//! The sidecar, and the init container that redirects the metadata service's address to it.
//!
//! Containers of these names that a pod has already stay as they are, and where they are.

use std::borrow::Cow;

use azwi_conventions::annotation::{IDENTITY_MAP, PROXY_LOG_LEVEL, PROXY_ONLY, PROXY_REDIRECT, PROXY_SIDECAR_PORT};
use azwi_conventions::{DEFAULT_PROXY_PORT, PROXY_UID, container, env};
use azwi_identity::{IdentityMap, IdentityMapError};
use serde::Serialize;
use serde_json::value::RawValue;

use super::annotations::Annotations;
use super::container::{Fittings, Outfit};
use super::denial::{Owner, bad_value};
use super::patch::Patch;
use super::pod::Pod;
use super::request::boolean;
use super::variables::Variable;
use super::{Denial, ServiceAccount, Settings, identity, resources};
use crate::variables;

/// What the sidecar accepts as `--log-level`.
const LOG_LEVELS: [&str; 5] = ["", "info", "debug", "trace", "all"];

/// How a pod wants its sidecar.
pub(super) struct Sidecar<'a> {
    port: String,
    port_number: u16,
    user: String,
    log_level: &'a str,
    resources: &'a RawValue,
    identity_map: Option<&'a str>,
    /// Where apps are to ask, if nothing redirects them.
    pub(super) address: Option<String>,
    /// Whether apps are to do without a service account token of their own.
    pub(super) is_only_one_federated: bool,
}

impl<'a> Sidecar<'a> {
    /// # Errors
    /// The pod cannot have a sidecar, or an annotation has a value that it cannot have.
    pub(super) fn read(
        pod: &Pod<'_>,
        annotations: &'a Annotations<'_>,
        account: &'a ServiceAccount,
        settings: &'a Settings,
    ) -> Result<Self, Denial> {
        refuse_where_impossible(pod)?;
        identity::check_for_sidecar(account)?;
        let port = port(annotations)?;
        Ok(Self {
            port: port.to_string(),
            port_number: port,
            user: PROXY_UID.to_string(),
            log_level: log_level(annotations)?.unwrap_or(&settings.log_level),
            resources: resources::read(annotations)?,
            identity_map: identity_map(account)?,
            address: (!redirects(annotations)?).then(|| format!("http://127.0.0.1:{port}")),
            is_only_one_federated: is_only_one_federated(annotations)?,
        })
    }
}

fn refuse_where_impossible(pod: &Pod<'_>) -> Result<(), Denial> {
    if pod.spec.host_network == Some(true) {
        // The words of azure-workload-identity's webhook. The redirect would hold for the whole node.
        return Err(Denial("hostNetwork is set to true, cannot inject proxy sidecar".to_owned()));
    }
    if pod.is_for_windows() {
        let why = "the pod is for Windows, cannot inject proxy sidecar: the sidecar and its redirect are for Linux";
        return Err(Denial(why.to_owned()));
    }
    Ok(())
}

fn port(annotations: &Annotations<'_>) -> Result<u16, Denial> {
    let Some(value) = annotations.get(PROXY_SIDECAR_PORT) else { return Ok(DEFAULT_PROXY_PORT) };
    let port = value.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| bad_value(Owner::Pod, PROXY_SIDECAR_PORT, value, "a port, 1 to 65535"))
}

fn log_level<'a>(annotations: &'a Annotations<'_>) -> Result<Option<&'a str>, Denial> {
    let Some(value) = annotations.get(PROXY_LOG_LEVEL) else { return Ok(None) };
    let level = LOG_LEVELS.contains(&value).then_some(value);
    level
        .map(Some)
        .ok_or_else(|| bad_value(Owner::Pod, PROXY_LOG_LEVEL, value, r#""info", "debug", "trace", "all" or empty"#))
}

fn redirects(annotations: &Annotations<'_>) -> Result<bool, Denial> {
    match annotations.get(PROXY_REDIRECT) {
        None => Ok(true),
        Some("none") => Ok(false),
        Some(value) => Err(bad_value(Owner::Pod, PROXY_REDIRECT, value, r#""none", or not there"#)),
    }
}

fn is_only_one_federated(annotations: &Annotations<'_>) -> Result<bool, Denial> {
    let Some(value) = annotations.get(PROXY_ONLY) else { return Ok(false) };
    boolean(value).ok_or_else(|| bad_value(Owner::Pod, PROXY_ONLY, value, r#""true" or "false""#))
}

/// The sidecar ends at once over a bad one, and the pod would never start.
fn identity_map(account: &ServiceAccount) -> Result<Option<&str>, Denial> {
    let Some(value) = account.identity_map.as_deref() else { return Ok(None) };
    let why = match IdentityMap::from_json(value) {
        Ok(_) => return Ok(Some(value)),
        Err(IdentityMapError::Json(error)) => error.to_string(),
        Err(entry @ IdentityMapError::Entry { .. }) => entry.to_string(),
    };
    let must_be = format!("a JSON object of object ids or ARM resource ids to client ids: {why}");
    Err(bad_value(Owner::ServiceAccount, IDENTITY_MAP, value, must_be))
}

/// Adds what is missing: `azwi-proxy-init` before all init containers; the sidecar behind it or, if it cannot be an
/// init container, before all containers.
///
/// # Errors
/// The settings lack an image that is needed, or the patch becomes too large.
pub(super) fn inject(
    sidecar: &Sidecar<'_>,
    pod: &Pod<'_>,
    settings: &Settings,
    outfit: &Outfit<'_>,
    patch: &mut Patch,
) -> Result<(), Denial> {
    let redirects = sidecar.address.is_none();
    let init =
        (redirects && !pod.has(container::PROXY_INIT)).then(|| proxy_init(sidecar, settings, outfit)).transpose()?;
    let proxy = (!pod.has(container::PROXY)).then(|| proxy(sidecar, settings, outfit)).transpose()?;
    let (native, plain) = if settings.native_sidecar { (proxy, None) } else { (None, proxy) };

    let list = pod.init_containers();
    // Behind the redirect, if somebody else has put that elsewhere.
    let behind = list.position(container::PROXY_INIT).map_or(0, |index| index + 1);
    let added: Vec<_> = init.into_iter().chain(native).collect();
    patch.insert(&list, behind, &added)?;
    patch.insert(&pod.containers(), 0, plain.as_slice())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    name: &'static str,
    image: &'a str,
    image_pull_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<[Port; 1]>,
    #[serde(flatten)]
    fittings: Fittings<'a>,
    resources: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle: Option<Lifecycle<'a>>,
    security_context: SecurityContext,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container_port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle<'a> {
    post_start: Handler<'a>,
}

#[derive(Serialize)]
struct Handler<'a> {
    exec: Exec<'a>,
}

#[derive(Serialize)]
struct Exec<'a> {
    command: Vec<Cow<'a, str>>,
}

/// All of it is said, so that what holds for the pod cannot break it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as Kubernetes has it")]
struct SecurityContext {
    run_as_user: u32,
    run_as_group: u32,
    run_as_non_root: bool,
    privileged: bool,
    allow_privilege_escalation: bool,
    read_only_root_filesystem: bool,
    capabilities: Capabilities,
    seccomp_profile: SeccompProfile,
}

#[derive(Serialize)]
struct Capabilities {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    add: &'static [&'static str],
    drop: &'static [&'static str],
}

#[derive(Serialize)]
struct SeccompProfile {
    r#type: &'static str,
}

impl SecurityContext {
    const fn new(user: u32, capabilities: &'static [&'static str]) -> Self {
        Self {
            run_as_user: user,
            run_as_group: user,
            run_as_non_root: user != 0,
            privileged: false,
            allow_privilege_escalation: false,
            read_only_root_filesystem: true,
            capabilities: Capabilities { add: capabilities, drop: &["ALL"] },
            seccomp_profile: SeccompProfile { r#type: "RuntimeDefault" },
        }
    }
}

/// What the API server would say of an empty image names neither the setting nor whose it is.
fn image<'a>(image: &'a str, variable: &str) -> Result<&'a str, Denial> {
    if image.is_empty() {
        let why = "whoever runs the webhook must set it to an image";
        return Err(Denial(format!("{variable} is not set for the webhook, cannot inject proxy sidecar: {why}")));
    }
    Ok(image)
}

fn proxy_init<'a>(
    sidecar: &'a Sidecar<'_>,
    settings: &'a Settings,
    outfit: &Outfit<'a>,
) -> Result<Container<'a>, Denial> {
    let own = [(env::PROXY_PORT, &*sidecar.port), (env::PROXY_UID, &sidecar.user)];
    Ok(Container {
        name: container::PROXY_INIT,
        image: image(&settings.proxy_init_image, variables::PROXY_INIT_IMAGE)?,
        image_pull_policy: "IfNotPresent",
        restart_policy: None,
        args: Vec::new(),
        ports: None,
        fittings: outfit.fittings(container::PROXY_INIT, own.map(|(name, value)| Variable { name, value })),
        resources: sidecar.resources,
        lifecycle: None,
        security_context: SecurityContext::new(0, &["NET_ADMIN"]),
    })
}

fn proxy<'a>(sidecar: &'a Sidecar<'_>, settings: &'a Settings, outfit: &Outfit<'a>) -> Result<Container<'a>, Denial> {
    let port: Cow<'_, str> = format!("--proxy-port={}", sidecar.port).into();
    let log_level: Cow<'_, str> = format!("--log-level={}", sidecar.log_level).into();
    let probe = vec!["/proxy".into(), port.clone(), "--probe".into(), log_level.clone()];
    let map = sidecar.identity_map.map(|value| Variable { name: env::AZWI_IDENTITY_MAP, value });
    Ok(Container {
        name: container::PROXY,
        image: image(&settings.proxy_image, variables::PROXY_IMAGE)?,
        image_pull_policy: "IfNotPresent",
        restart_policy: settings.native_sidecar.then_some("Always"),
        args: vec![port, log_level],
        ports: Some([Port { container_port: sidecar.port_number }]),
        fittings: outfit.fittings(container::PROXY, map),
        resources: sidecar.resources,
        lifecycle: Some(Lifecycle { post_start: Handler { exec: Exec { command: probe } } }),
        security_context: SecurityContext::new(PROXY_UID, &[]),
    })
}
