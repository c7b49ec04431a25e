//! The command line. Values stay strings here; `commands` turns them into types, so that all bad
//! ones are reported together.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What `--version` says: from which commit, too.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AZWI_COMMIT"), ")");

const EXAMPLES: &str = "\
Examples:
  azwi-emulator serve
  azwi-emulator token --subject system:serviceaccount:default:demo --output token
  curl --cacert .azwi-emulator/ca.crt https://localhost:8443/11111111-1111-4111-8111-111111111111/oauth2/v2.0/token \\
    -d grant_type=client_credentials -d client_id=22222222-2222-4222-8222-222222222222 \\
    -d scope=https://management.azure.com/.default \\
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \\
    --data-urlencode client_assertion@token
  azwi-emulator fault '{\"status\":503,\"remaining\":2}'
  azwi-emulator counters";

/// Entra ID and a cluster's OIDC issuer on your own machine: as strict as the real ones, and
/// failing on request.
#[derive(Debug, Parser)]
#[command(name = "azwi-emulator", version = VERSION, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the token endpoint, the issuer and the control API until SIGTERM or SIGINT
    Serve(ServeArgs),
    /// Mints a projected service account token, as a kubelet would write it into a pod
    Token(TokenArgs),
    /// Sets, shows or clears the fault in force in a running emulator
    Fault(FaultArgs),
    /// Shows or resets what a running emulator has counted
    Counters(CountersArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) state: StateDirArg,
    /// JSON file with tenants, applications and resources; see --print-config
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of Entra's token endpoint (TLS); port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8443")]
    pub(crate) entra_address: String,
    /// Address of the cluster's OIDC issuer (TLS)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8444")]
    pub(crate) issuer_address: String,
    /// Address of the control API (plain HTTP, no authentication)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8445")]
    pub(crate) control_address: String,
    /// PEM file with more roots to trust when a federated identity credential names another issuer
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer_ca: Option<PathBuf>,
    /// One more name or IP address in the server certificate; may be repeated. The first one is
    /// the announced host when an address is not a loopback one
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Prints the configuration used when --config is absent, and ends
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line per event
    Text,
    /// One JSON object per event
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) state: StateDirArg,
    /// system:serviceaccount:NAMESPACE:NAME
    #[arg(long)]
    pub(crate) subject: String,
    /// Issuer claim [default: the issuer of the running or last `serve` in --dir]
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    #[arg(long, default_value = crate::config::DEFAULT_AUDIENCE)]
    pub(crate) audience: String,
    /// Seconds from now; negative makes a token that has expired
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    pub(crate) expires_in: i64,
    /// Seconds from the time of issue; positive makes a token that is not valid yet
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) not_before: i64,
    /// PEM file with an RSA private key to sign with [default: the cluster's key in --dir]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Writes the file atomically [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FaultArgs {
    #[command(flatten)]
    pub(crate) state: StateDirArg,
    /// The fault to put in force; without it the present one is shown
    #[arg(value_name = "JSON", conflicts_with = "clear")]
    pub(crate) fault: Option<String>,
    /// Ends the fault in force
    #[arg(long)]
    pub(crate) clear: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CountersArgs {
    #[command(flatten)]
    pub(crate) state: StateDirArg,
    /// Waits until so many token requests have arrived
    #[arg(long, value_name = "N", conflicts_with = "reset")]
    pub(crate) exchanges: Option<u64>,
    /// How long to wait for --exchanges
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10_000)]
    pub(crate) timeout_ms: u64,
    /// Sets all counters to zero
    #[arg(long)]
    pub(crate) reset: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateDirArg {
    /// Directory of keys, ca.crt and endpoints.json
    #[arg(long, value_name = "DIR", default_value = ".azwi-emulator")]
    pub(crate) dir: PathBuf,
}
