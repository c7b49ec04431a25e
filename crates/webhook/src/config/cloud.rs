//! Azure's clouds by the names that `AZURE_ENVIRONMENT` has for them, as Azure's SDK for Go (`autorest/azure`) knows them.

/// Name, and Entra's base URL there.
const CLOUDS: [(&str, &str); 6] = [
    ("AzurePublicCloud", "https://login.microsoftonline.com/"),
    ("AzureCloud", "https://login.microsoftonline.com/"),
    ("AzureUSGovernment", "https://login.microsoftonline.us/"),
    ("AzureUSGovernmentCloud", "https://login.microsoftonline.us/"),
    ("AzureChinaCloud", "https://login.chinacloudapi.cn/"),
    ("AzureGermanCloud", "https://login.microsoftonline.de/"),
];

/// Entra's base URL in the cloud of that name, whose case does not matter.
pub(super) fn authority_host(name: &str) -> Result<&'static str, String> {
    let cloud = CLOUDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let names = || CLOUDS.map(|(known, _)| known).join(", ");
    cloud.map(|(_, host)| *host).ok_or_else(|| format!("{name:?} is not one of {}", names()))
}
