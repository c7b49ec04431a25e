//! `serve`: the three servers, from their settings to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::{fs, io};

use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::level_filters::LevelFilter;

use crate::certificates::{self, Authority};
use crate::cli::{LogFormat, ServeArgs};
use crate::cloud::arm::Arm;
use crate::commands::print;
use crate::config::{Config, DEFAULT_CONFIG};
use crate::counters::Counters;
use crate::directory::Directory;
use crate::discovery::Discovery;
use crate::entra::{self, Entra};
use crate::failure::Failure;
use crate::faults::Faults;
use crate::server::Server;
use crate::signing_key::SigningKey;
use crate::state_dir::{CA_CERTIFICATE, CLUSTER_KEY, ENTRA_KEY, Endpoints, StateDir, StateDirError};
use crate::{control, issuer};

pub(crate) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    if args.print_config {
        return print(DEFAULT_CONFIG.trim_end());
    }
    log_to_stderr(args.log_format);
    let settings = Settings::of(args).map_err(Failure::Usage)?;
    let kept = Kept::load(args)?;
    let bound = Bound::at(&settings).await?;
    serve(settings, kept, bound, &args.san).await.map_err(Failure::Internal)
}

fn log_to_stderr(format: LogFormat) {
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(LevelFilter::INFO);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// The arguments as types.
struct Settings {
    config: Config,
    entra: SocketAddr,
    issuer: SocketAddr,
    control: SocketAddr,
    issuer_roots: Vec<CertificateDer<'static>>,
    /// For addresses that are not loopback ones.
    announced_host: Option<String>,
}

impl Settings {
    /// All errors at once, each naming its flag or field.
    fn of(args: &ServeArgs) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let entra = address("--entra-address", &args.entra_address, &mut errors);
        let issuer = address("--issuer-address", &args.issuer_address, &mut errors);
        let control = address("--control-address", &args.control_address, &mut errors);
        let issuer_roots = issuer_roots(args, &mut errors);
        let config = config(args, &mut errors);
        check_names(args, [entra, issuer], &mut errors);
        match (config, entra, issuer, control) {
            (Some(config), Some(entra), Some(issuer), Some(control)) if errors.is_empty() => {
                Ok(Self { config, entra, issuer, control, issuer_roots, announced_host: args.san.first().cloned() })
            }
            _ => Err(errors),
        }
    }

    fn host(&self, address: SocketAddr) -> String {
        match &self.announced_host {
            _ if address.ip().is_loopback() => format!("localhost:{}", address.port()),
            Some(host) => format!("{host}:{}", address.port()),
            None => address.to_string(),
        }
    }
}

fn address(flag: &str, value: &str, errors: &mut Vec<String>) -> Option<SocketAddr> {
    let address = value.parse().ok();
    if address.is_none() {
        errors.push(format!("{flag}: `{value}` is not an IP address and port"));
    }
    address
}

fn issuer_roots(args: &ServeArgs, errors: &mut Vec<String>) -> Vec<CertificateDer<'static>> {
    let Some(file) = &args.issuer_ca else {
        return Vec::new();
    };
    certificates::read_roots(file).unwrap_or_else(|error| {
        errors.push(format!("--issuer-ca: {error}"));
        Vec::new()
    })
}

fn config(args: &ServeArgs, errors: &mut Vec<String>) -> Option<Config> {
    let json = match &args.config {
        None => DEFAULT_CONFIG.to_owned(),
        Some(file) => fs::read_to_string(file)
            .map_err(|error| errors.push(format!("--config {}: {error}", file.display())))
            .ok()?,
    };
    Config::parse(&json)
        .map_err(|problems| {
            errors.extend(problems.iter().map(|problem| format!("--config: {problem}")));
        })
        .ok()
}

/// A client must be able to verify the name it is told.
fn check_names(args: &ServeArgs, addresses: [Option<SocketAddr>; 2], errors: &mut Vec<String>) {
    let local = |address: &SocketAddr| address.ip().is_loopback();
    if args.san.is_empty() && !addresses.iter().flatten().all(local) {
        errors.push("--san: needed to listen on an address that is not a loopback one".to_owned());
    }
    if let Err(error) = certificates::server_params(&args.san) {
        errors.push(format!("--san: {error}"));
    }
}

/// What outlives the process.
struct Kept {
    dir: StateDir,
    authority: Authority,
    cluster_key: SigningKey,
    entra_key: SigningKey,
    /// Held until the end, lest another `serve` announces its endpoints in the place of ours.
    _lock: fs::File,
}

impl Kept {
    fn load(args: &ServeArgs) -> Result<Self, Failure> {
        let usage = |error: &dyn std::fmt::Display| Failure::usage(format!("--dir: {error}"));
        let dir = StateDir::create(&args.state.dir).map_err(|error| usage(&error))?;
        let lock = dir.lock().map_err(|error| match error {
            StateDirError::InUse(_) => Failure::Occupied(format!("--dir: {error}")),
            other => usage(&other),
        })?;
        let key = |name| SigningKey::load_or_generate(&dir, name).map_err(|error| usage(&error));
        Ok(Self {
            authority: Authority::load_or_generate(&dir).map_err(|error| usage(&error))?,
            cluster_key: key(CLUSTER_KEY)?,
            entra_key: key(ENTRA_KEY)?,
            dir,
            _lock: lock,
        })
    }
}

struct Bound {
    entra: TcpListener,
    issuer: TcpListener,
    control: TcpListener,
}

impl Bound {
    async fn at(settings: &Settings) -> Result<Self, Failure> {
        Ok(Self {
            entra: bind("--entra-address", settings.entra).await?,
            issuer: bind("--issuer-address", settings.issuer).await?,
            control: bind("--control-address", settings.control).await?,
        })
    }

    fn announce(&self, settings: &Settings, dir: &StateDir) -> anyhow::Result<Endpoints> {
        Ok(Endpoints {
            authority: format!("https://{}/", settings.host(self.entra.local_addr()?)),
            issuer: format!("https://{}", settings.host(self.issuer.local_addr()?)),
            control: format!("http://{}", self.control.local_addr()?),
            ca_file: dir.file(CA_CERTIFICATE),
            dir: dir.path().to_owned(),
            tenant_id: settings.config.tenants.first().map(|tenant| tenant.id.to_string()).unwrap_or_default(),
        })
    }
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        let remedy = if taken { "; give another port, or 0 for a free one" } else { "" };
        Failure::Occupied(format!("{flag}: cannot listen on {address}: {error}{remedy}"))
    })
}

async fn serve(settings: Settings, kept: Kept, bound: Bound, names: &[String]) -> anyhow::Result<()> {
    let endpoints = bound.announce(&settings, &kept.dir)?;
    let tls = TlsAcceptor::from(kept.authority.server_config(names)?);
    let mut config = settings.config;
    // Whoever is told only where the emulator is asks for tokens for that.
    config.resources.add(endpoints.authority.clone());
    let counters = Arc::new(Counters::new());
    let entra = Arc::new(Entra {
        discovery: Discovery::new(kept.authority.client_config(settings.issuer_roots)?)?,
        directory: Directory::new(config),
        arm: Arm::default(),
        authority: endpoints.authority.clone(),
        own_issuer: endpoints.issuer.clone(),
        key: kept.entra_key,
        faults: Faults::default(),
        counters: Arc::clone(&counters),
    });
    let keys = kept.cluster_key.jwk_set()?;
    let issuer = issuer::router(endpoints.issuer.clone(), keys, Arc::clone(&entra));
    let (stop, stopped) = stop_on_signal()?;
    print_ready(&kept.dir, &endpoints)?;
    let token = Server { router: entra::router(Arc::clone(&entra)), tls: Some(tls.clone()), counters: Some(counters) };
    let issuer = Server { router: issuer, tls: Some(tls), counters: None };
    let control = Server { router: control::router(entra), tls: None, counters: None };
    tokio::join!(
        token.serve(bound.entra, stopped.clone()),
        issuer.serve(bound.issuer, stopped.clone()),
        control.serve(bound.control, stopped),
    );
    stop.abort();
    Ok(())
}

/// Everything listens by now: who reads the line may connect.
fn print_ready(dir: &StateDir, endpoints: &Endpoints) -> anyhow::Result<()> {
    let line = dir.announce(endpoints)?;
    print(&line).map_err(|_| anyhow::anyhow!("cannot write the ready line to stdout"))
}

fn stop_on_signal() -> anyhow::Result<(tokio::task::JoinHandle<()>, watch::Receiver<bool>)> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let task = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        // Keeps the channel open: a closed one would look like a stop.
        stop.closed().await;
    });
    Ok((task, stopped))
}
