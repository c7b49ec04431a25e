//! Every name that two azwi artifacts share: labels, annotations, environment variables, containers, paths, ports, uids,
//! audiences.
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

    /// Where SDKs that know AAD Pod Identity ask for tokens in place of the metadata service's address.
    pub const AZURE_POD_IDENTITY_AUTHORITY_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
}

/// Labels of pods, as azure-workload-identity spells them.
pub mod label {
    /// On a pod, with the value `true`: the webhook is asked about it.
    pub const USE: &str = "azure.workload.identity/use";
}

/// Annotations of pods and service accounts; the webhook's reading of each is in `docs/annotations.md`.
///
/// Those that azure-workload-identity has are spelled as there.
pub mod annotation {
    /// What all of them begin with.
    pub const PREFIX: &str = "azure.workload.identity/";

    /// On a service account: client id of the identity.
    pub const CLIENT_ID: &str = "azure.workload.identity/client-id";
    /// On a service account: tenant of the identity, if it is not the cluster's.
    pub const TENANT_ID: &str = "azure.workload.identity/tenant-id";
    /// On a service account: which client ids object ids and ARM resource ids stand for.
    pub const IDENTITY_MAP: &str = "azure.workload.identity/identity-map";
    /// On a pod or a service account: lifetime of the service account token, in seconds.
    pub const SERVICE_ACCOUNT_TOKEN_EXPIRATION: &str = "azure.workload.identity/service-account-token-expiration";

    /// On a pod: names of containers that stay as they are.
    pub const SKIP_CONTAINERS: &str = "azure.workload.identity/skip-containers";
    /// On a pod: whether it gets the sidecar.
    pub const INJECT_PROXY_SIDECAR: &str = "azure.workload.identity/inject-proxy-sidecar";
    /// On a pod: port the sidecar listens on.
    pub const PROXY_SIDECAR_PORT: &str = "azure.workload.identity/proxy-sidecar-port";
    /// On a pod: whether the metadata service's address leads to the sidecar.
    pub const PROXY_REDIRECT: &str = "azure.workload.identity/proxy-redirect";
    /// On a pod: whether the sidecar alone gets the service account token.
    pub const PROXY_ONLY: &str = "azure.workload.identity/proxy-only";
    /// On a pod: compute resources of the injected containers.
    pub const PROXY_RESOURCES: &str = "azure.workload.identity/proxy-resources";
    /// On a pod: what the sidecar logs.
    pub const PROXY_LOG_LEVEL: &str = "azure.workload.identity/proxy-log-level";
}

/// Names of the containers that the webhook adds, as azure-workload-identity has them.
pub mod container {
    /// The sidecar.
    pub const PROXY: &str = "azwi-proxy";
    /// The init container that redirects the metadata service's address to it.
    pub const PROXY_INIT: &str = "azwi-proxy-init";
}

/// The volume with the service account token, as azure-workload-identity has it.
pub mod volume {
    /// What its name begins with; the rest is a digest of the pod's name.
    pub const NAME_PREFIX: &str = "azure-workload-identity-reserved-";
    /// Where containers have it.
    pub const MOUNT_PATH: &str = "/var/run/secrets/azure/wi";
    /// The service account token in it.
    pub const TOKEN_PATH: &str = "token/azure-identity-token";
    /// The token proxy's certificate authorities in it, with identity bindings.
    pub const CA_PATH: &str = "ca-cert/ca.crt";
    /// Where containers find the token.
    pub const TOKEN_FILE: &str = "/var/run/secrets/azure/wi/token/azure-identity-token";
    /// Where containers find the certificate authorities.
    pub const CA_FILE: &str = "/var/run/secrets/azure/wi/ca-cert/ca.crt";
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
/// Shortest lifetime of a service account token that azure-workload-identity knows, in seconds.
pub const MIN_TOKEN_EXPIRATION: u32 = 3600;
/// Longest, in seconds.
pub const MAX_TOKEN_EXPIRATION: u32 = 86_400;
/// Lifetime of a service account token where nobody says it, in seconds; Kubernetes' own default.
pub const DEFAULT_TOKEN_EXPIRATION: u32 = 3600;
