//! Flags and environment to a [`Config`]: a pure function that reports everything wrong at once.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use azwi_conventions::{self as conventions, env};
use clap::Parser;

use crate::plan::Plan;

/// What `--version` says: from which commit, too.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AZWI_COMMIT"), ")");

/// Redirects connections to the cloud's metadata service to the azwi proxy of this pod, and proves it.
///
/// Runs as an init container with the capability NET_ADMIN. A flag with an environment variable named beside it can be
/// given as that instead; an empty value counts as none.
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
#[derive(Debug, Default, Parser)]
#[command(name = "azwi-proxy-init", version = VERSION, after_help = EXIT_CODES)]
pub(crate) struct Flags {
    /// Port the proxy will listen on, on loopback [env: PROXY_PORT] [default: 8000]
    #[arg(long, value_name = "PORT")]
    proxy_port: Option<String>,
    /// IPv4 address of the metadata service [env: METADATA_IP] [default: 169.254.169.254]
    #[arg(long, value_name = "IP")]
    metadata_ip: Option<String>,
    /// Port of the metadata service [env: METADATA_PORT] [default: 80]
    #[arg(long, value_name = "PORT")]
    metadata_port: Option<String>,
    /// User id the proxy will run as; its own connections are left alone [env: PROXY_UID] [default: 1501]
    #[arg(long, value_name = "UID")]
    proxy_uid: Option<String>,
    /// nftables, iptables, or auto: nftables if the kernel has it, else iptables, which needs the
    /// iptables program in the image [default: auto]
    #[arg(long, value_name = "BACKEND")]
    backend: Option<String>,
    #[command(flatten)]
    job: JobFlags,
    /// Also in the node's own network namespace, or what looks like it: in pods that are virtual machines
    #[arg(long)]
    allow_host_network: bool,
}

/// At most one of them.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
struct JobFlags {
    /// Take back what a run has installed, instead
    #[arg(long)]
    remove: bool,
    /// Only tell, on stdout, what would be installed: in words, and as nft or iptables would be told
    #[arg(long)]
    dry_run: bool,
    /// Only tell whether the redirect of these settings is in force, by reading the rules and by a connection
    #[arg(long)]
    verify_only: bool,
}

impl JobFlags {
    fn job(&self) -> Job {
        match self {
            Self { remove: true, .. } => Job::Remove,
            Self { dry_run: true, .. } => Job::Show,
            Self { verify_only: true, .. } => Job::Verify,
            _ => Job::Redirect,
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 the redirect is in force and verified (or, with one of --remove, --dry-run, --verify-only, that is
done, told, true); 1 it is not, for the one reason that the log gives, and nothing of this run is left; 64 bad usage
or configuration; 70 internal error.";

impl Flags {
    /// Also understands long flags with one dash, as programs written in Go do (`-proxy-port=8000`).
    pub(crate) fn parse_from_args(args: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args.map(go_style))
    }
}

fn go_style(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => format!("-{text}").into(),
        _ => argument,
    }
}

/// Who installs the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Nftables,
    #[cfg(feature = "iptables")]
    Iptables,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Redirect,
    Verify,
    Remove,
    Show,
}

/// Everything this program can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) plan: Plan,
    pub(crate) choice: Choice,
    pub(crate) job: Job,
    /// Whether to work where the node's own network seems to be.
    pub(crate) allow_host_network: bool,
}

/// One setting that cannot be used, under the name that its value came by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    name: &'static str,
    value: String,
    wanted: &'static str,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} is not {}", self.name, self.value, self.wanted)
    }
}

const A_PORT: &str = "a port: give a number from 1 to 65535";
const AN_ADDRESS: &str = "the IPv4 address of a host, like 169.254.169.254";
const NOT_IPV6: &str = "an IPv4 address: Azure's metadata service answers on IPv4 only, usually at 169.254.169.254";
const A_UID: &str = "a user id: give a number from 0 to 4294967294";
const NOT_OURS: &str = "a user id apart: azwi-proxy-init runs as that user now, so all that root does in this pod would \
     escape and the redirect could not be verified; give the proxy a user of its own, like 1501";
const A_BACKEND: &str = if cfg!(feature = "iptables") {
    "a backend: give auto, nftables or iptables"
} else {
    "a backend of this build: give auto or nftables"
};
const NOT_ITSELF: &str = "a port of its own: the metadata service would be redirected to itself; give another one";

impl Config {
    /// Flags win over the environment. `own_uid` is the user that this process runs as.
    ///
    /// # Errors
    /// Every setting that is wrong.
    pub(crate) fn new(flags: &Flags, lookup: impl Fn(&str) -> Option<String>, own_uid: u32) -> Result<Self, Vec<Bad>> {
        let mut bad = Vec::new();
        let mut sources = Sources { lookup, bad: &mut bad };

        let proxy_port = Setting::new("--proxy-port", env::PROXY_PORT, flags.proxy_port.as_ref());
        let metadata_ip = Setting::new("--metadata-ip", env::METADATA_IP, flags.metadata_ip.as_ref());
        let metadata_port = Setting::new("--metadata-port", env::METADATA_PORT, flags.metadata_port.as_ref());
        let proxy_uid = Setting::new("--proxy-uid", env::PROXY_UID, flags.proxy_uid.as_ref());
        let backend = Setting::new("--backend", "", flags.backend.as_ref());

        let ip = sources.get(&metadata_ip, conventions::METADATA_IP.into(), address);
        let metadata = SocketAddrV4::new(ip, sources.get(&metadata_port, conventions::METADATA_PORT, port));
        let plan = Plan {
            metadata,
            proxy_port: sources.get(&proxy_port, conventions::DEFAULT_PROXY_PORT, |text| {
                port(text).and_then(|port| apart(port, metadata))
            }),
            proxy_uid: sources.get(&proxy_uid, conventions::PROXY_UID, |text| uid(text, own_uid)),
        };
        let choice = sources.get(&backend, Choice::Auto, choice);
        let config = Self { plan, choice, job: flags.job.job(), allow_host_network: flags.allow_host_network };
        if bad.is_empty() { Ok(config) } else { Err(bad) }
    }
}

/// The two names of a setting, and what the flag says.
struct Setting<'a> {
    flag: &'static str,
    variable: &'static str,
    given: Option<&'a String>,
}

impl<'a> Setting<'a> {
    fn new(flag: &'static str, variable: &'static str, given: Option<&'a String>) -> Self {
        Self { flag, variable, given }
    }
}

struct Sources<'a, Lookup> {
    lookup: Lookup,
    bad: &'a mut Vec<Bad>,
}

impl<Lookup: Fn(&str) -> Option<String>> Sources<'_, Lookup> {
    /// The parsed value, or the default if there is none. After an error the default stands in, to find more errors.
    fn get<T>(&mut self, setting: &Setting<'_>, default: T, parse: impl Fn(&str) -> Result<T, &'static str>) -> T {
        let Some((name, value)) = self.find(setting) else { return default };
        parse(value.trim()).unwrap_or_else(|wanted| {
            self.bad.push(Bad { name, value, wanted });
            default
        })
    }

    fn find(&self, setting: &Setting<'_>) -> Option<(&'static str, String)> {
        let given = setting.given.cloned().map(|value| (setting.flag, value));
        let inherited = || (self.lookup)(setting.variable).map(|value| (setting.variable, value));
        given.filter(is_set).or_else(|| inherited().filter(is_set))
    }
}

fn is_set((_, value): &(&'static str, String)) -> bool {
    !value.trim().is_empty()
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port != 0).ok_or(A_PORT)
}

fn apart(port: u16, metadata: SocketAddrV4) -> Result<u16, &'static str> {
    let itself = metadata.ip().is_loopback() && metadata.port() == port;
    if itself { Err(NOT_ITSELF) } else { Ok(port) }
}

fn address(text: &str) -> Result<Ipv4Addr, &'static str> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(NOT_IPV6);
    }
    let is_host = |ip: &Ipv4Addr| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast();
    text.parse().ok().filter(is_host).ok_or(AN_ADDRESS)
}

fn uid(text: &str, own: u32) -> Result<u32, &'static str> {
    // The kernel reserves the last one for "none".
    let uid = text.parse().ok().filter(|uid| *uid != u32::MAX).ok_or(A_UID)?;
    if uid == own { Err(NOT_OURS) } else { Ok(uid) }
}

fn choice(text: &str) -> Result<Choice, &'static str> {
    match text {
        "auto" => Ok(Choice::Auto),
        "nftables" => Ok(Choice::Nftables),
        #[cfg(feature = "iptables")]
        "iptables" => Ok(Choice::Iptables),
        _ => Err(A_BACKEND),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    const ROOT: u32 = 0;

    fn config(args: &[&str], env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let args = ["azwi-proxy-init"].iter().chain(args).map(OsString::from);
        let flags = Flags::parse_from_args(args).unwrap();
        let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::new(&flags, lookup, ROOT).map_err(|bad| bad.iter().map(ToString::to_string).collect())
    }

    fn plan(args: &[&str], env: &[(&str, &str)]) -> Plan {
        config(args, env).unwrap().plan
    }

    fn the_error(args: &[&str], env: &[(&str, &str)]) -> String {
        let mut errors = config(args, env).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    }

    #[test]
    fn without_any_setting_azures_address_goes_to_port_8000_except_for_user_1501() {
        let expected = Plan { metadata: "169.254.169.254:80".parse().unwrap(), proxy_port: 8000, proxy_uid: 1501 };
        let expected = Config { plan: expected, choice: Choice::Auto, job: Job::Redirect, allow_host_network: false };
        assert_eq!(config(&[], &[]), Ok(expected));
    }

    #[test]
    fn one_job_at_most_can_be_asked_for() {
        for (flag, job) in [("--remove", Job::Remove), ("--dry-run", Job::Show), ("--verify-only", Job::Verify)] {
            assert_eq!(config(&[flag], &[]).unwrap().job, job);
        }
        let both = ["azwi-proxy-init", "--remove", "--dry-run"].map(OsString::from);
        assert!(Flags::parse_from_args(both.into_iter()).unwrap_err().use_stderr());
    }

    #[test]
    fn all_settings_come_from_the_environment() {
        let env = [("PROXY_PORT", "8001"), ("METADATA_IP", "10.0.0.1"), ("METADATA_PORT", "81"), ("PROXY_UID", "2000")];
        let expected = Plan { metadata: "10.0.0.1:81".parse().unwrap(), proxy_port: 8001, proxy_uid: 2000 };
        assert_eq!(plan(&[], &env), expected);
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        assert_eq!(plan(&["--proxy-port", "8002"], &[("PROXY_PORT", "8001")]).proxy_port, 8002);
    }

    #[test]
    fn an_empty_value_counts_as_none() {
        assert_eq!(plan(&["--proxy-port="], &[("PROXY_PORT", "8001"), ("PROXY_UID", "")]).proxy_port, 8001);
    }

    #[test]
    fn long_flags_may_have_one_dash_as_in_go() {
        assert_eq!(plan(&["-proxy-port=8002", "-proxy-uid", "7"], &[]).proxy_uid, 7);
    }

    #[test]
    fn what_is_not_utf_8_is_left_as_it_is() {
        let argument = OsString::from_vec(b"-proxy-port=\xff".to_vec());
        assert_eq!(go_style(argument.clone()), argument);
    }

    #[test]
    fn every_error_is_reported_under_the_name_its_value_came_by() {
        let errors = config(
            &["--proxy-port=0", "--backend=ebpf"],
            &[("METADATA_IP", "imds"), ("METADATA_PORT", "65536"), ("PROXY_UID", "-1")],
        )
        .unwrap_err();
        let names: Vec<_> = errors.iter().filter_map(|error| error.split(':').next()).collect();
        assert_eq!(names, ["METADATA_IP", "METADATA_PORT", "--proxy-port", "PROXY_UID", "--backend"]);
    }

    #[test]
    fn an_ipv6_address_is_refused_with_the_reason() {
        let error = the_error(&[], &[("METADATA_IP", "fd00:ec2::254")]);
        assert!(error.starts_with("METADATA_IP: \"fd00:ec2::254\"") && error.contains("IPv4 only"), "{error}");
    }

    #[test]
    fn an_address_that_is_no_hosts_is_refused() {
        for value in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.169.254/32", "169.254.169.254:80"] {
            assert!(the_error(&["--metadata-ip", value], &[]).contains(AN_ADDRESS));
        }
    }

    #[test]
    fn the_user_that_proxy_init_runs_as_cannot_be_exempt() {
        assert!(the_error(&["--proxy-uid=0"], &[]).contains("could not be verified"));
    }

    #[test]
    fn the_id_that_means_no_user_is_refused() {
        assert!(the_error(&["--proxy-uid=4294967295"], &[]).contains(A_UID));
    }

    #[test]
    fn a_redirect_onto_itself_is_refused() {
        let error = the_error(&["--metadata-ip=127.0.0.1", "--metadata-port=9000", "--proxy-port=9000"], &[]);
        assert!(error.contains("to itself"), "{error}");
    }
}
