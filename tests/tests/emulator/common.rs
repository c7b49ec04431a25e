//! An emulator of this build and clients that trust it.

use std::fs;
use std::path::Path;
use std::process::Command;

use azwi_tests::binaries::binary;
use azwi_tests::emulator::{Emulator, clients};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response};
use serde_json::Value;

/// The program, still without arguments.
pub(crate) fn command() -> Command {
    Command::new(binary("azwi-emulator").unwrap())
}

pub(crate) fn start() -> Emulator<'static> {
    start_with(None, &[])
}

pub(crate) fn start_with(config: Option<&str>, serve_args: &[&str]) -> Emulator<'static> {
    Emulator::start_with(config, serve_args).unwrap()
}

/// Trusts the emulator's own authority and nothing else.
pub(crate) fn client_builder(emulator: &Emulator<'_>) -> ClientBuilder {
    trusting(&emulator.ca_file())
}

pub(crate) fn trusting(ca_file: &Path) -> ClientBuilder {
    // Tests of one process share the provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca = Certificate::from_pem(&fs::read(ca_file).unwrap()).unwrap();
    Client::builder().no_proxy().tls_certs_only([ca])
}

pub(crate) fn client(emulator: &Emulator<'_>) -> Client {
    client_builder(emulator).build().unwrap()
}

pub(crate) fn token_url(emulator: &Emulator<'_>) -> String {
    format!("{}{}/oauth2/v2.0/token", emulator.authority(), emulator.tenant())
}

/// The body of a token request.
pub(crate) fn form(client_id: &str, assertion: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client_id)
        .append_pair("scope", "https://vault.azure.net/.default")
        .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        .append_pair("client_assertion", assertion)
        .finish()
}

pub(crate) fn request(emulator: &Emulator<'_>, client: &Client, body: String) -> RequestBuilder {
    post(client, &token_url(emulator), body)
}

pub(crate) fn post(client: &Client, url: &str, body: String) -> RequestBuilder {
    client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Exchanges the assertion as the demo application.
pub(crate) async fn exchange(emulator: &Emulator<'_>, assertion: &str) -> reqwest::Result<Response> {
    request(emulator, &client(emulator), form(clients::DEMO, assertion)).send().await
}

pub(crate) async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// The AADSTS code of a refusal.
pub(crate) async fn code(response: Response) -> u64 {
    json(response).await["error_codes"][0].as_u64().unwrap()
}
