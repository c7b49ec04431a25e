//! What the operator wants: a pure function of the arguments and of what surrounds the process.
//!
//! Values are kept as text until all of them are known, so that every mistake is reported at once, each naming its flag
//! or variable and what would be right. An empty value counts as absent, as Kubernetes manifests often have them and as
//! the Go webhook's `--log-level=` is.

mod identity_binding;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use azwi_conventions::{DEFAULT_AUTHORITY_HOST, DEFAULT_PROXY_PORT, METADATA_IP, METADATA_PORT, env};
use azwi_entra::{
    AssertionFile, AuthorityHost, CaBundle, ClientId, HttpsProxy, LoopbackHttp, Resource, SystemRoots, TenantId,
    TokenProxy, TrustRoots,
};
use azwi_identity::IdentityMap;
use azwi_imds::MetadataHeader;
use azwi_program::flags::{go_style, log_level, seconds};
use clap::Parser;
use tracing::level_filters::LevelFilter;

use self::identity_binding::IdentityBinding;
use crate::identities::{Given, Unmapped};
use crate::sandbox::Needs;

/// What `--version` says: from which commit, too.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AZWI_COMMIT"), ")");

const DEFAULT_GRACE: Duration = Duration::from_mins(1);
const MAX_GRACE_SECONDS: u64 = 3600;
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);
/// Fewer than may be fetched at once, so that apps need not wait for those.
const MAX_PREWARMED: usize = 32;
const MIN_PATIENCE_SECONDS: u64 = 1;
const MAX_PATIENCE_SECONDS: u64 = 600;

/// Speaks the Azure Instance Metadata Service to the app and workload identity federation to Entra ID.
#[derive(Debug, Default, Parser)]
#[expect(clippy::doc_markdown, reason = "printed as help, where backticks are noise")]
#[command(name = "azwi-proxy", version = VERSION, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Port to listen on, on loopback [default: 8000]
    #[arg(long, value_name = "PORT")]
    proxy_port: Option<String>,
    /// Ask the proxy that runs on the port whether it is ready, and exit 0 or 1
    #[arg(long)]
    probe: bool,
    /// How long --probe keeps asking [default: 10]
    #[arg(long, value_name = "SECONDS")]
    probe_timeout: Option<String>,
    /// info, debug, trace or all [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How long after an identity's first use a missing federated credential is answered as "try again", since
    /// changes take time to reach all of Entra; 0 = never [env: AZWI_PROPAGATION_GRACE] [default: 60]
    #[arg(long, value_name = "SECONDS")]
    propagation_grace: Option<String>,
    /// The client ids an app may ask for, beside AZURE_CLIENT_ID [default: any; Entra decides]
    #[arg(long, value_name = "GUID,…")]
    allowed_client_ids: Option<String>,
    /// Which client an object id or ARM resource id stands for: JSON, or a file that holds it, such as
    /// {"/subscriptions/…/demo": "CLIENT_ID", "OBJECT_ID": {"client_id": "…", "tenant_id": "…"}}
    /// [env: AZWI_IDENTITY_MAP]
    #[arg(long, value_name = "JSON|FILE")]
    identity_map: Option<String>,
    /// What an object id or resource id means that the map does not have: default (the pod's identity) or reject
    /// [default: reject with a map, default without]
    #[arg(long, value_name = "POLICY")]
    unmapped_identity: Option<String>,
    /// Whether apps must send "Metadata: true": required or ignore [default: required]
    #[arg(long, value_name = "POLICY")]
    metadata_header: Option<String>,
    /// What becomes of requests for other metadata (instance, versions, attested, loadbalancer, scheduledevents):
    /// metadata passes them to the real service at METADATA_IP:METADATA_PORT, off refuses them [default: metadata]
    #[arg(long, value_name = "POLICY")]
    passthrough: Option<String>,
    /// Resources, spelled as apps ask for them, whose tokens for the default identity are fetched at the start; being
    /// ready does not wait for them [default: none]
    #[arg(long, value_name = "RESOURCE,…")]
    prewarm: Option<String>,
    /// Serves metrics at http://ADDR:PORT/metrics, to whoever gets there. :9090 is short for 0.0.0.0:9090; port 0 is a
    /// free one, which the log names [default: none]
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_addr: Option<String>,
    /// PEM file with certificate authorities to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// Let AZURE_AUTHORITY_HOST be http:// on loopback, for an emulator
    #[arg(long)]
    insecure_loopback_authority: bool,
    /// Whether to give up what is never needed at the start, as far as the kernel can: privileges, core dumps,
    /// capabilities, files and ports; on or off [default: on]
    #[arg(long, value_name = "SWITCH")]
    sandbox: Option<String>,
}

const AFTER_HELP: &str = "\
Environment:
  AZURE_TENANT_ID             the tenant: a GUID or a domain name
  AZURE_CLIENT_ID             the identity when a request names none: a GUID
  AZURE_FEDERATED_TOKEN_FILE  the projected service account token
  AZURE_AUTHORITY_HOST        Entra [default: https://login.microsoftonline.com/]
  METADATA_IP, METADATA_PORT  the real metadata service [default: 169.254.169.254, 80]
  AZURE_KUBERNETES_TOKEN_PROXY, _SNI_NAME, _CA_FILE, _CA_DATA
                              identity bindings of AKS: a proxy to ask in Entra's place
  HTTPS_PROXY, NO_PROXY       how to get to Entra
  SSL_CERT_FILE, SSL_CERT_DIR trusted certificate authorities instead of the system's

Probes, on the same port:
  GET /readyz                 200 \"ok\", or 503 with the reasons as JSON
  GET /livez                  200 \"ok\"

Exit codes: 0 ended as asked, or ready; 1 port taken, or not ready; 64 bad usage or configuration; 70 internal";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the sidecar.
    Serve(Box<Config>),
    /// Ask a running one.
    Probe(Probe),
}

/// Settings of `--probe`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Where the sidecar listens.
    pub port: u16,
    /// How long to keep asking.
    pub patience: Duration,
}

/// Settings of the sidecar.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where to listen, on loopback.
    pub port: u16,
    /// What to log.
    pub log_level: LevelFilter,
    /// Where Entra is.
    pub authority: AuthorityHost,
    /// Without a tenant: not ready.
    pub given: Given,
    /// Absent: not ready.
    pub assertion: Option<AssertionFile>,
    /// How long an identity counts as new.
    pub grace: Duration,
    /// How strict the protocol is.
    pub metadata_header: MetadataHeader,
    /// The real metadata service, if apps may reach it.
    pub passthrough: Option<SocketAddrV4>,
    /// What to fetch tokens for before anybody asks.
    pub prewarm: Vec<Resource>,
    /// Where to listen for those who want metrics, if at all.
    pub metrics: Option<SocketAddr>,
    /// Asked in Entra's place.
    pub token_proxy: Option<TokenProxy>,
    /// Who vouches for Entra, or for the token proxy.
    pub roots: TrustRoots,
    /// The way to either.
    pub proxy: HttpsProxy,
    /// What it must leave possible; absent: there is none.
    pub sandbox: Option<Needs>,
}

/// A mistake: the flag or variable, what it holds, and what would be right.
pub(crate) type Problem = String;

/// What surrounds the process, as far as the configuration depends on it.
pub(crate) trait Surroundings {
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// A file's content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether something is there that is no regular file: a directory, a pipe.
    fn is_no_file(&self, path: &Path) -> bool;
    /// Whether a path is there and is a directory.
    fn is_directory(&self, path: &Path) -> bool;
}

impl Args {
    /// Reads arguments (the program's name first). Go-style `-proxy-port=8000` is understood too.
    pub(crate) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args.into_iter().map(go_style))
    }

    /// Makes settings of them and of the environment.
    ///
    /// # Errors
    /// Every mistake there is.
    pub(crate) fn command(self, surroundings: &impl Surroundings) -> Result<Command, Vec<Problem>> {
        let mut values = Values { surroundings, problems: Vec::new() };
        let port = values.flag("--proxy-port", self.proxy_port.as_deref(), port_number).unwrap_or(DEFAULT_PROXY_PORT);
        let patience = values.flag("--probe-timeout", self.probe_timeout.as_deref(), patience);
        let log_level = values.flag("--log-level", self.log_level.as_deref(), log_level).unwrap_or(LevelFilter::INFO);
        let command = if self.probe {
            // Its own settings only: a probe of a misconfigured sidecar should tell the sidecar's reasons.
            Some(Command::Probe(Probe { port, patience: patience.unwrap_or(DEFAULT_PATIENCE) }))
        } else {
            self.config(port, log_level, &mut values).map(|config| Command::Serve(Box::new(config)))
        };
        command.filter(|_| values.problems.is_empty()).ok_or(values.problems)
    }

    fn config(self, port: u16, log_level: LevelFilter, values: &mut Values<impl Surroundings>) -> Option<Config> {
        let loopback = if self.insecure_loopback_authority { LoopbackHttp::Allowed } else { LoopbackHttp::Refused };
        let authority = values.env_or(env::AZURE_AUTHORITY_HOST, DEFAULT_AUTHORITY_HOST, |value| {
            AuthorityHost::parse(value, loopback).map_err(|error| error.to_string())
        });
        let tenant = values.env(env::AZURE_TENANT_ID, |v| TenantId::parse(v).map_err(|error| error.to_string()));
        let client = values.env(env::AZURE_CLIENT_ID, client_id);
        let surroundings = values.surroundings;
        let assertion = values.env(env::AZURE_FEDERATED_TOKEN_FILE, |v| assertion_file(v, surroundings));
        let grace = match self.propagation_grace.as_deref() {
            Some(value) => values.flag("--propagation-grace", Some(value), grace),
            None => values.env(env::AZWI_PROPAGATION_GRACE, grace),
        };
        let allowed = values.strict_flag("--allowed-client-ids", self.allowed_client_ids.as_deref(), client_ids);
        let map = match self.identity_map.as_deref() {
            Some(value) => values.flag("--identity-map", Some(value), |v| identity_map(v, surroundings)),
            None => values.env(env::AZWI_IDENTITY_MAP, |v| identity_map(v, surroundings)),
        };
        let unmapped = values.flag("--unmapped-identity", self.unmapped_identity.as_deref(), unmapped_identity);
        let header = values.flag("--metadata-header", self.metadata_header.as_deref(), metadata_header);
        let ip = values.env(env::METADATA_IP, ipv4).unwrap_or(METADATA_IP.into());
        let metadata_port = values.env(env::METADATA_PORT, port_number).unwrap_or(METADATA_PORT);
        let passes = values.flag("--passthrough", self.passthrough.as_deref(), passthrough).unwrap_or(true);
        let prewarm = values.flag("--prewarm", self.prewarm.as_deref(), resources);
        let metrics = values.flag("--metrics-addr", self.metrics_addr.as_deref(), listening_address);
        let ca_bundle = values.flag("--ca-file", self.ca_file.as_deref(), |v| ca_bundle(v, surroundings));
        let sandbox = values.flag("--sandbox", self.sandbox.as_deref(), switch).unwrap_or(true);
        let system = values.system_roots();
        let IdentityBinding { token_proxy, roots } = values.identity_binding(ca_bundle.is_some());
        let roots = roots.unwrap_or(TrustRoots::System(system, ca_bundle));
        let proxy = values.https_proxy();
        Some(Config {
            port,
            log_level,
            authority: authority?,
            given: Given { tenant, default: client, allowed, map, unmapped },
            sandbox: sandbox.then(|| needs(port, metrics, assertion.as_ref(), &roots)),
            assertion,
            grace: grace.unwrap_or(DEFAULT_GRACE),
            metadata_header: header.unwrap_or_default(),
            passthrough: passes.then_some(SocketAddrV4::new(ip, metadata_port)),
            prewarm: prewarm.unwrap_or_default(),
            metrics,
            token_proxy,
            roots,
            proxy: proxy?,
        })
    }
}

/// Parses values and gathers what is wrong with them.
struct Values<'a, S> {
    surroundings: &'a S,
    problems: Vec<Problem>,
}

impl<S: Surroundings> Values<'_, S> {
    fn flag<T>(&mut self, name: &str, value: Option<&str>, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.strict_flag(name, value.filter(|value| !value.is_empty()), parse)
    }

    /// One of which an empty value is not the same as none.
    fn strict_flag<T>(
        &mut self,
        name: &str,
        value: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(value?).map_err(|why| self.problems.push(format!("{name}: {why}"))).ok()
    }

    fn env<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.surroundings.env(name);
        self.flag(name, value.as_deref(), parse)
    }

    /// OpenSSL's variables. The file is looked into now, so that a mistake is told at once, and read at the first use.
    fn system_roots(&mut self) -> SystemRoots {
        let surroundings = self.surroundings;
        let file = self.env("SSL_CERT_FILE", |value| system_bundle(value, surroundings));
        let directories = self.env("SSL_CERT_DIR", |value| directories(value, surroundings)).unwrap_or_default();
        SystemRoots { file, directories }
    }

    /// In upper case as all else, or in lower case as curl has it. The URL may hold a password, so it is not repeated.
    fn https_proxy(&mut self) -> Option<HttpsProxy> {
        let except = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| self.env(name, |value| Ok(value.to_owned())));
        let is_set = |name: &&str| self.surroundings.env(name).is_some_and(|value| !value.is_empty());
        match ["HTTPS_PROXY", "https_proxy"].into_iter().find(is_set) {
            Some(name) => {
                self.env(name, |url| HttpsProxy::new(Some(url), except.as_deref()).map_err(|e| e.to_string()))
            }
            None => Some(HttpsProxy::default()),
        }
    }

    fn env_or<T>(&mut self, name: &str, default: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.surroundings.env(name).filter(|value| !value.is_empty());
        self.flag(name, Some(value.as_deref().unwrap_or(default)), parse)
    }
}

/// What is read after the start, since it changes or comes late: the token, and the roots that variables name.
fn needs(port: u16, metrics: Option<SocketAddr>, assertion: Option<&AssertionFile>, roots: &TrustRoots) -> Needs {
    let token = assertion.map(AssertionFile::path);
    let (file, directories) = match roots {
        TrustRoots::System(system, _) => (system.file.as_deref(), system.directories.as_slice()),
        TrustRoots::File(file) => (Some(file.as_path()), &[][..]),
        TrustRoots::Only(_) => (None, &[][..]),
    };
    Needs {
        ports: [Some(port), metrics.map(|address| address.port())].into_iter().flatten().collect(),
        files: token.into_iter().chain(file).map(Path::to_owned).collect(),
        directories: directories.to_vec(),
    }
}

fn port_number(value: &str) -> Result<u16, String> {
    let port = value.parse().ok().filter(|&port: &u16| port > 0);
    port.ok_or_else(|| format!("{value:?} is not a port from 1 to 65535"))
}

/// Go's spelling without a host is taken for all of IPv4.
fn listening_address(value: &str) -> Result<SocketAddr, String> {
    let address = if value.starts_with(':') { format!("{}{value}", Ipv4Addr::UNSPECIFIED) } else { value.to_owned() };
    address
        .parse()
        .map_err(|_| format!("{value:?} is not an address and a port such as 0.0.0.0:9090, :9090 or [::]:9090"))
}

fn ipv4(value: &str) -> Result<Ipv4Addr, String> {
    value.parse().map_err(|_| format!("{value:?} is not an IPv4 address such as 169.254.169.254"))
}

/// Whether requests are passed on.
fn passthrough(value: &str) -> Result<bool, String> {
    match value {
        "metadata" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{value:?} is not one of metadata, off")),
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{value:?} is not one of on, off")),
    }
}

fn grace(value: &str) -> Result<Duration, String> {
    seconds(value, 0..=MAX_GRACE_SECONDS)
}

fn patience(value: &str) -> Result<Duration, String> {
    seconds(value, MIN_PATIENCE_SECONDS..=MAX_PATIENCE_SECONDS)
}

/// kubelet may write the file later, but what is something else never becomes one.
fn assertion_file(value: &str, surroundings: &impl Surroundings) -> Result<AssertionFile, String> {
    if surroundings.is_no_file(Path::new(value)) {
        return Err(format!("{value} is no file; the service account token is one, perhaps in that directory"));
    }
    Ok(AssertionFile::new(value))
}

fn ca_bundle(value: &str, surroundings: &impl Surroundings) -> Result<CaBundle, String> {
    CaBundle::from_pem(&read(value, surroundings)?).map_err(|error| format!("{value} {error}"))
}

fn system_bundle(value: &str, surroundings: &impl Surroundings) -> Result<PathBuf, String> {
    CaBundle::from_pem_of_a_system(&read(value, surroundings)?).map_err(|error| format!("{value} {error}"))?;
    Ok(PathBuf::from(value))
}

fn read(path: &str, surroundings: &impl Surroundings) -> Result<Vec<u8>, String> {
    surroundings.read(Path::new(path)).map_err(|error| format!("{path} cannot be read: {error}"))
}

fn client_id(value: &str) -> Result<ClientId, String> {
    ClientId::parse(value).map_err(|error| error.to_string())
}

/// A list that came out empty is a mistake: taken for none, it would allow everybody.
fn client_ids(value: &str) -> Result<HashSet<ClientId>, String> {
    if value.is_empty() {
        return Err("empty; leave the flag out to allow any client id".to_owned());
    }
    Ok(list(value, client_id)?.into_iter().collect())
}

fn resources(value: &str) -> Result<Vec<Resource>, String> {
    let resources = list(value, |text| Resource::parse(text.to_owned()).map_err(|error| format!("{text:?}: {error}")))?;
    if resources.len() > MAX_PREWARMED {
        return Err(format!("{} resources are too many, {MAX_PREWARMED} is the most", resources.len()));
    }
    Ok(resources)
}

/// All parts between commas, or all that is wrong with them.
fn list<T>(value: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let (parsed, problems): (Vec<_>, Vec<_>) = value.split(',').map(|part| parse(part.trim())).partition(Result::is_ok);
    if problems.is_empty() {
        return Ok(parsed.into_iter().flatten().collect());
    }
    Err(problems.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; "))
}

fn directories(value: &str, surroundings: &impl Surroundings) -> Result<Vec<PathBuf>, String> {
    let directories: Vec<_> = value.split(':').map(PathBuf::from).collect();
    match directories.iter().find(|path| !surroundings.is_directory(path)) {
        Some(stranger) => Err(format!("{} is no directory", stranger.display())),
        None => Ok(directories),
    }
}

fn identity_map(value: &str, surroundings: &impl Surroundings) -> Result<IdentityMap, String> {
    if value.trim_start().starts_with(['{', '[']) {
        return IdentityMap::from_json(value).map_err(|error| error.to_string());
    }
    let json = read(value, surroundings)?;
    IdentityMap::from_json(&String::from_utf8_lossy(&json)).map_err(|error| format!("{value}: {error}"))
}

fn unmapped_identity(value: &str) -> Result<Unmapped, String> {
    match value {
        "default" => Ok(Unmapped::Default),
        "reject" => Ok(Unmapped::Reject),
        _ => Err(format!("{value:?} is not one of default, reject")),
    }
}

fn metadata_header(value: &str) -> Result<MetadataHeader, String> {
    match value {
        "required" => Ok(MetadataHeader::Required),
        "ignore" => Ok(MetadataHeader::Ignored),
        _ => Err(format!("{value:?} is not one of required, ignore")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment, with `/directory` as the only directory and no files.
    struct Fake(&'static [(&'static str, &'static str)]);

    impl Surroundings for Fake {
        fn env(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }

        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn is_no_file(&self, path: &Path) -> bool {
            path == Path::new("/directory")
        }

        fn is_directory(&self, path: &Path) -> bool {
            path == Path::new("/directory")
        }
    }

    pub(super) fn command(
        args: &[&str],
        env: &'static [(&'static str, &'static str)],
    ) -> Result<Command, Vec<Problem>> {
        let args = ["azwi-proxy"].iter().chain(args).map(OsString::from);
        Args::read(args).unwrap().command(&Fake(env))
    }

    pub(super) fn config(args: &[&str], env: &'static [(&'static str, &'static str)]) -> Config {
        match command(args, env) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_go_proxy() {
        let config = config(&[], &[]);
        assert_eq!((config.port, config.log_level), (8000, LevelFilter::INFO));
        assert_eq!(config.authority.to_string(), "https://login.microsoftonline.com/");
        assert_eq!(config.metadata_header, MetadataHeader::Required);
        assert_eq!(config.grace, Duration::from_mins(1));
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let config = config(&[], &[("AZURE_CLIENT_ID", ""), ("AZURE_TENANT_ID", ""), ("AZURE_AUTHORITY_HOST", "")]);
        assert_eq!((config.given.default, config.given.tenant), (None, None));
        assert_eq!(config.authority.to_string(), "https://login.microsoftonline.com/");
    }

    #[test]
    fn an_empty_log_level_is_info_and_all_is_everything() {
        assert_eq!(config(&["--log-level="], &[]).log_level, LevelFilter::INFO);
        assert_eq!(config(&["--log-level=all"], &[]).log_level, LevelFilter::TRACE);
    }

    #[test]
    fn an_empty_list_of_allowed_clients_does_not_pass_for_no_list() {
        assert!(command(&["--allowed-client-ids="], &[]).unwrap_err()[0].contains("leave the flag out"));
    }

    #[test]
    fn an_empty_variable_does_not_hide_the_one_in_lower_case() {
        let way = |env| config(&[], env).proxy.to_string();
        assert_eq!(way(&[("HTTPS_PROXY", ""), ("https_proxy", "http://a.example:1")]), "http://a.example:1/");
        assert_eq!(
            way(&[("HTTPS_PROXY", "http://b.example:2"), ("https_proxy", "http://a.example:1")]),
            "http://b.example:2/"
        );
    }

    #[test]
    fn flags_may_have_one_dash_as_in_go() {
        assert_eq!(config(&["-proxy-port=9000"], &[]).port, 9000);
        assert!(matches!(command(&["-probe"], &[]), Ok(Command::Probe(_))));
    }

    #[test]
    fn the_flag_for_the_grace_overrides_the_variable() {
        let env = &[("AZWI_PROPAGATION_GRACE", "5")];
        assert_eq!(config(&[], env).grace, Duration::from_secs(5));
        assert_eq!(config(&["--propagation-grace", "0"], env).grace, Duration::ZERO);
    }

    #[test]
    fn every_mistake_is_reported_and_names_what_would_be_right() {
        let args = [
            "--proxy-port=70000",
            "--probe-timeout=0",
            "--log-level=loud",
            "--propagation-grace=-1",
            "--allowed-client-ids=app,other",
            "--metadata-header=maybe",
            "--identity-map=/missing",
            "--unmapped-identity=maybe",
            "--passthrough=maybe",
            "--prewarm=https://vault.azure.net,two words",
            "--metrics-addr=9090",
            "--ca-file=/missing",
            "--sandbox=maybe",
        ];
        let env = &[
            ("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com"),
            ("AZURE_TENANT_ID", "my tenant"),
            ("AZURE_CLIENT_ID", "app"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/directory"),
            ("METADATA_IP", "fd00::1"),
            ("METADATA_PORT", "0"),
            ("SSL_CERT_FILE", "/missing"),
            ("SSL_CERT_DIR", "/directory:/missing"),
            ("HTTPS_PROXY", "http://user:hunter2@:::"),
        ];
        let problems = command(&args, env).unwrap_err();
        for (name, hint) in [
            ("--proxy-port", "1 to 65535"),
            ("--probe-timeout", "1 to 600"),
            ("--log-level", "info, debug, trace, all"),
            ("--propagation-grace", "0 to 3600"),
            ("--allowed-client-ids", "\"other\" is not a GUID"),
            ("--metadata-header", "required, ignore"),
            ("--identity-map", "/missing cannot be read"),
            ("--unmapped-identity", "default, reject"),
            ("--passthrough", "metadata, off"),
            ("--prewarm", "\"two words\": the resource contains whitespace"),
            ("--metrics-addr", "0.0.0.0:9090"),
            ("METADATA_IP", "IPv4"),
            ("METADATA_PORT", "1 to 65535"),
            ("--ca-file", "/missing cannot be read"),
            ("--sandbox", "on, off"),
            ("AZURE_AUTHORITY_HOST", "https://"),
            ("AZURE_TENANT_ID", "domain name"),
            ("AZURE_CLIENT_ID", "GUID"),
            ("AZURE_FEDERATED_TOKEN_FILE", "directory"),
            ("SSL_CERT_FILE", "/missing cannot be read"),
            ("SSL_CERT_DIR", "/missing is no directory"),
            ("HTTPS_PROXY", "http://proxy.example:3128"),
        ] {
            let found = problems.iter().find(|problem| problem.starts_with(name));
            assert!(found.is_some_and(|problem| problem.contains(hint)), "{name}: {problems:?}");
        }
        assert_eq!(problems.len(), 22);
        assert!(!problems.join("").contains("hunter2"));
    }

    #[test]
    fn metrics_are_off_by_default_and_a_port_alone_means_all_of_ipv4() {
        assert_eq!(config(&[], &[]).metrics, None);
        assert_eq!(config(&["--metrics-addr=:9090"], &[]).metrics, Some(([0, 0, 0, 0], 9090).into()));
        let loopback = config(&["--metrics-addr=[::1]:9090"], &[]).metrics;
        assert_eq!(loopback, Some((std::net::Ipv6Addr::LOCALHOST, 9090).into()));
    }

    #[test]
    fn as_many_resources_are_prewarmed_as_leave_room_for_apps() {
        let resources = |count| format!("--prewarm={}", vec!["https://vault.azure.net"; count].join(","));
        assert_eq!(config(&[&resources(32)], &[]).prewarm.len(), 32);
        assert!(command(&[&resources(33)], &[]).unwrap_err()[0].contains("32 is the most"));
    }

    #[test]
    fn port_zero_is_refused() {
        assert_eq!(command(&["--proxy-port=0"], &[]).unwrap_err().len(), 1);
    }

    #[test]
    fn a_probe_does_not_mind_the_sidecars_settings() {
        let command = command(&["--probe", "--proxy-port=81"], &[("AZURE_TENANT_ID", "my tenant")]);
        let Ok(Command::Probe(probe)) = command else { panic!("{command:?}") };
        assert_eq!(probe, Probe { port: 81, patience: Duration::from_secs(10) });
    }
}
