//! Who asks Azure: the flags of all commands that do, and the credential they stand for.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientMethodOptions, ClientOptions, ExponentialRetryOptions, RetryOptions};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertion, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Arg, Args, ValueEnum};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use uuid::Uuid;

use super::cloud::{Cloud, CloudName, EndpointError};
use super::rest::RestError;
use super::subscription;

/// Of a login that fails on its way: within seconds, for somebody waits.
const RETRIES: u32 = 3;
/// How long an assertion of ours is good for: it is used at once.
const ASSERTION_LIFETIME: Duration = Duration::from_mins(10);

/// The flags.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "printed as help, where backticks are noise")]
#[command(next_help_heading = "Azure")]
pub(crate) struct Login {
    /// The cloud
    #[arg(
        long,
        global = true,
        value_enum,
        ignore_case = true,
        default_value = "AzurePublicCloud",
        value_name = "CLOUD"
    )]
    pub(crate) azure_env: CloudName,
    /// Subscription of roles and managed identities
    #[arg(short, long, global = true, value_name = "ID")]
    pub(crate) subscription_id: Option<String>,
    /// How to log in [default: client_secret with --client-id and --client-secret, else cli]
    #[arg(long, global = true, value_enum, value_name = "METHOD")]
    auth_method: Option<Method>,
    /// Tenant to log in to [default: AZURE_TENANT_ID, that of --subscription-id, or the Azure CLI's]
    #[arg(long, global = true, value_name = "ID")]
    azure_tenant_id: Option<String>,
    /// Client id of the application that logs in [default: AZURE_CLIENT_ID]
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// Its secret, for client_secret; others on this machine can see it there [default: AZURE_CLIENT_SECRET]
    #[arg(long, global = true, value_name = "SECRET")]
    client_secret: Option<HiddenSecret>,
    /// PEM file with its certificate, for client_certificate
    #[arg(long, global = true, value_name = "FILE")]
    certificate_path: Option<PathBuf>,
    /// PEM file with the certificate's RSA key, for client_certificate
    #[arg(long, global = true, value_name = "FILE")]
    private_key_path: Option<PathBuf>,
}

/// For commands that log in only if told to by the argument `switch`: without it these would do nothing.
pub(crate) fn only_with(switch: &'static str) -> impl Fn(Arg) -> Arg {
    const ARGUMENTS: [&str; 7] = [
        "auth_method",
        "azure_tenant_id",
        "certificate_path",
        "client_id",
        "client_secret",
        "private_key_path",
        "subscription_id",
    ];
    move |argument| if ARGUMENTS.contains(&argument.get_id().as_str()) { argument.requires(switch) } else { argument }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Method {
    /// As whoever is logged in with `az login`
    Cli,
    /// As an application with a secret
    ClientSecret,
    /// As an application with a certificate
    ClientCertificate,
    /// As the identity that trusts the service account of this pod, or of this pipeline
    WorkloadIdentity,
}

/// Never shown.
#[derive(Clone)]
struct HiddenSecret(String);

impl From<String> for HiddenSecret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for HiddenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Why nobody can be logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("--auth-method {method} needs {flag}{variable}")]
    Missing { method: &'static str, flag: &'static str, variable: &'static str },
    #[error("{flag}: {}: {reason}", path.display())]
    File { flag: &'static str, path: PathBuf, reason: String },
    #[error(transparent)]
    Subscription(#[from] RestError),
    #[error("the login cannot be prepared: {0}")]
    Refused(#[from] azure_core::Error),
}

/// A cloud, and who asks there.
pub(crate) struct Session {
    pub(crate) cloud: Cloud,
    pub(crate) credential: Arc<dyn TokenCredential>,
}

impl Login {
    /// # Errors
    /// Something that the method needs is missing or cannot be read.
    pub(crate) async fn session(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Session, LoginError> {
        let cloud = Cloud::new(self.azure_env, lookup)?;
        let credential: Arc<dyn TokenCredential> = match self.method() {
            Method::Cli => self.cli(lookup)?,
            Method::ClientSecret => self.client_secret(&cloud, lookup).await?,
            Method::ClientCertificate => self.client_certificate(&cloud, lookup).await?,
            Method::WorkloadIdentity => {
                let credential_options = ClientAssertionCredentialOptions { client_options: options(&cloud) };
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options,
                    client_id: self.client_id.clone(),
                    tenant_id: self.azure_tenant_id.clone(),
                    token_file_path: None,
                }))?
            }
        };
        Ok(Session { cloud, credential })
    }

    /// As azure-workload-identity's `azwi` has it: whoever gives a secret means it.
    fn method(&self) -> Method {
        let has_secret = self.client_id.is_some() && self.client_secret.is_some();
        self.auth_method.unwrap_or(if has_secret { Method::ClientSecret } else { Method::Cli })
    }

    /// Of a tenant and a subscription `az` takes one.
    fn cli(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Arc<dyn TokenCredential>, LoginError> {
        let given = self.azure_tenant_id.clone().or_else(|| lookup("AZURE_TENANT_ID"));
        let tenant_id = given.filter(|tenant| !tenant.is_empty());
        let subscription = self.subscription_id.clone().filter(|_| tenant_id.is_none());
        Ok(AzureCliCredential::new(Some(AzureCliCredentialOptions { tenant_id, subscription, ..Default::default() }))?)
    }

    async fn client_secret(
        &self,
        cloud: &Cloud,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<dyn TokenCredential>, LoginError> {
        let needs = Needs { method: "client_secret", lookup };
        let given = self.client_secret.as_ref().map(|secret| secret.0.clone());
        let secret = needs.value(given, "--client-secret", "AZURE_CLIENT_SECRET", " or AZURE_CLIENT_SECRET")?;
        let options = ClientSecretCredentialOptions { client_options: options(cloud) };
        let (tenant, client) = self.application(cloud, &needs).await?;
        Ok(ClientSecretCredential::new(&tenant, client, Secret::new(secret), Some(options))?)
    }

    async fn client_certificate(
        &self,
        cloud: &Cloud,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<dyn TokenCredential>, LoginError> {
        let needs = Needs { method: "client_certificate", lookup };
        let (tenant, client) = self.application(cloud, &needs).await?;
        let missing = |flag| LoginError::Missing { method: needs.method, flag, variable: "" };
        let certificate = self.certificate_path.as_deref().ok_or_else(|| missing("--certificate-path"))?;
        let key = self.private_key_path.as_deref().ok_or_else(|| missing("--private-key-path"))?;
        let audience = format!("{}/{tenant}/oauth2/v2.0/token", cloud.authority);
        let assertion = Signed::new(certificate, key, client.clone(), audience)?;
        let options = ClientAssertionCredentialOptions { client_options: options(cloud) };
        Ok(ClientAssertionCredential::new(tenant, client, assertion, Some(options))?)
    }

    /// Tenant and client id.
    async fn application(&self, cloud: &Cloud, needs: &Needs<'_>) -> Result<(String, String), LoginError> {
        let client = needs.value(self.client_id.clone(), "--client-id", "AZURE_CLIENT_ID", " or AZURE_CLIENT_ID")?;
        let others = " or AZURE_TENANT_ID, or --subscription-id";
        let tenant = needs.value(self.azure_tenant_id.clone(), "--azure-tenant-id", "AZURE_TENANT_ID", others);
        match (tenant, &self.subscription_id) {
            (Err(_), Some(subscription)) => Ok((subscription::tenant(cloud, subscription).await?, client)),
            (tenant, _) => Ok((tenant?, client)),
        }
    }
}

struct Needs<'a> {
    method: &'static str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Needs<'_> {
    fn value(
        &self,
        given: Option<String>,
        flag: &'static str,
        name: &str,
        variable: &'static str,
    ) -> Result<String, LoginError> {
        let value = given.or_else(|| (self.lookup)(name)).filter(|value| !value.is_empty());
        value.ok_or(LoginError::Missing { method: self.method, flag, variable })
    }
}

fn options(cloud: &Cloud) -> ClientOptions {
    let mut custom = CustomConfiguration::default();
    custom.authority_host.clone_from(&cloud.authority);
    let retry = RetryOptions::exponential(ExponentialRetryOptions { max_retries: RETRIES, ..Default::default() });
    ClientOptions { cloud: Some(Arc::new(CloudConfiguration::from(custom))), retry, ..ClientOptions::default() }
}

/// What an application says of itself, signed by its certificate
/// (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>).
struct Signed {
    key: EncodingKey,
    /// SHA-256 of the certificate.
    thumbprint: String,
    client: String,
    audience: String,
}

impl Signed {
    fn new(certificate: &Path, key: &Path, client: String, audience: String) -> Result<Self, LoginError> {
        let of = |flag, path: &Path, reason: String| LoginError::File { flag, path: path.to_owned(), reason };
        let der = CertificateDer::from_pem_file(certificate)
            .map_err(|error| of("--certificate-path", certificate, error.to_string()))?;
        let pem = fs::read(key).map_err(|error| of("--private-key-path", key, error.to_string()))?;
        let is_rsa = || of("--private-key-path", key, "expected an RSA key in PEM, without a passphrase".to_owned());
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| is_rsa())?;
        let encoding = EncodingKey::from_rsa_pem(&pem).map_err(|_| is_rsa())?;
        Ok(Self { key: encoding, thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)), client, audience })
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("client", &self.client).finish_non_exhaustive()
    }
}

#[async_trait]
impl ClientAssertion for Signed {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "aud": self.audience, "iss": self.client, "sub": self.client, "jti": Uuid::new_v4(),
            "nbf": now, "iat": now, "exp": now + ASSERTION_LIFETIME.as_secs(),
        });
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(self.thumbprint.clone());
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}
