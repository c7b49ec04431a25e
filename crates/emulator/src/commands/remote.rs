//! `fault` and `counters`: the control API of the emulator that serves the directory.

use reqwest::{Client, RequestBuilder, StatusCode};

use crate::cli::{CountersArgs, FaultArgs};
use crate::commands::print;
use crate::failure::Failure;
use crate::state_dir::StateDir;

pub(crate) async fn fault(args: &FaultArgs) -> Result<(), Failure> {
    let url = format!("{}/faults", control(&args.state.dir)?);
    let client = client()?;
    let request = match (&args.fault, args.clear) {
        (Some(fault), _) => client.put(url).body(fault.clone()),
        (None, true) => client.delete(url),
        (None, false) => client.get(url),
    };
    send(request).await
}

pub(crate) async fn counters(args: &CountersArgs) -> Result<(), Failure> {
    let url = format!("{}/counters", control(&args.state.dir)?);
    let client = client()?;
    let request = match (args.exchanges, args.reset) {
        (Some(exchanges), _) => client.get(format!("{url}?exchanges={exchanges}&timeout_ms={}", args.timeout_ms)),
        (None, true) => client.delete(url),
        (None, false) => client.get(url),
    };
    send(request).await
}

fn control(dir: &std::path::Path) -> Result<String, Failure> {
    let endpoints = StateDir::at(dir).endpoints();
    endpoints.map(|endpoints| endpoints.control).map_err(|error| Failure::usage(format!("--dir: {error}")))
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

async fn send(request: RequestBuilder) -> Result<(), Failure> {
    let response = request.send().await.map_err(Failure::internal)?;
    let status = response.status();
    let body = response.text().await.map_err(Failure::internal)?;
    match status {
        StatusCode::NO_CONTENT => Ok(()),
        status if status.is_success() => print(&body),
        StatusCode::BAD_REQUEST => Err(Failure::usage(problem(&body))),
        StatusCode::REQUEST_TIMEOUT => Err(Failure::Internal(anyhow::anyhow!("not reached in time: {body}"))),
        status => Err(Failure::Internal(anyhow::anyhow!("{status}: {body}"))),
    }
}
