//! The admission webhook: a pod that asks for it by a label gets what it needs for workload identity.
//!
//! Wiring only; the program in `main.rs` runs it, and a library it is so that tests and benchmarks reach its parts. Exit
//! codes: 0 ended as asked, 1 a port is taken or there is no cluster, 64 bad usage or configuration, 70 internal.

mod accounts;
mod admission;
mod certificates;
mod config;
mod failure;
#[cfg(test)]
mod fake_api;
mod health;
mod logging;
mod metrics;
pub mod mutate;
mod names;
mod native_sidecar;
mod readiness;
mod server;
mod tls;
mod variables;

pub use admission::review;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use azwi_program::pages::{self, Bounds, Page, metrics_type};
use azwi_program::told_to_end;
use http::{HeaderMap, StatusCode};
use kube::Client;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::level_filters::LevelFilter;

use crate::accounts::{Accounts, Cluster, Store};
use crate::admission::Admission;
use crate::certificates::{Keeper, Served};
use crate::config::{Addresses, Args, Config};
use crate::failure::{chain, of_cluster};
use crate::metrics::{Metrics, Moment};
use crate::mutate::Settings;
use crate::native_sidecar::NativeSidecar;
use crate::readiness::{Condition, Readiness};
use crate::server::Server;

const FAILED: u8 = 1;
const USAGE: u8 = 64;
const INTERNAL: u8 = 70;

/// How long to wait for a connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for its version, and until asking again.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
const VERSION_PAUSE: Duration = Duration::from_secs(2);
/// Kubelet, and whoever asks for metrics.
const WATCHERS: Bounds =
    Bounds { connections: 16, head: Duration::from_secs(5), answer: Duration::from_secs(5), pace: Duration::ZERO };

/// The program: reads its arguments and its environment, and runs until it is told to end.
pub fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match args.config(lookup) {
        Ok(config) => run(config),
        Err(problems) => {
            logging::start(LevelFilter::ERROR);
            for problem in problems {
                tracing::error!(error = problem, "bad configuration");
            }
            ExitCode::from(USAGE)
        }
    }
}

/// `--help` and `--version` are no mistakes.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn lookup(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn run(config: Config) -> ExitCode {
    logging::start(config.log_level);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return ExitCode::from(INTERNAL);
        }
    };
    let code = runtime.block_on(serve(config));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn serve(config: Config) -> ExitCode {
    let Ok(listeners) = Listeners::bind(&config).await else { return ExitCode::from(FAILED) };
    let client = match client().await {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = %chain(&*error), "there is no cluster");
            return ExitCode::from(FAILED);
        }
    };
    match run_until_told(config, listeners, client).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            ExitCode::from(INTERNAL)
        }
    }
}

/// Where API servers, kubelet and Prometheus ask.
struct Listeners {
    webhook: TcpListener,
    health: TcpListener,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Takes all ports; tells the log what hinders it, else where they are.
    async fn bind(config: &Config) -> Result<Self, ()> {
        let metrics = match &config.metrics {
            Some(addresses) => Some(bind("--metrics-addr", "metrics", addresses).await?),
            None => None,
        };
        let health = bind("--health-addr", "health", &config.health).await?;
        Ok(Self { webhook: bind("--webhook-addr", "reviews", &config.webhook).await?, health, metrics })
    }
}

async fn bind(flag: &str, purpose: &str, addresses: &Addresses) -> Result<TcpListener, ()> {
    let bound = TcpListener::bind(&addresses[..]).await.and_then(|listener| {
        let address = listener.local_addr()?;
        tracing::info!(purpose, %address, "listening");
        Ok(listener)
    });
    bound.map_err(|error: io::Error| tracing::error!(%error, "{flag}: cannot listen on {addresses:?}"))
}

/// The cluster that `KUBECONFIG` names, or the one that the webhook runs in. The client reads both by itself.
async fn client() -> Result<Client, Box<dyn std::error::Error>> {
    let mut config = kube::Config::infer().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(Client::try_from(config)?)
}

async fn run_until_told(config: Config, listeners: Listeners, client: Client) -> anyhow::Result<()> {
    let shutdown = told_to_end()?;
    announce(&config);
    let state = State::new();
    let server = Server {
        tls: TlsAcceptor::from(Arc::new(tls::config(config.tls, Arc::clone(&state.certificate) as _)?)),
        delay: config.shutdown_delay,
        readiness: Arc::clone(&state.readiness),
    };
    state.start(&config, &client, listeners.health, listeners.metrics);
    tokio::pin!(shutdown);
    let settings = tokio::select! {
        settings = settings(config, &client) => settings,
        () = &mut shutdown => return Ok(()),
    };
    let accounts = Accounts::new(Arc::clone(&state.store), Cluster(client));
    let admission = Arc::new(Admission::new(accounts, settings, Arc::clone(&state.metrics)));
    state.readiness.meet(Condition::Listening);
    let respond = move |request| {
        let admission = Arc::clone(&admission);
        async move { admission.respond(request).await }
    };
    server.serve(listeners.webhook, respond, shutdown).await;
    tracing::info!("ended");
    Ok(())
}

fn announce(config: &Config) {
    tracing::info!(
        tenant_id = config.settings.tenant_id,
        authority = config.settings.authority_host,
        namespace = config.namespace,
        certificate = config.mounted_certificate.as_ref().map(|directory| tracing::field::display(directory.display())),
        token_endpoint = config.settings.token_endpoint.as_ref().map(|endpoint| &*endpoint.annotation),
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("AZWI_COMMIT"),
        "starting"
    );
    let Settings { proxy_image, proxy_init_image, .. } = &config.settings;
    for (name, image) in [(variables::PROXY_IMAGE, proxy_image), (variables::PROXY_INIT_IMAGE, proxy_init_image)] {
        if image.is_empty() {
            tracing::warn!("{name} is not set: pods that need it for a sidecar are refused");
        }
    }
}

/// What its parts know of each other.
struct State {
    readiness: Arc<Readiness>,
    certificate: Arc<Served>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
}

impl State {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new(OffsetDateTime::now_utc().unix_timestamp()));
        Self { readiness: Arc::default(), certificate: Arc::default(), store: Arc::default(), metrics }
    }

    /// Starts all that goes on beside reviews.
    fn start(&self, config: &Config, client: &Client, health: TcpListener, metrics: Option<TcpListener>) {
        let readiness = Arc::clone(&self.readiness);
        tokio::spawn(pages::serve(health, WATCHERS, move |path, _| health::page(path, &readiness)));
        if let Some(listener) = metrics {
            tokio::spawn(pages::serve(listener, WATCHERS, self.metrics_page()));
        }
        self.follow_accounts(client.clone());
        self.follow_certificate(config, client.clone());
    }

    fn follow_accounts(&self, client: Client) {
        let (store, readiness) = (Arc::clone(&self.store), Arc::clone(&self.readiness));
        tokio::spawn(async move { accounts::follow(client, &store, &readiness).await });
    }

    fn follow_certificate(&self, config: &Config, client: Client) {
        let (certificate, readiness) = (Arc::clone(&self.certificate), Arc::clone(&self.readiness));
        if let Some(directory) = config.mounted_certificate.clone() {
            tokio::spawn(async move { certificates::follow(&directory, &certificate, &readiness).await });
        } else {
            let keeper = Keeper::new(client, &config.namespace, certificate, OffsetDateTime::now_utc);
            tokio::spawn(async move { keeper.run(&readiness).await });
        }
    }

    fn metrics_page(&self) -> impl Fn(&str, &HeaderMap) -> Option<Page> + Send + Sync + 'static {
        let (readiness, served) = (Arc::clone(&self.readiness), Arc::clone(&self.certificate));
        let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
        move |path, headers| {
            let moment = Moment {
                is_ready: readiness.reasons().is_empty(),
                annotated_accounts: store.annotated(),
                certificate_expiry: served
                    .expires()
                    .map(|expires| expires.saturating_sub(OffsetDateTime::now_utc().unix_timestamp())),
            };
            let page = |text| (StatusCode::OK, metrics_type(headers), text);
            (path == "/metrics").then(|| metrics.render(moment).map(page).ok()).flatten()
        }
    }
}

/// The settings, with what the cluster decides.
async fn settings(config: Config, client: &Client) -> Settings {
    let mut settings = config.settings;
    if config.native_sidecar == NativeSidecar::Auto {
        settings.native_sidecar = has_native_sidecars(client).await;
    }
    settings
}

/// Asks until there is an answer: without the API server there is nothing to do yet.
async fn has_native_sidecars(client: &Client) -> bool {
    loop {
        let why = match timeout(VERSION_TIMEOUT, client.apiserver_version()).await {
            Ok(Ok(version)) => {
                let native = native_sidecar::are_supported(&version);
                tracing::info!(
                    version = version.git_version,
                    native_sidecar = native,
                    "the API server has told its version"
                );
                return native;
            }
            Ok(Err(error)) => of_cluster(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(error = why, "the API server's version cannot be read for now");
        sleep(VERSION_PAUSE).await;
    }
}
