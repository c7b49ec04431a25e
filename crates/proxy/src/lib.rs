//! The sidecar: an app asks it for tokens as it would ask Azure's Instance Metadata Service.
//!
//! Wiring only; the program in `main.rs` runs it, and a library it is so that benchmarks reach its parts. Exit
//! codes: 0 ended as asked, 1 a probe failed or the port is taken, 64 bad usage or configuration, 70 internal.

#[cfg(test)]
mod allocations;
mod cache;
mod clock;
mod concerns;
mod config;
mod failure;
mod first_uses;
mod identities;
mod key;
mod lifetime;
mod logging;
#[cfg(any(test, feature = "bench"))]
pub mod lookup;
mod metrics;
mod pace;
mod passthrough;
mod prewarm;
mod probe;
mod readiness;
mod recent;
mod sandbox;
mod server;
mod service;
mod slot;
mod source;

use std::io;
use std::mem;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use azwi_entra::{ClientId, Exchanger, TenantId};
use azwi_imds::Policy;
use azwi_program::told_to_end;
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;

use crate::cache::TokenCache;
use crate::clock::{Clock, SystemClock};
use crate::concerns::Concerns;
use crate::config::{Args, Command, Config, Surroundings};
use crate::identities::Identities;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::passthrough::Passthrough;
use crate::readiness::Readiness;
use crate::service::App;
use crate::slot::Shared;
use crate::source::Federation;

const FAILED: u8 = 1;
const USAGE: u8 = 64;
const INTERNAL: u8 = 70;

/// The program: reads its arguments and its environment, and runs until it is told to end.
pub fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match args.command(&Process) {
        Ok(command) => run(command),
        Err(problems) => {
            logging::start(LevelFilter::ERROR);
            for problem in problems {
                tracing::error!(error = problem, "bad configuration");
            }
            ExitCode::from(USAGE)
        }
    }
}

/// `--help` and `--version` are no mistakes. Whatever is one is a line like all others.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    logging::start(LevelFilter::ERROR);
    let text = error.to_string();
    let what = text.split("\n\nUsage:").next().unwrap_or(&text).trim_start_matches("error: ");
    tracing::error!(error = what.split_whitespace().collect::<Vec<_>>().join(" "), "bad configuration");
    ExitCode::from(USAGE)
}

fn run(command: Command) -> ExitCode {
    if let Command::Serve(config) = &command {
        logging::start(config.log_level);
        if let Some(needs) = &config.sandbox {
            // Before there are other threads, which it would not bind.
            sandbox::enter(needs);
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot be started: {error}");
            return ExitCode::from(INTERNAL);
        }
    };
    match command {
        Command::Probe(config) => match runtime.block_on(probe::probe(config.port, config.patience)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reasons) => {
                eprintln!("not ready: {reasons}");
                ExitCode::from(FAILED)
            }
        },
        Command::Serve(config) => {
            let code = runtime.block_on(serve(*config));
            // A name that is still being looked up must not hold up the end.
            runtime.shutdown_background();
            code
        }
    }
}

/// Where apps ask, and where metrics are served if they are.
struct Listeners {
    apps: TcpListener,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Takes both ports; says what hinders it.
    async fn bind(config: &Config) -> Result<Self, ()> {
        let port = config.port;
        let apps = server::bind(port).map_err(|error| {
            tracing::error!(%error, "--proxy-port: cannot listen on 127.0.0.1:{port}");
        })?;
        let metrics = match config.metrics {
            Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
                tracing::error!(%error, "--metrics-addr: cannot listen on {address}");
            })?),
            None => None,
        };
        Ok(Self { apps, metrics })
    }
}

async fn serve(config: Config) -> ExitCode {
    let Ok(listeners) = Listeners::bind(&config).await else { return ExitCode::from(FAILED) };
    match run_until_told(listeners, config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            ExitCode::from(INTERNAL)
        }
    }
}

async fn run_until_told(listeners: Listeners, mut config: Config) -> anyhow::Result<()> {
    let shutdown = told_to_end()?;
    tracing::info!(
        address = %listeners.apps.local_addr()?,
        authority = %config.authority,
        token_proxy = config.token_proxy.as_ref().map(tracing::field::display),
        tenant_id = config.given.tenant.as_ref().map(TenantId::as_str),
        client_id = config.given.default.as_ref().map(ClientId::as_str),
        token_file = config.assertion.as_ref().map(|file| tracing::field::display(file.path().display())),
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("AZWI_COMMIT"),
        "starting"
    );
    let prewarmed = mem::take(&mut config.prewarm);
    let app = Arc::new(app(config));
    warn(&app);
    if let (Some(listener), Some(metrics)) = (listeners.metrics, &app.metrics) {
        tracing::info!(address = %listener.local_addr()?, "serving metrics");
        tokio::spawn(metrics::serve(listener, Arc::clone(metrics), Arc::clone(&app)));
    }
    tracing::info!("listening");
    prewarm::start(&app, prewarmed);
    server::serve(listeners.apps, app, shutdown).await;
    tracing::info!("ended");
    Ok(())
}

/// What is not as it should be from the start.
fn warn(app: &App) {
    for reason in app.readiness.reasons(app.clock.now().unix) {
        tracing::warn!(reason, "not ready");
    }
    if app.identities.tenant().is_some()
        && let Err(why) = app.identities.resolve(None)
    {
        tracing::warn!(%why, "every app must name its identity");
    }
    if let Some(claims) = app.readiness.claims() {
        app.concerns.audience.observe(&claims);
    }
}

fn app(config: Config) -> App {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = config.metrics.map(|_| Arc::new(Metrics::new(clock.now().unix)));
    let concerns = Arc::new(Concerns::new(&config.authority, config.token_proxy.as_ref()));
    let exchanger = Exchanger::new(config.authority, config.token_proxy, config.roots, config.proxy);
    let tokens = config.assertion.clone().map(|assertion| {
        let source = Arc::new(Federation::new(exchanger, assertion, Arc::clone(&concerns), metrics.clone()));
        TokenCache::new(Shared::new(source, Arc::clone(&clock), config.grace))
    });
    App {
        policy: Policy { metadata_header: config.metadata_header },
        readiness: Readiness::new(config.given.tenant.is_some(), config.assertion),
        identities: Identities::new(config.given),
        passthrough: config.passthrough.map(Passthrough::new),
        refusals: Pace::default(),
        tokens,
        concerns,
        metrics,
        clock,
    }
}

/// The real environment and the real files.
struct Process;

impl Surroundings for Process {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn env(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn is_no_file(&self, path: &Path) -> bool {
        path.exists() && !path.is_file()
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }
}
