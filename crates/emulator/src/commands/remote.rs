//! `fault` and `counters`: the control API of the emulator that serves the directory.

use std::path::Path;

use reqwest::{Client, RequestBuilder, StatusCode};

use crate::cli::{CountersArgs, FaultArgs};
use crate::commands::print;
use crate::failure::Failure;
use crate::state_dir::StateDir;

const EXAMPLE: &str = r#"an example: '{"status":503,"remaining":2}'"#;

pub(crate) async fn fault(args: &FaultArgs) -> Result<(), Failure> {
    let emulator = Emulator::of(&args.state.dir)?;
    let url = format!("{}/faults", emulator.control);
    let client = client()?;
    let request = match (&args.fault, args.clear) {
        (Some(fault), _) => client.put(url).body(fault.clone()),
        (None, true) => client.delete(url),
        (None, false) => client.get(url),
    };
    emulator.send(request).await
}

pub(crate) async fn counters(args: &CountersArgs) -> Result<(), Failure> {
    let emulator = Emulator::of(&args.state.dir)?;
    let url = format!("{}/counters", emulator.control);
    let client = client()?;
    let request = match (args.exchanges, args.reset) {
        (Some(exchanges), _) => client.get(format!("{url}?exchanges={exchanges}&timeout_ms={}", args.timeout_ms)),
        (None, true) => client.delete(url),
        (None, false) => client.get(url),
    };
    emulator.send(request).await
}

/// For plain HTTP to this machine: no roots to load, no proxy.
fn client() -> Result<Client, Failure> {
    Client::builder().no_proxy().tls_certs_only([]).build().map_err(Failure::internal)
}

/// The text in `{"error": "…"}`.
fn problem(body: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    json.get("error").and_then(serde_json::Value::as_str).unwrap_or(body).to_owned()
}

/// The emulator that serves, or served, a directory.
struct Emulator<'a> {
    dir: &'a Path,
    control: String,
}

impl<'a> Emulator<'a> {
    fn of(dir: &'a Path) -> Result<Self, Failure> {
        let endpoints = StateDir::at(dir).endpoints();
        let endpoints = endpoints.map_err(|error| Failure::usage(format!("--dir: {error}")))?;
        Ok(Self { dir, control: endpoints.control })
    }

    async fn send(&self, request: RequestBuilder) -> Result<(), Failure> {
        let response = request.send().await.map_err(|error| self.unreached(error))?;
        let status = response.status();
        let body = response.text().await.map_err(Failure::internal)?;
        match status {
            StatusCode::NO_CONTENT => Ok(()),
            status if status.is_success() => print(&body),
            // Only a fault can be wrong; flags are checked before they are sent.
            StatusCode::BAD_REQUEST => Err(Failure::usage(format!("the fault: {}; {EXAMPLE}", problem(&body)))),
            StatusCode::REQUEST_TIMEOUT => Err(Failure::Internal(anyhow::anyhow!("not reached in time: {body}"))),
            status => Err(Failure::Internal(anyhow::anyhow!("{status}: {body}"))),
        }
    }

    /// As with a directory that never was served: the same is to be done.
    fn unreached(&self, error: reqwest::Error) -> Failure {
        if !error.is_connect() {
            return Failure::internal(error);
        }
        let Self { dir, control } = self;
        Failure::usage(format!(
            "--dir: no emulator answers at {control}: run `azwi-emulator serve --dir {}` first",
            dir.display()
        ))
    }
}
