//! An app as somebody wrote it for a virtual machine with a managed identity: it asks the Azure SDK for a token to
//! Azure Resource Manager and tells what it got, one JSON line per request: twice, and with `--stay` once more for each
//! line that it reads.
//!
//! It knows nothing of Kubernetes, of federation or of azwi, and it never prints the token itself.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, bail};
use azure_core::{base64, credentials::TokenCredential, time::to_rfc3339};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use serde_json::{Value, json};

const SCOPE: &str = "https://management.azure.com/.default";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The SDK's own words; they hold their causes already.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let Options { identity, stays } = options(std::env::args().skip(1))?;
    let lines = std::io::stdin().lines().take_while(|_| stays);
    let occasions = [Ok(String::new()), Ok(String::new())].into_iter().chain(lines);
    for (request, occasion) in (1..).zip(occasions) {
        occasion?;
        // A fresh credential has an empty cache of its own, so each request leaves this process.
        println!("{}", get_token(request, identity.clone()).await?);
    }
    Ok(())
}

#[derive(Default)]
struct Options {
    identity: Option<UserAssignedId>,
    stays: bool,
}

fn options(mut args: impl Iterator<Item = String>) -> anyhow::Result<Options> {
    let mut options = Options::default();
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--stay" => options.stays = true,
            "--client-id" => {
                options.identity = Some(UserAssignedId::ClientId(args.next().context("--client-id takes an id")?));
            }
            "--resource-id" => {
                options.identity = Some(UserAssignedId::ResourceId(args.next().context("--resource-id takes an id")?));
            }
            _ => bail!("usage: unmodified-app [--client-id ID | --resource-id ID] [--stay]"),
        }
    }
    Ok(options)
}

async fn get_token(request: u32, identity: Option<UserAssignedId>) -> anyhow::Result<Value> {
    let credential = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
        user_assigned_id: identity,
        ..Default::default()
    }))?;
    let start = Instant::now();
    let token = credential.get_token(&[SCOPE], None).await?;
    let took_ms = start.elapsed().as_secs_f64() * 1000.0;
    Ok(json!({
        "request": request,
        "took_ms": (took_ms * 100.0).round() / 100.0,
        "expires_on": to_rfc3339(&token.expires_on),
        "claims": claims(token.token.secret())?,
    }))
}

fn claims(jwt: &str) -> anyhow::Result<Value> {
    let payload = jwt.split('.').nth(1).context("the access token is not a JWT")?;
    let json = base64::decode_url_safe(payload).context("the access token's claims are not base64url")?;
    serde_json::from_slice(&json).context("the access token's claims are not JSON")
}
