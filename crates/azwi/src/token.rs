//! `azwi token`: exchanges a service account token at Entra ID and shows what the access token says of its owner. The
//! access token itself is shown only to who asks for it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use azwi_entra::{
    AssertionError, AssertionFile, AuthorityError, AuthorityHost, CaBundle, ClientId, ExchangeError, Exchanger,
    HttpsProxy, LoopbackHttp, Resource, SystemRoots, TenantId, TrustError, TrustRoots,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  # What Entra says to the service account cart
  kubectl create token cart -n shop --audience api://AzureADTokenExchange > token
  azwi token --token-file token --client-id CLIENT_ID --tenant-id TENANT_ID

  # An access token for a shell
  azwi token --token-file token --client-id CLIENT_ID --tenant-id TENANT_ID \\
    --resource https://vault.azure.net --show-token";

/// Longer than Entra ever takes to answer.
const LIMIT: Duration = Duration::from_secs(30);

/// The flags of the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A service account token
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Of the application or managed identity
    #[arg(long, value_name = "GUID", value_parser = client)]
    client_id: ClientId,
    /// Its tenant, by GUID or by domain
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    tenant_id: TenantId,
    /// What the access token is for
    #[arg(long, value_name = "URL", default_value = "https://management.azure.com/")]
    resource: String,
    /// Entra's address in another cloud
    #[arg(long, value_name = "URL", default_value = azwi_conventions::DEFAULT_AUTHORITY_HOST)]
    authority_host: String,
    /// PEM file with more certificate authorities to trust
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the access token in place of its claims
    #[arg(long)]
    show_token: bool,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("--token-file: {0}")]
    Assertion(#[from] AssertionError),
    #[error("--resource: {0}")]
    Resource(#[from] azwi_entra::ResourceError),
    #[error("--authority-host: {0}")]
    Authority(#[from] AuthorityError),
    #[error("--ca-file {}: {cause}", .path.display())]
    CaFile { path: PathBuf, cause: io::Error },
    #[error("--ca-file: {0}")]
    Trust(#[from] TrustError),
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    #[error("stdout: {0}")]
    Stdout(#[from] io::Error),
    #[error("stdout: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read, or Entra cannot be asked or refuses.
pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), TokenError> {
    let assertion = AssertionFile::new(&arguments.token_file).read()?;
    let resource = Resource::parse(arguments.resource.clone())?;
    let authority = AuthorityHost::parse(&arguments.authority_host, LoopbackHttp::Refused)?;
    let roots = TrustRoots::System(SystemRoots::default(), arguments.ca_bundle()?);
    let exchanger = Exchanger::new(authority, None, roots, HttpsProxy::default());
    let token = exchanger.exchange(&arguments.tenant_id, &arguments.client_id, &resource, &assertion, LIMIT).await?;
    if arguments.show_token {
        return Ok(writeln!(out, "{}", token.secret.expose())?);
    }
    // A resource may have its tokens encrypted: then the times are all there is to see.
    let claims =
        claims(token.secret.expose()).unwrap_or_else(|| json!({ "exp": token.expires_on, "nbf": token.not_before }));
    serde_json::to_writer_pretty(&mut *out, &claims)?;
    Ok(writeln!(out)?)
}

impl Arguments {
    fn ca_bundle(&self) -> Result<Option<CaBundle>, TokenError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let pem = fs::read(path).map_err(|cause| TokenError::CaFile { path: path.clone(), cause })?;
        Ok(Some(CaBundle::from_pem(&pem)?))
    }
}

fn claims(jwt: &str) -> Option<Value> {
    let claims = jwt.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn client(text: &str) -> Result<ClientId, String> {
    ClientId::parse(text).map_err(|error| error.to_string())
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.to_string())
}
