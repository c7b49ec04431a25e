//! What the operator wants: a pure function of the arguments and of the environment.
//!
//! Every mistake is reported at once, each naming its flag or variable and what would be right. An empty value counts as
//! absent. The way to the cluster is not here: the Kubernetes client finds it as kubectl does.

mod cloud;
mod custom_token_endpoint;

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use azwi_conventions::{TOKEN_EXCHANGE_AUDIENCE, env};
use azwi_identity::TenantId;
use azwi_program::flags::{go_style, log_level, seconds};
use clap::Parser;
use tracing::level_filters::LevelFilter;

use crate::mutate::Settings;
use crate::native_sidecar::NativeSidecar;
use crate::variables;

/// What `--version` says: from which commit, too.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AZWI_COMMIT"), ")");

const DEFAULT_CERT_DIR: &str = "/certs";
const DEFAULT_NAMESPACE: &str = "azure-workload-identity-system";
const DEFAULT_WEBHOOK_ADDRESS: &str = ":9443";
const DEFAULT_HEALTH_ADDRESS: &str = ":9440";
const DEFAULT_METRICS_ADDRESS: &str = ":8095";
const DEFAULT_SHUTDOWN_DELAY: Duration = Duration::from_secs(10);
const MAX_SHUTDOWN_DELAY: u64 = 300;

/// Gives labelled pods what they need for workload identity, when they are created.
#[derive(Debug, Default, Parser)]
#[expect(clippy::doc_markdown, reason = "printed as help, where backticks are noise")]
#[command(name = "azwi-webhook", version = VERSION, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Audience of the service account tokens that pods get [default: api://AzureADTokenExchange]
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Where the API server asks. :9443 is short for that port of all addresses; port 0 is a free one, which the log
    /// names [default: :9443]
    #[arg(long, value_name = "ADDR:PORT")]
    webhook_addr: Option<String>,
    /// Where kubelet asks: /healthz and /readyz [default: :9440]
    #[arg(long, value_name = "ADDR:PORT")]
    health_addr: Option<String>,
    /// Serves metrics at http://ADDR:PORT/metrics, to whoever gets there; 0 = not at all [default: :8095]
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_addr: Option<String>,
    /// How metrics are served: prometheus [default: prometheus]
    #[arg(long, value_name = "BACKEND")]
    metrics_backend: Option<String>,
    /// Use the certificate in --webhook-cert-dir, and leave the Secret and the caBundle to somebody else
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_cert_rotation: Option<String>,
    /// Directory with tls.crt and tls.key, for --disable-cert-rotation [default: /certs]
    #[arg(long, value_name = "DIR")]
    webhook_cert_dir: Option<String>,
    /// Oldest TLS to speak: 1.2 or 1.3; 1.0 and 1.1 are taken for 1.2 [default: 1.3]
    #[arg(long, value_name = "VERSION")]
    tls_min_version: Option<String>,
    /// Whether the sidecar is an init container that keeps running: auto (where the API server is 1.32 or later), always
    /// or never [default: auto]
    #[arg(long, value_name = "WHEN")]
    native_sidecar: Option<String>,
    /// Pods annotated azure.workload.identity/use-SUFFIX: "true" ask a token proxy in Entra's place [default: none]
    #[arg(long, value_name = "SUFFIX")]
    custom_token_endpoint_annotation_suffix: Option<String>,
    /// Audience of the service account tokens that such pods get [default: none]
    #[arg(long, value_name = "AUDIENCE")]
    custom_token_endpoint_audience: Option<String>,
    /// How long to go on serving when told to end, since API servers learn of it late [default: 10]
    #[arg(long, value_name = "SECONDS")]
    shutdown_delay: Option<String>,
    /// info, debug, trace or all; the sidecars get it too [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

const AFTER_HELP: &str = "\
Environment:
  AZURE_TENANT_ID             the tenant of pods whose service account names none; required
  AZURE_ENVIRONMENT           the cloud [default: AzurePublicCloud]
  PROXY_IMAGE                 the sidecar's image
  PROXY_INIT_IMAGE            the image of the container that redirects to it
  POD_NAMESPACE               where the Secret and the Service are [default: azure-workload-identity-system]
  AZURE_KUBERNETES_TOKEN_PROXY the token proxy's URL, for custom token endpoints
  AZURE_KUBERNETES_SNI_NAME   its name in TLS
  AZURE_KUBERNETES_CA_DATA    who vouches for it: PEM text
  AZURE_KUBERNETES_CA_CONFIGMAP_NAME or the ConfigMap with ca.crt in the pod's namespace
  AZURE_KUBERNETES_CA_CTB_SIGNER_NAME or the ClusterTrustBundles of a signer
  AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR and with these labels: a label selector as JSON
  KUBECONFIG                  the cluster, where the webhook runs outside of it

Exit codes: 0 ended as asked; 1 port taken, or no cluster; 64 bad usage or configuration; 70 internal";

/// Settings of the webhook.
#[derive(Debug)]
pub(crate) struct Config {
    /// What pods get. Whether the sidecar is native is decided later where that is `Auto`.
    pub settings: Settings,
    /// When the sidecar is a native one.
    pub native_sidecar: NativeSidecar,
    /// Where the Secret and the Service are.
    pub namespace: String,
    /// A directory with a certificate to use as it is; absent: the webhook makes its own.
    pub mounted_certificate: Option<PathBuf>,
    /// Oldest TLS to speak.
    pub tls: MinTls,
    /// Where the API server asks.
    pub webhook: Addresses,
    /// Where kubelet asks.
    pub health: Addresses,
    /// Where Prometheus asks, if it may.
    pub metrics: Option<Addresses>,
    /// How long to go on serving when told to end.
    pub shutdown_delay: Duration,
    /// What to log.
    pub log_level: LevelFilter,
}

/// Addresses of which the first that can be had is listened on.
pub(crate) type Addresses = Vec<SocketAddr>;

/// A mistake: the flag or variable, what it holds, and what would be right.
pub(crate) type Problem = String;

/// Oldest version of TLS to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MinTls {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

impl Args {
    /// Reads arguments (the program's name first). Go-style `-log-level=debug` is understood too.
    pub(crate) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args.into_iter().map(go_style))
    }

    /// Makes settings of them and of the environment.
    ///
    /// # Errors
    /// Every mistake there is.
    pub(crate) fn config(self, lookup: impl Fn(&str) -> Option<String>) -> Result<Config, Vec<Problem>> {
        let mut values = Values { lookup, problems: Vec::new() };
        let config = self.read_all(&mut values);
        config.filter(|_| values.problems.is_empty()).ok_or(values.problems)
    }

    fn read_all(mut self, values: &mut Values<impl Fn(&str) -> Option<String>>) -> Option<Config> {
        let log_level = values.flag("--log-level", self.log_level.as_deref(), log_level);
        let native = values.flag("--native-sidecar", self.native_sidecar.as_deref(), NativeSidecar::parse);
        let native_sidecar = native.unwrap_or_default();
        let settings = self.settings(native_sidecar, values);
        let metrics = self.metrics_addr.as_deref().filter(|value| !value.is_empty()).unwrap_or(DEFAULT_METRICS_ADDRESS);
        let has_metrics = metrics != "0";
        let _ = values.flag("--metrics-backend", self.metrics_backend.as_deref(), prometheus);
        Some(Config {
            native_sidecar,
            namespace: values.env(variables::POD_NAMESPACE, name).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            mounted_certificate: self.mounted_certificate(values),
            tls: values.flag("--tls-min-version", self.tls_min_version.as_deref(), min_tls).unwrap_or(MinTls::V1_3),
            webhook: values.addresses("--webhook-addr", self.webhook_addr.as_deref(), DEFAULT_WEBHOOK_ADDRESS),
            health: values.addresses("--health-addr", self.health_addr.as_deref(), DEFAULT_HEALTH_ADDRESS),
            metrics: has_metrics.then(|| values.addresses("--metrics-addr", Some(metrics), DEFAULT_METRICS_ADDRESS)),
            shutdown_delay: values
                .flag("--shutdown-delay", self.shutdown_delay.as_deref(), delay)
                .unwrap_or(DEFAULT_SHUTDOWN_DELAY),
            log_level: log_level.unwrap_or(LevelFilter::INFO),
            settings: settings?,
        })
    }

    fn settings(
        &mut self,
        native_sidecar: NativeSidecar,
        values: &mut Values<impl Fn(&str) -> Option<String>>,
    ) -> Option<Settings> {
        let authority_host = values.env(variables::AZURE_ENVIRONMENT, cloud::authority_host);
        let tenant_id = values.required(env::AZURE_TENANT_ID, tenant);
        let suffix = self.custom_token_endpoint_annotation_suffix.take();
        let audience = self.custom_token_endpoint_audience.take();
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        Some(Settings {
            audience: given(self.audience.take()).unwrap_or_else(|| TOKEN_EXCHANGE_AUDIENCE.to_owned()),
            authority_host: authority_host.unwrap_or(azwi_conventions::DEFAULT_AUTHORITY_HOST).to_owned(),
            proxy_image: values.env(variables::PROXY_IMAGE, text).unwrap_or_default(),
            proxy_init_image: values.env(variables::PROXY_INIT_IMAGE, text).unwrap_or_default(),
            native_sidecar: native_sidecar == NativeSidecar::Always,
            log_level: self.log_level.take().unwrap_or_default(),
            token_endpoint: values.token_endpoint(given(suffix), given(audience)),
            // Last, so that without it all else has been looked at too.
            tenant_id: tenant_id?,
        })
    }

    fn mounted_certificate(&self, values: &mut Values<impl Fn(&str) -> Option<String>>) -> Option<PathBuf> {
        let is_mounted = values.flag("--disable-cert-rotation", self.disable_cert_rotation.as_deref(), switch)?;
        let directory = self.webhook_cert_dir.as_deref().filter(|value| !value.is_empty()).unwrap_or(DEFAULT_CERT_DIR);
        is_mounted.then(|| PathBuf::from(directory))
    }
}

/// Parses values and gathers what is wrong with them.
struct Values<Lookup> {
    lookup: Lookup,
    problems: Vec<Problem>,
}

impl<Lookup: Fn(&str) -> Option<String>> Values<Lookup> {
    fn flag<T>(&mut self, name: &str, value: Option<&str>, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = value.filter(|value| !value.is_empty())?;
        parse(value).map_err(|why| self.refuse(name, &why)).ok()
    }

    fn env<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = (self.lookup)(name);
        self.flag(name, value.as_deref(), parse)
    }

    fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if !self.is_set(name) {
            self.refuse(name, "required");
        }
        self.env(name, parse)
    }

    fn addresses(&mut self, name: &str, value: Option<&str>, default: &str) -> Addresses {
        let value = value.filter(|value| !value.is_empty()).unwrap_or(default);
        self.flag(name, Some(value), addresses).unwrap_or_default()
    }

    fn is_set(&self, name: &str) -> bool {
        (self.lookup)(name).is_some_and(|value| !value.is_empty())
    }

    fn refuse(&mut self, name: &str, why: &str) {
        self.problems.push(format!("{name}: {why}"));
    }
}

/// Go's spelling without a host is all addresses: of IPv6, which includes IPv4, or of IPv4 where there is nothing else.
fn addresses(value: &str) -> Result<Addresses, String> {
    if let Some(port) = value.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]);
    }
    let address = value
        .parse()
        .map_err(|_| format!("{value:?} is not an address and a port such as 127.0.0.1:9443, :9443 or [::1]:9443"))?;
    Ok(vec![address])
}

/// What Go's flags take for a truth value.
fn switch(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{value:?} is not one of true, false")),
    }
}

/// Versions that are too old to be spoken at all are allowed, so that a setting of the Go webhook still starts.
fn min_tls(value: &str) -> Result<MinTls, String> {
    match value {
        "1.0" | "1.1" | "1.2" => Ok(MinTls::V1_2),
        "1.3" => Ok(MinTls::V1_3),
        _ => Err(format!("{value:?} is not one of 1.0, 1.1, 1.2, 1.3")),
    }
}

fn prometheus(value: &str) -> Result<(), String> {
    if value.eq_ignore_ascii_case("prometheus") { Ok(()) } else { Err(format!("{value:?} is not prometheus")) }
}

fn delay(value: &str) -> Result<Duration, String> {
    seconds(value, 0..=MAX_SHUTDOWN_DELAY)
}

fn tenant(value: &str) -> Result<String, String> {
    TenantId::parse(value).map(|_| value.to_owned()).map_err(|error| error.to_string())
}

/// A namespace becomes part of a path and of a DNS name.
fn name(value: &str) -> Result<String, String> {
    if crate::names::is_label(value) {
        Ok(value.to_owned())
    } else {
        Err(format!("{value:?} is not the name of a namespace"))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one of several parsers")]
fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: (&str, &str) = ("AZURE_TENANT_ID", "11111111-1111-4111-8111-111111111111");

    pub(super) fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let args = ["azwi-webhook"].iter().chain(args).map(OsString::from);
        let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Args::read(args).unwrap().config(lookup)
    }

    pub(super) fn config(args: &[&str], env: &[(&str, &str)]) -> Config {
        let env: Vec<_> = env.iter().copied().chain([TENANT]).collect();
        parse(args, &env).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_go_webhook() {
        let config = config(&[], &[]);
        assert_eq!(config.settings.audience, "api://AzureADTokenExchange");
        assert_eq!(config.settings.authority_host, "https://login.microsoftonline.com/");
        assert_eq!(config.settings.log_level, "");
        assert_eq!(config.namespace, "azure-workload-identity-system");
        assert_eq!((config.tls, config.mounted_certificate), (MinTls::V1_3, None));
        let ports = [config.webhook, config.health, config.metrics.unwrap()].map(|addresses| addresses[0].port());
        assert_eq!(ports, [9443, 9440, 8095]);
    }

    #[test]
    fn a_port_alone_is_all_addresses_of_either_family() {
        let wanted: Addresses = ["[::]:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap()].into();
        assert_eq!(config(&["--health-addr=:1"], &[]).health, wanted);
    }

    #[test]
    fn metrics_can_be_turned_off() {
        assert_eq!(config(&["--metrics-addr=0"], &[]).metrics, None);
    }

    #[test]
    fn the_clouds_name_may_have_any_case() {
        let config = config(&[], &[("AZURE_ENVIRONMENT", "azureusgovernmentCLOUD")]);
        assert_eq!(config.settings.authority_host, "https://login.microsoftonline.us/");
    }

    #[test]
    fn the_tenant_is_required() {
        assert_eq!(parse(&[], &[]).unwrap_err(), ["AZURE_TENANT_ID: required"]);
        let others = ["--shutdown-delay=-1", "--custom-token-endpoint-audience=x"];
        assert_eq!(parse(&others, &[("AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR", "x")]).unwrap_err().len(), 4);
    }

    #[test]
    fn flags_may_be_written_as_in_go() {
        let config = config(&["-log-level=debug", "-disable-cert-rotation", "-webhook-cert-dir=/mine"], &[]);
        assert_eq!(config.log_level, LevelFilter::DEBUG);
        assert_eq!(config.settings.log_level, "debug");
        assert_eq!(config.mounted_certificate, Some("/mine".into()));
    }

    #[test]
    fn a_certificate_directory_alone_does_not_disable_rotation() {
        let args = ["--webhook-cert-dir=/mine", "--disable-cert-rotation=false"];
        assert_eq!(config(&args, &[]).mounted_certificate, None);
    }

    #[test]
    fn every_mistake_is_reported_and_names_what_would_be_right() {
        let args = [
            "--webhook-addr=9443",
            "--health-addr=localhost:1",
            "--metrics-addr=:x",
            "--metrics-backend=statsd",
            "--disable-cert-rotation=maybe",
            "--tls-min-version=1.4",
            "--native-sidecar=maybe",
            "--shutdown-delay=301",
            "--log-level=loud",
        ];
        let env = [("AZURE_ENVIRONMENT", "AzureMoon"), ("AZURE_TENANT_ID", "my tenant"), ("POD_NAMESPACE", "../x")];
        let problems = parse(&args, &env).unwrap_err();
        for (name, hint) in [
            ("--webhook-addr", ":9443"),
            ("--health-addr", "[::1]:9443"),
            ("--metrics-addr", "127.0.0.1:9443"),
            ("--metrics-backend", "prometheus"),
            ("--disable-cert-rotation", "true, false"),
            ("--tls-min-version", "1.2, 1.3"),
            ("--native-sidecar", "auto, always, never"),
            ("--shutdown-delay", "0 to 300"),
            ("--log-level", "info, debug, trace, all"),
            ("AZURE_ENVIRONMENT", "AzureChinaCloud"),
            ("AZURE_TENANT_ID", "domain name"),
            ("POD_NAMESPACE", "namespace"),
        ] {
            let found = problems.iter().find(|problem| problem.starts_with(name));
            assert!(found.is_some_and(|problem| problem.contains(hint)), "{name}: {problems:?}");
        }
        assert_eq!(problems.len(), 12);
    }
}
