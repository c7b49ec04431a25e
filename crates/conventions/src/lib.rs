//! Every name that two azwi artifacts share: environment variables, paths, ports, uids, audiences.
//!
//! Constants only. No logic and no dependencies, so that anything may depend on it.

/// Environment variables, as the Azure SDKs and azure-workload-identity spell them.
pub mod env {
    /// Client id of the identity a pod uses by default: an app registration or a user-assigned managed identity.
    pub const AZURE_CLIENT_ID: &str = "AZURE_CLIENT_ID";
    /// Entra tenant: a GUID or a verified domain name.
    pub const AZURE_TENANT_ID: &str = "AZURE_TENANT_ID";
    /// Path of the projected service account token.
    pub const AZURE_FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
    /// Entra's base URL, e.g. `https://login.microsoftonline.com/`.
    pub const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
    /// Base URL of the token proxy of AKS identity bindings, which is asked in Entra's place.
    pub const AZURE_KUBERNETES_TOKEN_PROXY: &str = "AZURE_KUBERNETES_TOKEN_PROXY";
    /// The token proxy's name in TLS, where it is not the host of its URL.
    pub const AZURE_KUBERNETES_SNI_NAME: &str = "AZURE_KUBERNETES_SNI_NAME";
    /// PEM file with the only certificate authorities that may vouch for the token proxy.
    pub const AZURE_KUBERNETES_CA_FILE: &str = "AZURE_KUBERNETES_CA_FILE";
    /// The same as PEM text.
    pub const AZURE_KUBERNETES_CA_DATA: &str = "AZURE_KUBERNETES_CA_DATA";
    /// Which client ids object ids and ARM resource ids stand for: JSON, or a file that holds it.
    pub const AZWI_IDENTITY_MAP: &str = "AZWI_IDENTITY_MAP";
    /// Seconds for which a refusal that may be propagation delay is answered as "try again".
    pub const AZWI_PROPAGATION_GRACE: &str = "AZWI_PROPAGATION_GRACE";

    /// Port the proxy listens on, as proxy-init reads it.
    pub const PROXY_PORT: &str = "PROXY_PORT";
    /// Address of the real metadata service: proxy-init redirects it, the proxy passes requests on to it.
    pub const METADATA_IP: &str = "METADATA_IP";
    /// Its port.
    pub const METADATA_PORT: &str = "METADATA_PORT";
    /// Uid whose traffic proxy-init leaves alone.
    pub const PROXY_UID: &str = "PROXY_UID";
}

/// Port the proxy listens on (loopback) unless told otherwise.
pub const DEFAULT_PROXY_PORT: u16 = 8000;
/// Uid and gid the proxy runs as; its own traffic is exempt from the redirect.
pub const PROXY_UID: u32 = 1501;
/// The Instance Metadata Service's address: link-local, IPv4 only.
pub const METADATA_IP: [u8; 4] = [169, 254, 169, 254];
/// The Instance Metadata Service's port: plain HTTP.
pub const METADATA_PORT: u16 = 80;
/// Entra's base URL in the public cloud.
pub const DEFAULT_AUTHORITY_HOST: &str = "https://login.microsoftonline.com/";
/// Audience of a service account token that is to be exchanged at Entra.
pub const TOKEN_EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";
/// The same in Azure Government.
pub const TOKEN_EXCHANGE_AUDIENCE_US_GOVERNMENT: &str = "api://AzureADTokenExchangeUSGov";
/// The same in Azure operated by 21Vianet.
pub const TOKEN_EXCHANGE_AUDIENCE_CHINA: &str = "api://AzureADTokenExchangeChina";
/// Audience of a service account token for the token proxy of AKS identity bindings.
pub const IDENTITY_BINDING_AUDIENCE: &str = "api://AKSIdentityBinding";
