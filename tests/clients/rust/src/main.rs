//! An app that asks for one token and tells in one JSON line what it got: {"token": …} or {"error": …}, and `took_ms`.
//!
//! `get-token --credential managed [--client-id X | --resource-id Y] --scope S`

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context as _, bail};
use azure_core::credentials::TokenCredential as _;
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let wanted = Wanted::read(std::env::args().skip(1))?;
    let start = Instant::now();
    let result = get_token(&wanted).await;
    let took_ms = u64::try_from(start.elapsed().as_millis())?;
    println!("{}", told(result, took_ms));
    Ok(())
}

fn told(result: azure_core::Result<String>, took_ms: u64) -> Value {
    match result {
        Ok(token) => json!({ "token": token, "took_ms": took_ms }),
        // The library's own words; they hold their causes already.
        Err(error) => json!({ "error": error.to_string(), "took_ms": took_ms }),
    }
}

struct Wanted {
    identity: Option<UserAssignedId>,
    scope: String,
}

impl Wanted {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut values = HashMap::new();
        while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
            values.insert(name, value);
        }
        let credential = values.remove("--credential").context("no --credential")?;
        if credential != "managed" {
            bail!("azure_identity has no credential like {credential:?}");
        }
        let client_id = values.remove("--client-id").map(UserAssignedId::ClientId);
        let resource_id = values.remove("--resource-id").map(UserAssignedId::ResourceId);
        Ok(Self { identity: client_id.or(resource_id), scope: values.remove("--scope").context("no --scope")? })
    }
}

async fn get_token(wanted: &Wanted) -> azure_core::Result<String> {
    let options = ManagedIdentityCredentialOptions { user_assigned_id: wanted.identity.clone(), ..Default::default() };
    let credential = ManagedIdentityCredential::new(Some(options))?;
    Ok(credential.get_token(&[&wanted.scope], None).await?.token.secret().to_owned())
}
